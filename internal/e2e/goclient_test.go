package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"
	"github.com/cyberark/conjur-api-go/conjurapi/response"
)

// refused wants an error of the client with a status and a text, to the letter.
func refused(t *testing.T, err error, status int, text string) {
	t.Helper()
	var known *response.ConjurError
	if !errors.As(err, &known) {
		t.Fatalf("got error %v, want status %d", err, status)
	}
	if known.Code != status || known.Error() != text {
		t.Errorf("got %d %q, want %d %q", known.Code, known.Error(), status, text)
	}
}

func check[T comparable](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil || got != want {
		t.Errorf("%s: %v, %v, want %v", what, got, err, want)
	}
}

func TestGoClientLogsIn(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	const password = "A-Long&Good-Passw0rd"
	c := s.as(t, "alice")

	// Given a user with a password, which it gave itself by its API key,
	if _, err := c.ChangeUserPassword("alice", s.keys["alice"], password); err != nil {
		t.Fatal(err)
	}
	// when it logs in with it, it gets the API key, which the client keeps,
	key, err := c.Login("alice", password)
	check(t, "login", string(key), err, s.keys["alice"])
	// and from then on the file is all that a client needs.
	fromFile, err := conjurapi.NewClientFromEnvironment(c.GetConfig())
	if err != nil {
		t.Fatal(err)
	}
	who, err := fromFile.WhoAmI()
	if err != nil || !strings.Contains(string(who), `"username":"alice"`) || !strings.Contains(string(who), `"account":"demo"`) {
		t.Errorf("whoami: %s, %v", who, err)
	}
	// Its own password and key are changed with what the file has.
	if _, err := fromFile.ChangeCurrentUserPassword("Another-Passw0rd!"); err != nil {
		t.Error(err)
	}
	rotated, err := fromFile.RotateCurrentUserAPIKey()
	if err != nil || string(rotated) == s.keys["alice"] {
		t.Fatalf("rotation: %v", err)
	}
	_, err = c.Login("alice", "Another-Passw0rd!")
	check(t, "login with the new password", 0, err, 0)

	// What is wrong is told apart from what is missing by the status alone.
	_, err = c.Login("alice", password)
	refused(t, err, 401, "401 Unauthorized")
	_, err = c.Login("nobody", password)
	refused(t, err, 401, "401 Unauthorized")
	_, err = c.Authenticate(authn.LoginPair{Login: "alice", APIKey: s.keys["alice"]})
	refused(t, err, 401, "401 Unauthorized")
	_, err = c.ChangeUserPassword("alice", "Another-Passw0rd!", "short")
	if err == nil || !strings.HasSuffix(err.Error(), "password CONJ00046E The password you have chosen does not meet the complexity requirements. Choose a password that includes: 12-128 characters, 2 uppercase letters, 2 lowercase letters, 1 digit and 1 special character.") {
		t.Errorf("a weak password: %v", err)
	}
	_, err = c.ChangeUserPassword("host/shop/web-1", s.keys["host/shop/web-1"], password)
	refused(t, err, 403, "403 Forbidden")
}

func TestGoClientRotatesKeys(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin, alice, host := s.as(t, "admin"), s.as(t, "alice"), s.as(t, "host/shop/web-1")

	works := func(login, key string) bool {
		_, err := admin.Authenticate(authn.LoginPair{Login: login, APIKey: key})
		return err == nil
	}
	// A host rotates its own key: the old one is dead at once.
	if _, err := host.Login("host/shop/web-1", s.keys["host/shop/web-1"]); err != nil {
		t.Fatal(err)
	}
	own, err := host.RotateCurrentRoleAPIKey()
	if err != nil || !works("host/shop/web-1", string(own)) || works("host/shop/web-1", s.keys["host/shop/web-1"]) {
		t.Fatalf("own rotation: %v", err)
	}
	// An operator with update on it rotates it as well, in each form of its id.
	for _, id := range []string{"demo:host:shop/web-1", "host:shop/web-1", "shop/web-1"} {
		before := own
		if own, err = alice.RotateHostAPIKey(id); err != nil || !works("host/shop/web-1", string(own)) || works("host/shop/web-1", string(before)) {
			t.Errorf("rotation of %s: %v", id, err)
		}
	}
	bob, err := admin.RotateUserAPIKey("bob@shop")
	if err != nil || !works("bob@shop", string(bob)) {
		t.Errorf("rotation of a user: %v", err)
	}
	_, err = alice.RotateHostAPIKey("shop/web-2")
	refused(t, err, 404, "404 Not Found. CONJ00123E Resource 'demo:host:shop/web-2' requested by role 'demo:user:alice' not found.")
	_, err = admin.RotateHostAPIKey("shop/none")
	refused(t, err, 404, "404 Not Found. CONJ00123E Resource 'demo:host:shop/none' requested by role 'demo:user:admin' not found.")
	_, err = admin.RotateHostAPIKey("shop/no-key")
	refused(t, err, 405, "405 Method Not Allowed. CONJ00126E Role 'demo:host:shop/no-key' is not applicable for key rotation.")
	_, err = admin.RotateAPIKey("user:admin") // a token does not rotate its own role's key
	refused(t, err, 401, "401 Unauthorized. Credential strength is insufficient.")
}

func TestGoClientReadsAndWritesSecrets(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin, host, bob := s.as(t, "admin"), s.as(t, "host/shop/web-1"), s.as(t, "bob@shop")
	values := map[string]string{
		"shop/db/username":    "shop",
		"shop/db/password":    "p=1&q=ü +%20\n",
		"shop/db/certificate": "\x00\xff\xfe binary",
		"shop/a b/c+d/é:x":    strings.Repeat("long ", 20000),
	}
	for id, value := range values {
		if err := admin.AddSecret(id, value); err != nil {
			t.Errorf("set %s: %v", id, err)
		}
		got, err := host.RetrieveSecret(id)
		check(t, id, string(got), err, value)
	}
	reader, err := host.RetrieveSecretReader("demo:variable:shop/db/username")
	if err != nil {
		t.Fatal(err)
	}
	streamed, err := conjurapi.ReadResponseBody(reader)
	check(t, "reader", string(streamed), err, "shop")

	// Batches: text as it is, or anything in base64.
	all := []string{"shop/db/username", "shop/db/password", "shop/db/certificate", "shop/a b/c+d/é:x"}
	batch, err := host.RetrieveBatchSecretsSafe(all)
	if err != nil || len(batch) != len(all) {
		t.Fatalf("batch: %d, %v", len(batch), err)
	}
	for _, id := range all {
		check(t, "batch "+id, string(batch["demo:variable:"+id]), nil, values[id])
	}
	batch, err = host.RetrieveBatchSecrets(all[:2])
	check(t, "plain batch", string(batch["demo:variable:shop/db/password"]), err, values["shop/db/password"])
	_, err = host.RetrieveBatchSecrets(all)
	refused(t, err, 406, "406 Not Acceptable. CONJ00074E Issue encoding secret into JSON format, try including 'Accept-Encoding: base64' header in request..")
	_, err = host.RetrieveBatchSecrets([]string{all[0], "shop/unset"})
	refused(t, err, 404, "404 Not Found. CONJ00076E Variable demo:variable:shop/unset is empty or not found..")

	// Versions: each change makes one, the same value none.
	for _, value := range []string{"shop2", "shop2", "shop3"} {
		if err := admin.AddSecret("shop/db/username", value); err != nil {
			t.Error(err)
		}
	}
	for version, want := range map[int]string{1: "shop", 2: "shop2", 3: "shop3"} {
		got, err := host.RetrieveSecretWithVersion("shop/db/username", version)
		check(t, "version", string(got), err, want)
	}
	_, err = host.RetrieveSecretWithVersion("shop/db/username", 4)
	refused(t, err, 404, "404 Not Found. CONJ00076E Variable demo:variable:shop/db/username is empty or not found..")

	refused(t, admin.AddSecret("shop/db/username", ""), 422, "422 Unprocessable Entity. 'value' may not be empty.")
	refused(t, host.AddSecret("shop/db/username", "x"), 403, "403 Forbidden")
	_, err = bob.RetrieveSecret("shop/db/username")
	refused(t, err, 404, "404 Not Found. CONJ00076E Variable demo:variable:shop/db/username is empty or not found..")
	_, err = s.as(t, "alice").RetrieveSecret("shop/db/username")
	refused(t, err, 403, "403 Forbidden")
}

func TestGoClientLoadsPolicies(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin := s.as(t, "admin")
	load := func(mode conjurapi.PolicyMode, policy, text string) (*conjurapi.PolicyResponse, error) {
		return admin.LoadPolicy(mode, policy, strings.NewReader(text))
	}
	loaded, err := load(conjurapi.PolicyModePost, "shop", "- !host web-3\n- !variable extra\n")
	if err != nil || loaded.Version != 1 || len(loaded.CreatedRoles) != 1 {
		t.Fatalf("%+v, %v", loaded, err)
	}
	role := loaded.CreatedRoles["demo:host:shop/web-3"]
	if _, err := admin.Authenticate(authn.LoginPair{Login: "host/shop/web-3", APIKey: role.APIKey}); err != nil || role.ID != "demo:host:shop/web-3" {
		t.Errorf("%+v: %v", role, err)
	}
	if loaded, err = load(conjurapi.PolicyModePost, "shop", "- !host web-3\n"); err != nil || loaded.Version != 2 || len(loaded.CreatedRoles) != 0 {
		t.Errorf("again: %+v, %v", loaded, err)
	}
	if loaded, err = load(conjurapi.PolicyModePatch, "shop", "- !delete\n  record: !host web-3\n"); err != nil || loaded.Version != 3 {
		t.Errorf("delete: %+v, %v", loaded, err)
	}
	_, err = admin.Authenticate(authn.LoginPair{Login: "host/shop/web-3", APIKey: role.APIKey})
	refused(t, err, 401, "401 Unauthorized")
	if loaded, err = load(conjurapi.PolicyModePut, "shop", "- !variable only\n"); err != nil || loaded.Version != 4 {
		t.Errorf("replace: %+v, %v", loaded, err)
	}
	for id, want := range map[string]bool{"variable:shop/only": true, "variable:shop/extra": false} {
		got, err := admin.ResourceExists(id)
		check(t, id, got, err, want)
	}
	_, err = load(conjurapi.PolicyModePost, "shop", "- !variable [\n")
	var known *response.ConjurError
	if !errors.As(err, &known) || known.Code != 422 || known.Details == nil || known.Details.Code != "policy_invalid" || known.Details.Message == "" {
		t.Errorf("bad YAML: %v", err)
	}
	_, err = load(conjurapi.PolicyModePost, "nowhere", "- !variable x\n")
	refused(t, err, 404, "404 Not Found. Policy 'nowhere' not found in account 'demo'.")
	_, err = s.as(t, "alice").LoadPolicy(conjurapi.PolicyModePost, "root", strings.NewReader("- !variable x\n"))
	refused(t, err, 404, "404 Not Found. Policy 'root' not found in account 'demo'.")
}

func TestGoClientLists(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin, host := s.as(t, "admin"), s.as(t, "host/shop/web-1")
	count := func(c *conjurapi.Client, filter *conjurapi.ResourceFilter) int {
		t.Helper()
		n, err := c.ResourcesCount(filter)
		if err != nil {
			t.Fatal(err)
		}
		return n.Count
	}
	variables := &conjurapi.ResourceFilter{Kind: "variable"}
	ids, err := admin.ResourceIDs(variables)
	check(t, "variables", strings.Join(ids, " "), err,
		"demo:variable:shop/a b/c+d/é:x demo:variable:shop/db/certificate demo:variable:shop/db/password demo:variable:shop/db/username demo:variable:shop/unset")
	check(t, "count", count(admin, variables), nil, 5)
	check(t, "what the host sees", count(host, nil), nil, 4)
	check(t, "as the host", count(admin, &conjurapi.ResourceFilter{Role: "demo:host:shop/web-1"}), nil, 4)
	check(t, "search", count(admin, &conjurapi.ResourceFilter{Search: "password"}), nil, 1)
	var paged []string
	for offset := 0; offset < 6; offset += 2 {
		page, err := admin.ResourceIDs(&conjurapi.ResourceFilter{Kind: "variable", Limit: 2, Offset: offset})
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, page...)
	}
	check(t, "pages", strings.Join(paged, " "), nil, strings.Join(ids, " "))
	_, err = admin.Resources(&conjurapi.ResourceFilter{Limit: -1})
	refused(t, err, 422, "422 Unprocessable Entity. 'limit' contains an invalid value. 'limit' must be a positive integer..")

	for id, want := range map[string]bool{"variable:shop/db/password": true, "demo:host:shop/web-2": true, "variable:shop/none": false} {
		got, err := admin.ResourceExists(id)
		check(t, "exists "+id, got, err, want)
	}
	resource, err := admin.Resource("variable:shop/db/certificate")
	if err != nil || resource["owner"] != "demo:policy:shop" || resource["policy"] != "demo:policy:root" {
		t.Errorf("resource: %v, %v", resource, err)
	}
	_, err = host.Resource("policy:root")
	refused(t, err, 404, "404 Not Found. Policy 'root' not found in account 'demo'.")
}

func TestGoClientAsksForRolesAndPermissions(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin, host := s.as(t, "admin"), s.as(t, "host/shop/web-1")
	for id, want := range map[string]bool{"layer:shop/web": true, "host:shop/web-1": true, "host:shop/none": false} {
		got, err := admin.RoleExists(id)
		check(t, "role "+id, got, err, want)
	}
	role, err := admin.Role("layer:shop/web")
	if err != nil || role["id"] != "demo:layer:shop/web" {
		t.Errorf("role: %v, %v", role, err)
	}
	members, err := admin.RoleMembers("layer:shop/web")
	if err != nil || len(members) != 4 || members[0]["member"] != "demo:host:shop/web-1" {
		t.Errorf("members: %v, %v", members, err)
	}
	direct, err := admin.RoleMemberships("host:shop/web-1")
	if err != nil || len(direct) != 1 || direct[0]["role"] != "demo:layer:shop/web" {
		t.Errorf("memberships: %v, %v", direct, err)
	}
	all, err := admin.RoleMembershipsAll("host:shop/web-1")
	check(t, "all memberships", strings.Join(all, " "), err, "demo:group:shop/readers demo:host:shop/web-1 demo:layer:shop/web")

	const password = "variable:shop/db/password"
	may := func(c *conjurapi.Client, id, privilege string) bool {
		t.Helper()
		ok, err := c.CheckPermission(id, privilege)
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	check(t, "own execute", may(host, password, "execute"), nil, true)
	check(t, "own update", may(host, password, "update"), nil, false)
	check(t, "on something unseen", may(host, "variable:shop/unset", "execute"), nil, false)
	for who, want := range map[string]bool{"host:shop/web-1": true, "user:alice": false} {
		got, err := admin.CheckPermissionForRole(password, who, "execute")
		check(t, "execute of "+who, got, err, want)
	}
	foreign, err := host.CheckPermissionForRole(password, "user:alice", "read")
	check(t, "a role that the caller does not hold", foreign, err, false)
	permitted, err := admin.PermittedRoles(password, "execute")
	check(t, "permitted roles", strings.Join(permitted, " "), err,
		"demo:group:shop/readers demo:host:shop/web-1 demo:host:shop/web-2 demo:host_factory:shop/web demo:layer:shop/web demo:policy:shop demo:user:admin")
	keys, err := host.PublicKeys("user", "alice")
	check(t, "public keys", strings.HasPrefix(string(keys), "ssh-ed25519 AAAA") && strings.HasSuffix(string(keys), " alice@laptop\n"), err, true)
	keys, err = host.PublicKeys("user", "nobody")
	check(t, "nobody's public keys", string(keys), err, "\n")
}

func TestGoClientFindsTheVersion(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	c, err := conjurapi.NewClient(s.config(t)) // nobody has logged in yet
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.EnterpriseServerInfo()
	if err == nil || !strings.HasPrefix(err.Error(), "404 Not Found") {
		t.Errorf("/info: %v", err)
	}
	version, err := c.ServerVersion()
	check(t, "version", version != "", err, true)
	if err := c.VerifyMinServerVersion("1.23.0"); err != nil {
		t.Error(err)
	}
	check(t, "self-hosted", c.HasSelfHostedSurface(), nil, true)
}

// Summon, Terraform and most others take what they need from the environment.
func TestGoClientFromTheEnvironment(t *testing.T) {
	s := openShop(t)
	admin := s.as(t, "admin")
	if err := admin.AddSecret("shop/db/password", "from the environment"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONJUR_APPLIANCE_URL", s.url+"/")
	t.Setenv("CONJUR_ACCOUNT", account)
	t.Setenv("CONJUR_CREDENTIAL_STORAGE", "none")
	read := func() (string, error) {
		config, err := conjurapi.LoadConfig()
		if err != nil {
			return "", err
		}
		c, err := conjurapi.NewClientFromEnvironment(config)
		if err != nil {
			return "", err
		}
		value, err := c.RetrieveSecret("shop/db/password")
		return string(value), err
	}
	t.Setenv("CONJUR_AUTHN_LOGIN", "host/shop/web-1")
	t.Setenv("CONJUR_AUTHN_API_KEY", s.keys["host/shop/web-1"])
	got, err := read()
	check(t, "by key", got, err, "from the environment")

	t.Setenv("CONJUR_AUTHN_API_KEY", s.keys["host/shop/web-2"])
	_, err = read()
	refused(t, err, http.StatusUnauthorized, "401 Unauthorized")

	token, err := s.as(t, "host/shop/web-2").InternalAuthenticate()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONJUR_AUTHN_TOKEN", string(token))
	got, err = read()
	check(t, "by token", got, err, "from the environment")

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONJUR_AUTHN_TOKEN", "")
	t.Setenv("CONJUR_AUTHN_TOKEN_FILE", file)
	got, err = read()
	check(t, "by token file", got, err, "from the environment")
}

// refusedWith wants an error of the client with one of some statuses.
func refusedWith(t *testing.T, err error, statuses ...int) {
	t.Helper()
	var known *response.ConjurError
	if !errors.As(err, &known) || !slices.Contains(statuses, known.Code) {
		t.Errorf("got error %v, want one of %v", err, statuses)
	}
}
