package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Secrets are what goes in and comes out where secrets belong: values, passwords, API
// keys, tokens, the root key. Names are none: what stands in a path or a query, and the
// text of a policy that is loaded, are shown to those who may see them, and audited.

// leaks gathers secrets, and where none of them may be.
type leaks struct {
	t       *testing.T
	planted map[string]string // by what it is
	places  map[string][]byte // by name: bodies of refusals, output of processes, files
}

func (l *leaks) plant(what, secret string) string {
	l.planted[what] = secret
	return secret
}

// refusal keeps the body of an answer that refuses.
func (l *leaks) refusal(what string, got answer, err error, statuses ...int) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	for _, status := range statuses {
		if got.status == status {
			l.places["the answer to "+what] = []byte(fmt.Sprint(got.body, got.header))
			return
		}
	}
	l.t.Errorf("%s: %v, want one of %v", what, got, statuses)
}

// directory adds all files below a directory, except some.
func (l *leaks) directory(dir string, except ...string) {
	l.t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		for _, name := range except {
			if path == filepath.Join(dir, name) {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		l.places["file "+path] = text
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// forms are the ways in which a secret may be written down. Of base64 each of the three
// alignments is tried, without the characters that depend on what stands beside.
func forms(secret string) map[string][]byte {
	all := map[string][]byte{
		"as it is":        []byte(secret),
		"in upper case":   []byte(strings.ToUpper(secret)),
		"in hex":          []byte(hex.EncodeToString([]byte(secret))),
		"in HEX":          []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
		"in a query":      []byte(url.QueryEscape(secret)),
		"in a path":       []byte(url.PathEscape(secret)),
		"in Go's quotes":  bytes.Trim(fmt.Appendf(nil, "%q", secret), `"`),
		"as Go's numbers": bytes.Trim(fmt.Append(nil, []byte(secret)), "[]"),
	}
	if text, err := json.Marshal(secret); err == nil {
		all["in JSON"] = bytes.Trim(text, `"`)
	}
	for shift := range 3 {
		shifted := append(bytes.Repeat([]byte{' '}, shift), secret...)
		whole := len(shifted) / 3 * 3
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "URL base64": base64.RawURLEncoding} {
			text := encoding.EncodeToString(shifted[:whole])
			if shift > 0 {
				text = text[4:]
			}
			all[fmt.Sprintf("in %s, shifted by %d", name, shift)] = []byte(text)
		}
	}
	return all
}

func (l *leaks) search() {
	l.t.Helper()
	for what, secret := range l.planted {
		if len(secret) < 12 {
			l.t.Errorf("%s is too short to be told from chance", what)
		}
		for form, text := range forms(secret) {
			for place, content := range l.places {
				if i := bytes.Index(content, text); i >= 0 {
					l.t.Errorf("%s stands %s in %s: %q", what, form, place, content[max(0, i-100):min(len(content), i+len(text)+20)])
				}
			}
		}
	}
}

func TestNoSecretIsWrittenDown(t *testing.T) {
	// HOME and TMPDIR of the server are directories that are searched as well.
	home, logs := t.TempDir(), t.TempDir()
	for _, variable := range []string{"HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"} {
		t.Setenv(variable, home)
	}
	l := &leaks{t: t, planted: map[string]string{}, places: map[string][]byte{}}
	audit := filepath.Join(logs, "audit")
	dir := newDir(t)
	l.plant("the root key", read(t, filepath.Join(dir, "root.key")))
	rootBytes, err := base64.StdEncoding.DecodeString(l.planted["the root key"])
	if err != nil {
		t.Fatal(err)
	}
	l.plant("the root key's bytes", string(rootBytes))
	s := serve(t, dir, "--log-level", "debug", "--audit", "file:"+audit)
	key := l.plant("admin's key", s.adminKey(t))
	got, err := newClient(s.url).authenticate("admin", key)
	if err != nil || got.status != 200 {
		t.Fatalf("%v, %v", got, err)
	}
	l.plant("a token", got.body)
	l.plant("a token's signature", signature(t, got.body))
	admin := newClient(s.url)
	admin.token = tokenHeader(got.body)
	nobody := newClient(s.url)

	// By every door that takes secrets or gives them out.
	keys := admin.load(t, "POST", "root", shopPolicy)
	for login, key := range keys {
		if key != "" {
			l.plant("the first key of "+login, key)
		}
	}
	values := map[string]string{
		"shop/db/username":    `Plänted "Välue" 1 <&>\ ` + "\n\t",
		"shop/db/password":    "planted-value-2-" + strings.Repeat("0123456789", 5),
		"shop/db/certificate": "\x00\xff\x01planted\xfe\xfd value 3\x80\x81\x82",
	}
	for id, value := range values {
		path := "/secrets/demo/variable/" + url.PathEscape(id)
		admin.must(t, 201, "POST", path, l.plant("the value of "+id, value))
		admin.must(t, 200, "GET", path, "")
		admin.must(t, 201, "POST", path, l.plant("the next value of "+id, value+" and more of it"))
	}
	ids := "/secrets?variable_ids=demo:variable:shop/db/username,demo:variable:shop/db/password"
	admin.must(t, 200, "GET", ids, "")
	admin.must(t, 200, "GET", ids, "", "Accept-Encoding", "base64")
	admin.must(t, 200, "GET", "/secrets/demo/variable/shop%2Fdb%2Fpassword?version=1", "")
	alice := keys["alice"]
	password := l.plant("a password", "Planted-PassWord-1")
	nobody.must(t, 204, "PUT", "/authn/demo/password", password, "Authorization", basic("alice", alice))
	nobody.must(t, 200, "GET", "/authn/demo/login", "", "Authorization", basic("alice", password))
	nobody.must(t, 204, "PUT", "/authn/demo/password", l.plant("the next password", "Planted-PassWord-2"), "Authorization", basic("alice", password))
	alice = l.plant("a key rotated by password", nobody.must(t, 200, "PUT", "/authn/demo/api_key", "", "Authorization", basic("alice", "Planted-PassWord-2")).body)
	l.plant("a key rotated by key", nobody.must(t, 200, "PUT", "/authn/demo/api_key", "", "Authorization", basic("alice", alice)).body)
	l.plant("a key rotated by another", admin.must(t, 200, "PUT", "/authn/demo/api_key?role=demo:host:shop/web-1", "").body)
	var tokens []struct{ Token string }
	if err := json.Unmarshal([]byte(admin.must(t, 200, "POST", "/host_factory_tokens", "host_factory=demo:host_factory:shop/web&expiration=2099-01-01T00:00:00Z&count=2",
		"Content-Type", "application/x-www-form-urlencoded").body), &tokens); err != nil || len(tokens) != 2 {
		t.Fatalf("%v: %v", tokens, err)
	}
	factory := l.plant("a host factory token", tokens[0].Token)
	l.plant("another host factory token", tokens[1].Token)
	enrolled := nobody.must(t, 201, "POST", "/host_factories/hosts", "id=auto-1", "Authorization", `Token token="`+factory+`"`, "Content-Type", "application/x-www-form-urlencoded")
	var host struct {
		APIKey string `json:"api_key"`
	}
	if err := json.Unmarshal([]byte(enrolled.body), &host); err != nil {
		t.Fatal(err)
	}
	l.plant("the key of an enrolled host", host.APIKey)
	for _, command := range [][]string{{"role", "retrieve-key", "demo:user:alice"}, {"role", "retrieve-key", "demo:host:shop/web-2"}, {"account", "create", "second"}} {
		text, err := s.command(command...)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(text)
		l.plant(fmt.Sprint("what is printed by ", command), words[len(words)-1])
	}
	if text, err := s.commandWithInput(l.plant("a password that was reset", "Planted-PassWord-3")+"\n", "role", "reset-password", "demo:user:alice", "--password-from-stdin"); err != nil {
		t.Fatal(err)
	} else {
		words := strings.Fields(text)
		l.plant("the key of a reset", words[len(words)-1])
	}

	// Where requests fail that carry secrets.
	send := func(c *client, status int, method, path, body string, headers ...string) {
		t.Helper()
		got, err := c.send(method, path, []byte(body), headers...)
		l.refusal(method+" "+path+fmt.Sprint(len(l.places)), got, err, status)
	}
	wrong := l.plant("a wrong key", "0123456789abcdefghjkmnpqrstvwxyzplantedplanted0000")
	weak := l.plant("a weak password", "planted-weak-pass")
	lost := l.plant("a value that is not stored", "planted-value-that-nobody-stores")
	for _, path := range []string{"/authn/demo/alice/authenticate", "/authn/demo/nobody/authenticate", "/authn/other/alice/authenticate", "/authn-ldap/x/demo/alice/authenticate", "/authn-jwt/x/demo/authenticate"} {
		send(nobody, 401, "POST", path, wrong)
		send(nobody, 401, "POST", path, wrong+"\n")
		send(nobody, 401, "POST", path, "jwt="+l.plant("a JWT", "eyJhbGciOiJub25lIn0.eyJwbGFudGVkIjoiand0In0.cGxhbnRlZC1zaWduYXR1cmU"))
	}
	for _, login := range []string{"alice", "nobody", "host/shop/web-1"} {
		send(nobody, 401, "GET", "/authn/demo/login", "", "Authorization", basic(login, wrong))
		send(nobody, 401, "GET", "/authn/demo/login", "", "Authorization", basic(login, weak))
		send(nobody, 401, "PUT", "/authn/demo/api_key", "", "Authorization", basic(login, wrong))
		send(nobody, 401, "PUT", "/authn/demo/password", "Planted-PassWord-4", "Authorization", basic(login, weak))
	}
	l.plant("a password of a failed change", "Planted-PassWord-4")
	send(nobody, 401, "GET", "/authn/other/login", "", "Authorization", basic("alice", password))
	send(nobody, 401, "GET", "/authn/demo/login", "", "Authorization", "Basic "+wrong)
	send(admin, 422, "PUT", "/authn/demo/password", weak, "Authorization", basic("admin", key))
	send(admin, 413, "PUT", "/authn/demo/password", strings.Repeat(weak, 1000), "Authorization", basic("admin", key))
	send(nobody, 413, "POST", "/authn/demo/alice/authenticate", strings.Repeat(wrong, 1000))
	send(admin, 404, "POST", "/secrets/demo/variable/none", lost)
	send(admin, 404, "POST", "/secrets/other/variable/none", lost)
	send(admin, 413, "POST", "/secrets/demo/variable/shop%2Funset", strings.Repeat(lost, 1<<20))
	send(admin, 422, "POST", "/secrets/demo/public_key/user%2Falice%2Falice%40laptop", lost)
	send(admin, 406, "GET", "/secrets?variable_ids=demo:variable:shop/db/username,demo:variable:shop/db/certificate", "")
	web := newClient(s.url).as(t, "host/shop/web-2", keys["host/shop/web-2"])
	send(web, 403, "POST", "/secrets/demo/variable/shop%2Fdb%2Fpassword", lost)
	send(web, 404, "POST", "/secrets/demo/variable/shop%2Funset", lost)
	send(nobody, 401, "POST", "/secrets/demo/variable/shop%2Funset", lost)
	// Tokens that are not quite right.
	forged := strings.Replace(l.planted["a token"], signature(t, l.planted["a token"])[:10], "AAAAAAAAAA", 1)
	for _, header := range []string{tokenHeader(forged), `Token token="` + l.planted["a token"] + `"`, "Token " + l.planted["a token"], "Bearer " + l.planted["a token"]} {
		send(nobody, 401, "GET", "/whoami", "", "Authorization", header)
	}
	send(nobody, 401, "POST", "/host_factories/hosts", "id=auto-2", "Authorization", `Token token="`+l.plant("a wrong factory token", "planted0factory0token0that0is0wrong0000000")+`"`)
	// A file of secrets that was taken for a policy.
	for _, text := range []string{
		l.plant("a private key", "-----BEGIN PRIVATE KEY-----\nMIIEvplantedplantedplantedBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"),
		lost, "password: " + lost, "- " + lost, "[" + lost, "\"" + lost, "{\"password\": \"" + lost + "\"}", "- !variable\n  id: x\n  value: " + lost,
	} {
		for _, c := range []*client{admin, web} {
			got, err := c.send("POST", "/policies/demo/policy/root", []byte(text))
			l.refusal("POST /policies by mistake"+fmt.Sprint(len(l.places)), got, err, 422, 404)
		}
	}

	// While the server runs, after it was killed, and after it has stopped in order.
	l.directory(dir, "root.key")
	l.places["the command line"] = []byte(read(t, fmt.Sprintf("/proc/%d/cmdline", s.cmd.Process.Pid)))
	s.kill()
	l.places["the log"] = []byte(s.stderr.String())
	l.places["standard output"] = bytes.Replace([]byte(s.stdout.String()), []byte("API key for admin: "+key), nil, 1)
	l.directory(dir, "root.key")
	l.search()
	again := serve(t, dir, "--log-level", "debug", "--audit", "file:"+audit)
	again.terminate(t)
	l.places["the log of the restart"] = []byte(again.stderr.String())
	l.places["standard output of the restart"] = []byte(again.stdout.String())
	l.directory(dir, "root.key")
	l.directory(home)
	l.directory(logs)
	l.search()

	// It would have been found: the names that were used are in all of these places.
	for place, name := range map[string]string{"the log": "shop/unset", "file " + audit: "shop/db/password", "file " + filepath.Join(dir, "rekey.db"): "shop/db/password"} {
		if !bytes.Contains(l.places[place], []byte(name)) {
			t.Errorf("%s was not searched: it does not have %q; there are %v", place, name, placesOf(l.places))
		}
	}
	t.Logf("%d secrets in %d places", len(l.planted), len(l.places))
}

func placesOf(places map[string][]byte) (names []string) {
	for name, text := range places {
		if !strings.HasPrefix(name, "the answer") {
			names = append(names, fmt.Sprintf("%s (%d bytes)", name, len(text)))
		}
	}
	return names
}

var signaturePattern = regexp.MustCompile(`"signature":"([^"]+)"`)

func signature(t *testing.T, token string) string {
	t.Helper()
	match := signaturePattern.FindStringSubmatch(token)
	if match == nil {
		t.Fatalf("no signature in %s", token)
	}
	return match[1]
}

// commandWithInput runs a local command with something on its standard input.
func (s *server) commandWithInput(input string, args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--data-dir", s.dir)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
