package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"
)

func TestGoClientUsesHostFactories(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin := s.as(t, "admin")
	tokens, err := admin.CreateToken("10m", "shop/web", []string{"127.0.0.0/8"}, 2)
	if err != nil || len(tokens) != 2 || tokens[0].Token == tokens[1].Token || len(tokens[0].Cidr) != 1 {
		t.Fatalf("tokens: %v", err)
	}
	anybody, err := conjurapi.NewClient(s.config(t))
	if err != nil {
		t.Fatal(err)
	}
	host, err := anybody.CreateHostWithAnnotations("auto-1", tokens[0].Token, map[string]string{"zone": "a"})
	if err != nil || host.Id != "demo:host:auto-1" || len(host.Annotations) != 1 {
		t.Fatalf("%+v, %v", host, err)
	}
	works := func(key string) error {
		_, err := anybody.Authenticate(authn.LoginPair{Login: "host/auto-1", APIKey: key})
		return err
	}
	if err := works(host.ApiKey); err != nil {
		t.Error(err)
	}
	// Again is a new key for the same host.
	again, err := anybody.CreateHost("auto-1", tokens[0].Token)
	if err != nil || again.ApiKey == host.ApiKey || works(again.ApiKey) != nil {
		t.Errorf("%+v, %v", again, err)
	}
	refused(t, works(host.ApiKey), 401, "401 Unauthorized")
	member, err := admin.RoleMembershipsAll("host:auto-1")
	check(t, "it holds the layer", strings.Contains(strings.Join(member, " "), "demo:layer:shop/web"), err, true)

	if err := admin.DeleteToken(tokens[0].Token); err != nil {
		t.Error(err)
	}
	_, err = anybody.CreateHost("auto-2", tokens[0].Token)
	refused(t, err, 401, "401 Unauthorized")
	elsewhere, err := admin.CreateToken("10m", "shop/web", []string{"192.0.2.0/24"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = anybody.CreateHost("auto-2", elsewhere[0].Token)
	refused(t, err, 401, "401 Unauthorized")
}

func TestGoClientRehearsesAndFetchesPolicies(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin := s.as(t, "admin")
	before := newClient(s.url).as(t, "admin", s.keys["admin"]).listing(t)
	report, err := admin.DryRunPolicy(conjurapi.PolicyModePost, "shop", strings.NewReader("- !variable fresh\n- !host fresh\n"))
	if err != nil || report.Status != "Valid YAML" || len(report.Created.Items) != 2 || len(report.Errors) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	report, err = admin.DryRunPolicy(conjurapi.PolicyModePost, "shop", strings.NewReader("- !variable x\n- !variable [\n"))
	if err != nil || report.Status != "Invalid YAML" || len(report.Errors) != 1 || report.Errors[0].Line < 2 || report.Errors[0].Message == "" {
		t.Errorf("%+v, %v", report, err)
	}
	report, err = admin.DryRunPolicy(conjurapi.PolicyModePatch, "shop", strings.NewReader("- !delete\n  record: !variable unset\n"))
	if err != nil || len(report.Deleted.Items) != 1 || report.Deleted.Items[0].Identifier != "demo:variable:shop/unset" {
		t.Errorf("%+v, %v", report, err)
	}
	unchanged(t, before, newClient(s.url).as(t, "admin", s.keys["admin"]).listing(t))

	text, err := admin.FetchPolicy("shop", false, 64, 100000)
	if err != nil || !strings.HasPrefix(string(text), "---") || !strings.Contains(string(text), "db/password") {
		t.Errorf("%s, %v", text, err)
	}
	text, err = admin.FetchPolicy("shop", true, 64, 100000)
	if err != nil || !strings.Contains(string(text), "db/password") || strings.HasPrefix(string(text), "---") {
		t.Errorf("%s, %v", text, err)
	}
	_, err = s.as(t, "alice").FetchPolicy("root", false, 64, 100000)
	refused(t, err, 404, "404 Not Found. Policy 'root' not found in account 'demo'.")
}

func TestGoClientChangesBranchesAndGroups(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	admin, host := s.as(t, "admin").V2(), s.as(t, "host/shop/web-1")
	made, err := admin.CreateBranch(conjurapi.Branch{Name: "team", Branch: "shop", Annotations: map[string]string{"cost": "42"}})
	if err != nil || made.Name != "team" || made.Branch != "shop" || made.Annotations["cost"] != "42" {
		t.Fatalf("%+v, %v", made, err)
	}
	_, err = admin.CreateBranch(conjurapi.Branch{Name: "team", Branch: "shop"})
	refused(t, err, 409, `{"code":"409","message":"Branch \"demo:branch:shop/team\" already exists"}`)
	shown, err := admin.ReadBranch("shop/team")
	if err != nil || shown.Owner == nil || *shown.Owner != (conjurapi.Owner{Kind: "policy", Id: "shop"}) {
		t.Errorf("%+v, %v", shown, err)
	}
	list, err := admin.ReadBranches(&conjurapi.BranchFilter{Limit: 10})
	check(t, "branches", list.Count, err, 2)
	if _, err := admin.UpdateBranch(conjurapi.Branch{Name: "shop/team", Annotations: map[string]string{"cost": "43"}}); err != nil {
		t.Error(err)
	}
	shown, err = admin.ReadBranch("shop/team")
	check(t, "its annotation", shown.Annotations["cost"], err, "43")
	if _, err := admin.DeleteBranch("shop/team"); err != nil {
		t.Error(err)
	}
	_, err = admin.ReadBranch("shop/team")
	refused(t, err, 404, `{"code":"404","message":"Branch 'shop/team' not found in account 'demo'"}`)

	// A member of the group may do at once what the group may, and not any more after.
	bob := conjurapi.GroupMember{ID: "bob@shop", Kind: "user"}
	const password = "variable:shop/db/password"
	may := func() bool {
		ok, err := s.as(t, "bob@shop").CheckPermission(password, "execute")
		if err != nil {
			t.Error(err)
		}
		return ok
	}
	check(t, "before", may(), nil, false)
	added, err := admin.AddGroupMember("shop/readers", bob)
	if err != nil || *added != bob {
		t.Errorf("%+v, %v", added, err)
	}
	check(t, "as a member", may(), nil, true)
	if _, err := admin.RemoveGroupMember("shop/readers", bob); err != nil {
		t.Error(err)
	}
	check(t, "after", may(), nil, false)
	_, err = host.V2().AddGroupMember("shop/readers", bob)
	refusedWith(t, err, 404, 403)
}

func TestGoClientManagesAuthenticators(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	c := s.as(t, "admin")
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	admin.load(t, "POST", "root", `
- !policy
  id: conjur/authn-jwt
- !policy
  id: conjur/authn-iam/prod
  body: [!webservice ]
`)
	enabled := func(name string) bool {
		return strings.Contains(strings.SplitN(admin.must(t, 200, "GET", "/authenticators", "").body, `"enabled":`, 2)[1], `"`+name+`"`)
	}
	// The switch of the protocol's first version.
	check(t, "before", enabled("authn-iam/prod"), nil, false)
	if err := c.EnableAuthenticator("iam", "prod", true); err != nil {
		t.Error(err)
	}
	check(t, "switched on", enabled("authn-iam/prod"), nil, true)
	if err := c.EnableAuthenticator("iam", "prod", false); err != nil {
		t.Error(err)
	}
	check(t, "switched off", enabled("authn-iam/prod"), nil, false)
	refused(t, c.EnableAuthenticator("iam", "none", true), 401, "401 Unauthorized")
	refused(t, s.as(t, "alice").EnableAuthenticator("iam", "prod", true), 403, "403 Forbidden")

	// The second version makes, shows, switches, lists and removes one.
	v2 := c.V2()
	made, err := v2.CreateAuthenticator(&conjurapi.AuthenticatorBase{
		Type: "jwt", Name: "ci", Enabled: conjurapi.Bool(false), Annotations: map[string]string{"team": "a"},
		Data: map[string]any{"jwks_uri": "https://ci.example/jwks", "identity": map[string]any{"token_app_property": "sub"}},
	})
	if err != nil || made.Name != "ci" || made.Type != "jwt" || made.Branch != "conjur/authn-jwt" || *made.Enabled || made.Annotations["team"] != "a" {
		t.Fatalf("%+v, %v", made, err)
	}
	shown, err := v2.GetAuthenticator("jwt", "ci")
	if err != nil || shown.Data["jwks_uri"] != "https://ci.example/jwks" {
		t.Errorf("%+v, %v", shown, err)
	}
	changed, err := v2.UpdateAuthenticator("jwt", "ci", true)
	check(t, "enabled", changed != nil && *changed.Enabled && enabled("authn-jwt/ci"), err, true)
	list, err := v2.ListAuthenticators()
	check(t, "listed", list.Count, err, 2)
	_, err = v2.CreateAuthenticator(&conjurapi.AuthenticatorBase{Type: "jwt", Name: "ci", Data: map[string]any{"jwks_uri": "https://ci.example/jwks"}})
	refusedWith(t, err, 409)
	if err := v2.DeleteAuthenticator("jwt", "ci"); err != nil {
		t.Error(err)
	}
	_, err = v2.GetAuthenticator("jwt", "ci")
	refusedWith(t, err, 404)
}

// The client calls these only where it takes the server for a cloud's, which is a matter
// of its configuration.
func TestGoClientManagesWorkloads(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	config := s.config(t)
	config.Environment = conjurapi.EnvironmentSaaS
	client, err := conjurapi.NewClientFromKey(config, authn.LoginPair{Login: "admin", APIKey: s.keys["admin"]})
	if err != nil {
		t.Fatal(err)
	}
	v2 := client.V2()
	asked := conjurapi.Workload{
		Name: "ci", Branch: "shop", Type: "Jenkins", Annotations: map[string]string{"team": "a"}, RestrictedTo: []string{"127.0.0.1"},
		AuthnDescriptors: []conjurapi.AuthnDescriptor{{Type: "authn_api_key"}, {Type: "authn-jwt", ServiceID: "jenkins", Data: map[string]any{"job": "build"}}},
	}
	answer, err := v2.CreateWorkload(asked)
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		conjurapi.Workload
		APIKey string `json:"api_key"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.Name != "ci" || made.Branch != "shop" || made.APIKey == "" {
		t.Fatalf("%s, %v", answer, err)
	}
	works := func() error {
		_, err := client.Authenticate(authn.LoginPair{Login: "host/shop/ci", APIKey: made.APIKey})
		return err
	}
	if err := works(); err != nil {
		t.Error(err)
	}
	_, err = v2.CreateWorkload(asked)
	refusedWith(t, err, 409)

	shown, err := v2.GetWorkload("shop/ci")
	if err != nil || shown.Type != "Jenkins" || shown.CreatedAt == "" || *shown.Owner != (conjurapi.Owner{Kind: "policy", Id: "shop"}) ||
		len(shown.AuthnDescriptors) != 2 || shown.AuthnDescriptors[1].Data["job"] != "build" || shown.RestrictedTo[0] != "127.0.0.1/32" {
		t.Errorf("%+v, %v", shown, err)
	}
	descriptor, err := v2.UpdateAuthnDescriptor("shop/ci", conjurapi.AuthnDescriptor{Type: "jwt", ServiceID: "jenkins", Data: map[string]any{"branch": "main"}})
	if err != nil || len(descriptor.Data) != 2 {
		t.Errorf("%+v, %v", descriptor, err)
	}
	shown, err = v2.UpdateWorkload("shop/ci", conjurapi.WorkloadFields{Annotations: map[string]string{"zone": "b"}, RestrictedTo: &[]string{}, AuthnDescriptors: shown.AuthnDescriptors[1:]})
	if err != nil || len(shown.Annotations) != 2 || len(shown.RestrictedTo) != 0 || len(shown.AuthnDescriptors) != 1 {
		t.Errorf("%+v, %v", shown, err)
	}
	refused(t, works(), 401, "401 Unauthorized")
	if _, err := v2.DeleteWorkload("shop/ci"); err != nil {
		t.Error(err)
	}
	_, err = v2.GetWorkload("shop/ci")
	refused(t, err, 404, `{"code":"404","message":"Workload 'shop/ci' not found in account 'demo'"}`)
}

func TestGoClientManagesStaticSecrets(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	config := s.config(t)
	config.Environment = conjurapi.EnvironmentSaaS
	client, err := conjurapi.NewClientFromKey(config, authn.LoginPair{Login: "admin", APIKey: s.keys["admin"]})
	if err != nil {
		t.Fatal(err)
	}
	v2 := client.V2()
	asked := conjurapi.StaticSecret{
		Branch: "shop", Name: "token", MimeType: "text/plain", Value: "first", Annotations: map[string]string{"team": "a"},
		Permissions: []conjurapi.Permission{{Subject: conjurapi.Subject{Kind: "user", Id: "alice"}, Privileges: []string{"read", "execute"}}},
	}
	made, err := v2.CreateStaticSecret(asked)
	if err != nil || made.Branch != "shop" || made.Name != "token" || made.Value != "" || made.MimeType != "text/plain" || made.Permissions.Href == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	_, err = v2.CreateStaticSecret(asked)
	refusedWith(t, err, 409)
	value, err := s.as(t, "alice").RetrieveSecret("shop/token")
	if err != nil || string(value) != "first" {
		t.Errorf("whom it is permitted to: %v", err)
	}

	shown, err := v2.GetStaticSecretDetails("shop/token")
	if err != nil || shown.Name != "token" || shown.Annotations["team"] != "a" {
		t.Errorf("%+v, %v", shown, err)
	}
	permitted, err := v2.GetStaticSecretPermissions("shop/token")
	if err != nil || permitted.Count != 1 || permitted.Permission[0].Subject != asked.Permissions[0].Subject || len(permitted.Permission[0].Privileges) != 2 {
		t.Errorf("%+v, %v", permitted, err)
	}
	_, err = v2.GetStaticSecretDetails("shop/none")
	refusedWith(t, err, 404)

	batch, err := v2.BatchRetrieveSecrets([]string{"shop/token", "", "shop/none"})
	if err != nil || len(batch.Secrets) != 2 || batch.Secrets[0] != (conjurapi.SecretValue{ID: "shop/token", Value: "first", Status: 200}) || batch.Secrets[1].Status != 404 {
		t.Errorf("%+v, %v", batch, err)
	}
}
