package httpapi

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/secret"
)

var noon = time.Date(2025, 11, 10, 16, 0, 50, 879e6, time.UTC)

func TestResourceShapes(t *testing.T) {
	resource := func(kind string) core.ResourceView {
		return core.ResourceView{Resource: row.Resource{ID: ident.New("acme", kind, "x"), Owner: "acme:policy:app", CreatedAt: noon}}
	}
	head := func(kind string) string {
		return `{"created_at":"2025-11-10T16:00:50.879+00:00","id":"acme:` + kind + `:x","owner":"acme:policy:app"`
	}
	variable := resource("variable")
	variable.Policy = "acme:policy:root"
	variable.Permissions = []row.Permission{
		{Privilege: "execute", Role: "acme:user:carol", Policy: "acme:policy:root"},
		{Privilege: "read", Role: "acme:user:dave"},
	}
	variable.Annotations = []row.Annotation{{Name: "description", Value: "<DB>", Policy: "acme:policy:root"}}
	variable.Secrets = []core.SecretVersion{{Version: 1}, {Version: 2, ExpiresAt: noon}}
	host := resource("host")
	host.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	policy := resource("policy")
	policy.PolicyVersions = []row.PolicyVersion{{Policy: "acme:policy:x", Version: 2, Role: "acme:user:admin", CreatedAt: noon,
		FinishedAt: noon, ClientIP: "127.0.0.1", SHA256: "ab", Text: "- !user bob\n"}}
	factory := resource("host_factory")
	factory.Tokens = []core.FactoryToken{{ExpiresAt: noon, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Token: secret.FromString("t0")}}
	factory.Layers = []ident.ID{"acme:layer:a", "acme:layer:b"}

	cases := []struct {
		name  string
		given core.ResourceView
		want  string
	}{
		{"variable", variable, head("variable") + `,"policy":"acme:policy:root",` +
			`"permissions":[{"privilege":"execute","role":"acme:user:carol","policy":"acme:policy:root"},{"privilege":"read","role":"acme:user:dave"}],` +
			`"annotations":[{"name":"description","value":"\u003cDB\u003e","policy":"acme:policy:root"}],` +
			`"secrets":[{"version":1,"expires_at":null},{"version":2,"expires_at":"2025-11-10T16:00:50.879+00:00"}]}`},
		{"variable without anything", resource("variable"), head("variable") + `,"permissions":[],"annotations":[],"secrets":[]}`},
		{"group", resource("group"), head("group") + `,"permissions":[],"annotations":[]}`},
		{"host", host, head("host") + `,"permissions":[],"annotations":[],"restricted_to":["10.0.0.0/8","::1/128"]}`},
		{"user without restriction", resource("user"), head("user") + `,"permissions":[],"annotations":[],"restricted_to":[]}`},
		{"policy", policy, head("policy") + `,"permissions":[],"annotations":[],"policy_versions":[{"version":2,` +
			`"created_at":"2025-11-10T16:00:50.879+00:00","policy_text":"- !user bob\n","policy_sha256":"ab",` +
			`"finished_at":"2025-11-10T16:00:50.879+00:00","client_ip":"127.0.0.1","id":"acme:policy:x","role":"acme:user:admin"}]}`},
		{"host factory", factory, head("host_factory") + `,"permissions":[],"annotations":[],` +
			`"tokens":[{"expiration":"2025-11-10T16:00:50Z","cidr":["10.0.0.0/8"],"token":"t0"}],"layers":["acme:layer:a","acme:layer:b"]}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := string(appendResource(nil, c.given)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRoleShapes(t *testing.T) {
	member := row.Membership{Role: "acme:group:ops", Member: "acme:user:admin", Admin: true, Ownership: true, Policy: "acme:policy:root"}
	got := string(appendRole(nil, core.RoleView{Role: row.Role{ID: "acme:group:ops", CreatedAt: noon, Policy: "acme:policy:root"}, Members: []row.Membership{member}}))
	want := `{"created_at":"2025-11-10T16:00:50.879+00:00","id":"acme:group:ops","policy":"acme:policy:root",` +
		`"members":[{"admin_option":true,"ownership":true,"role":"acme:group:ops","member":"acme:user:admin","policy":"acme:policy:root"}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(appendMembership(nil, row.Membership{Role: "a:group:g", Member: "a:user:u"})); got != `{"admin_option":false,"ownership":false,"role":"a:group:g","member":"a:user:u"}` {
		t.Error(got)
	}
	if got := string(appendEdge(nil, core.Edge{Parent: "a:group:g", Child: "a:user:u"})); got != `{"parent":"a:group:g","child":"a:user:u"}` {
		t.Error(got)
	}
	if got := string(appendCount(nil, 3)); got != `{"count":3}` {
		t.Error(got)
	}
}

func TestLoadedShape(t *testing.T) {
	got := string(appendLoaded(nil, core.Loaded{Version: 3, Warnings: []string{"careful"}, Created: []core.CreatedRole{
		{ID: "acme:host:h"}, {ID: "acme:user:bob", APIKey: secret.FromString("k1")}}}))
	want := `{"created_roles":{"acme:host:h":{"id":"acme:host:h","api_key":null},"acme:user:bob":{"id":"acme:user:bob","api_key":"k1"}},"version":3,"warnings":["careful"]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(appendLoaded(nil, core.Loaded{Version: 1})); got != `{"created_roles":{},"version":1}` {
		t.Error(got)
	}
}

// Whatever the texts in it, an answer is JSON with the same texts in it.
func FuzzResource(f *testing.F) {
	f.Add("app/db", "read", "description", `say "hi"`)
	f.Add("\xff\u2028", "\x00", "<&>", "\\")
	f.Fuzz(func(t *testing.T, identifier, privilege, name, value string) {
		type object = map[string]any
		view := core.ResourceView{
			Resource:    row.Resource{ID: ident.New("acme", "group", identifier), Owner: ident.New("acme", "user", value), CreatedAt: noon},
			Permissions: []row.Permission{{Privilege: privilege, Role: ident.New("acme", "role", name)}},
			Annotations: []row.Annotation{{Name: name, Value: value}},
		}
		var got, want any
		if err := json.Unmarshal(appendResource(nil, view), &got); err != nil {
			t.Fatal(err)
		}
		reference, err := json.Marshal(object{
			"created_at": "2025-11-10T16:00:50.879+00:00", "id": view.ID, "owner": view.Owner,
			"permissions": []object{{"privilege": privilege, "role": view.Permissions[0].Role}},
			"annotations": []object{{"name": name, "value": value}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestBatchValues(t *testing.T) {
	ids := []ident.ID{"a:variable:x", "a:variable:y"}
	values := []core.Value{{Value: secret.FromString("v<1>")}, {Value: secret.FromString("0123456789012345678901234567890123456789012345\n")}}
	body, err := appendValues(ids, values, appendPlain)
	if want := `{"a:variable:x":"v\u003c1\u003e","a:variable:y":"0123456789012345678901234567890123456789012345\n"}`; err != nil || string(body) != want {
		t.Errorf("%s %v", body, err)
	}
	body, err = appendValues(ids, values, appendMIME)
	if want := `{"a:variable:x":"djwxPg==\n","a:variable:y":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0\nNQo=\n"}`; err != nil || string(body) != want {
		t.Errorf("%s %v", body, err)
	}
	if _, err := appendValues(ids, []core.Value{{}, {Value: secret.New([]byte{0xff})}}, appendPlain); failureOf(err, false).status != 406 {
		t.Errorf("a binary value in plain mode: %v", err)
	}
}

func BenchmarkResourceList(b *testing.B) {
	view := core.ResourceView{Resource: row.Resource{ID: "acme:variable:app/db/password", Owner: "acme:policy:app", Policy: "acme:policy:root", CreatedAt: noon},
		Permissions: []row.Permission{{Privilege: "execute", Role: "acme:user:carol", Policy: "acme:policy:root"}},
		Annotations: []row.Annotation{{Name: "description", Value: "DB", Policy: "acme:policy:root"}},
		Secrets:     []core.SecretVersion{{Version: 1}}}
	list := make([]core.ResourceView, 1000)
	for i := range list {
		list[i] = view
	}
	var to []byte
	b.ReportAllocs()
	for b.Loop() {
		to = appendList(to[:0], list, appendResource)
	}
}
