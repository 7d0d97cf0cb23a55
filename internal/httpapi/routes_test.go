package httpapi

import (
	"slices"
	"testing"
)

// Which paths answer without a token is decided here, twice on purpose.
func TestPathsWithoutToken(t *testing.T) {
	var open []string
	for _, row := range routes {
		if row.credential != token {
			open = append(open, row.method+" "+row.pattern)
		}
		// To enrol a host takes a token of another kind, without which no body is read:
		// TestATokenThatIsNotGoodIsRefusedWithoutAReason.
		if row.credential != token && row.body > keyBody && row.pattern != "/host_factories/hosts" {
			t.Errorf("%s %s reads %d bytes from anybody", row.method, row.pattern, row.body)
		}
	}
	want := []string{
		"GET /", "GET /heartbeat", "GET /css/status-page.css", "GET /openapi.yaml", "GET /metrics", "GET /health",
		"GET /authn/:account/login", "GET /authn/:service/:account/login",
		"POST /authn/:account/:id/authenticate", "POST /authn/:service/:account/:id/authenticate",
		"POST /:authenticator/:account/:id/authenticate", "POST /:authenticator/:service/:account/:id/authenticate",
		"PUT /authn/:account/password", "PUT /:authenticator/:account/api_key", "GET /:authenticator/:account/api_key",
		"PATCH /:authenticator/:account", "PATCH /:authenticator/:service/:account",
		"GET /public_keys/:account/:key_kind/*id", "GET /authenticators", "POST /host_factories/hosts",
	}
	if !slices.Equal(open, want) {
		t.Errorf("open paths:\ngot  %q\nwant %q", open, want)
	}
}

// A row that an earlier one with the same pattern hides would never answer.
func TestNoRowIsHidden(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range routes {
		key := row.method + " " + row.pattern
		if seen[key] {
			t.Errorf("%s is in the table twice", key)
		}
		seen[key] = true
	}
}
