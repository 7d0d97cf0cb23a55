package httpapi

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestCollapse(t *testing.T) {
	for given, want := range map[string]string{
		"/":            "",
		"":             "",
		"/a/b":         "a/b",
		"//a//b///":    "a/b",
		"/a/%2F/b/":    "a/%2F/b",
		"/a/./../b":    "a/./../b",
		"/a%2F%2Fb//c": "a%2F%2Fb/c",
	} {
		if got := collapse(given); got != want {
			t.Errorf("collapse(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	cases := []struct {
		name, pattern, path string
		want                *captures // nil: does not fit
	}{
		{"literal", "/whoami", "whoami", &captures{}},
		{"case counts", "/whoami", "WhoAmI", nil},
		{"longer than the pattern", "/whoami", "whoami/x", nil},
		{"shorter than the pattern", "/accounts/:id", "accounts", nil},
		{"root", "/", "", &captures{}},
		{"encoded slash in a single segment", "/accounts/:id", "accounts/a%2Fb", &captures{id: "a/b"}},
		{"raw slash does not fit a single segment", "/accounts/:id", "accounts/a/b", nil},
		{"raw slashes in an id", "/secrets/:account/variable/*id", "secrets/acme/variable/app/db", &captures{account: "acme", id: "app/db"}},
		{"encoded slashes in an id", "/secrets/:account/variable/*id", "secrets/acme/variable/app%2fdb", &captures{account: "acme", id: "app/db"}},
		{"both", "/secrets/:account/variable/*id", "secrets/acme/variable/a%2F%2Fb/c", &captures{account: "acme", id: "a//b/c"}},
		{"leading encoded slash", "/secrets/:account/variable/*id", "secrets/acme/variable/%2Fapp", &captures{account: "acme", id: "/app"}},
		{"decoded once", "/secrets/:account/variable/*id", "secrets/acme/variable/a%252Fb", &captures{account: "acme", id: "a%2Fb"}},
		{"plus is a plus", "/secrets/:account/variable/*id", "secrets/acme/variable/a+b%2Bc", &captures{account: "acme", id: "a+b+c"}},
		{"dots are text", "/secrets/:account/variable/*id", "secrets/acme/variable/../x.json", &captures{account: "acme", id: "../x.json"}},
		{"odd characters", "/secrets/:account/variable/*id", "secrets/acme/variable/a:b;c@d%3Fe%20f%0Ag", &captures{account: "acme", id: "a:b;c@d?e f\ng"}},
		{"id missing", "/secrets/:account/variable/*id", "secrets/acme/variable", nil},
		{"account with a slash", "/secrets/:account/variable/*id", "secrets/ri%2Fg/variable/x", nil},
		{"account with a colon", "/secrets/:account/variable/*id", "secrets/a:b/variable/x", nil},
		{"kind of roles", "/roles/:account/:role_kind/*id", "roles/acme/host_factory/x", &captures{account: "acme", kind: "host_factory", id: "x"}},
		{"kind that is no role's", "/roles/:account/:role_kind/*id", "roles/acme/variable/x", nil},
		{"kind in capitals", "/roles/:account/:role_kind/*id", "roles/acme/User/x", nil},
		{"kind of resources", "/resources/:account/:resource_kind", "resources/acme/configuration", &captures{account: "acme", kind: "configuration"}},
		{"authenticator", "/:authenticator/:account/api_key", "authn-ldap/acme/api_key", &captures{authenticator: "authn-ldap", account: "acme"}},
		{"not an authenticator", "/:authenticator/:account/api_key", "auth/acme/api_key", nil},
		{"several segments in the middle", "/authn/*id/members/:any_kind", "authn/a/b/members/c", &captures{id: "a/b", kind: "c"}},
		{"several segments are few", "/authn/*id/members/*id", "authn/a/members/members/members/b", &captures{id: "a"}},
		{"several segments must end", "/authn/*id/members", "authn/a/b", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got captures
			fits := match(compile(c.pattern), c.path, &got)
			if fits != (c.want != nil) {
				t.Fatalf("%s fits %s: %t", c.path, c.pattern, fits)
			}
			if fits && got != *c.want {
				t.Errorf("captured %q, want %q", got, *c.want)
			}
		})
	}
}

func TestCompileRefusesUnknownPlaceholders(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	compile("/x/:nothing")
}

func TestRawPathKeepsEncodedSlashes(t *testing.T) {
	for given, want := range map[string]string{
		"/a%2Fb?c=/d":              "/a%2Fb",
		"/a%2Fb\u00e9":             "/a%2Fb\u00e9",
		"//a//b":                   "//a//b",
		"http://host/a%2Fb/c?x=1":  "/a%2Fb/c",
		"/secrets/acme/variable/+": "/secrets/acme/variable/+",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = given
		r.URL, _ = url.ParseRequestURI(given)
		if got := rawPath(r); got != want {
			t.Errorf("rawPath(%q) = %q, want %q", given, got, want)
		}
	}
}

// A path finds the same id however its slashes are encoded, and nothing that can be
// sent makes the matcher fail.
func FuzzPath(f *testing.F) {
	f.Add("app/db/password")
	f.Add("a//b")
	f.Add("%2F%zz\x00\xff")
	f.Add("../..?x")
	table := newRouting(routes)
	f.Fuzz(func(t *testing.T, text string) {
		e := &exchange{r: httptest.NewRequest("GET", "/", nil)}
		e.r.RequestURI = "/" + text
		table.find(e) // whatever it is

		if text == "" {
			return
		}
		e.r.RequestURI = "/secrets/acme/variable/" + url.PathEscape(text)
		row, rule := table.find(e)
		if row == nil || rule != token || e.path[id] != text || e.path[account] != "acme" {
			t.Fatalf("encoded: %v %q", row, e.path)
		}
		if strings.Contains("/"+text+"/", "//") {
			return
		}
		e.r.RequestURI = "/secrets/acme/variable/" + strings.ReplaceAll(url.PathEscape(text), "%2F", "/")
		if row, _ := table.find(e); row == nil || e.path[id] != text {
			t.Fatalf("with raw slashes: %v %q", row, e.path)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	table := newRouting(routes)
	e := &exchange{r: httptest.NewRequest("GET", "/secrets/acme/variable/app/db/password", nil)}
	b.ReportAllocs()
	for b.Loop() {
		if row, _ := table.find(e); row == nil {
			b.Fatal("not found")
		}
	}
}
