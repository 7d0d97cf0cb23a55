package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"rekey/internal/ident"
)

// Given a server that takes short requests only, when many variables are read, then all
// of them come, in several requests; with another one, in a single request.
func TestManyVariablesAreReadAtOnce(t *testing.T) {
	const many = 300
	server, key := serve(t)
	target, err := url.Parse(server)
	check(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	longest, batches := 0, 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("variable_ids") {
			batches++
			if longest > 0 && len(r.RequestURI) > longest {
				http.Error(w, "", http.StatusBadRequest)
				return
			}
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("CONJUR_APPLIANCE_URL", proxy.URL)
	logInAs(t, "admin", key)
	s, err := Open(t.Context(), Options{})
	check(t, err)
	var policy strings.Builder
	var ids []ident.ID
	for i := range many {
		fmt.Fprintf(&policy, "- !variable a-long-way/down/to/number-%d\n", i)
		ids = append(ids, ident.New("demo", "variable", fmt.Sprintf("a-long-way/down/to/number-%d", i)))
	}
	_, err = s.Load("load", "demo:policy:root", policy.String())
	check(t, err)
	for i, id := range ids {
		check(t, s.API.AddSecret(string(id), fmt.Sprint("value ", i)))
	}
	for _, c := range []struct {
		longest int
		one     bool
	}{{0, true}, {8000, false}} {
		longest, batches = c.longest, 0
		values, err := s.Values(ids, 0)
		check(t, err)
		if (batches == 1) != c.one {
			t.Errorf("at most %d bytes: %d requests", c.longest, batches)
		}
		for i, id := range ids {
			if got := string(values[id]); got != fmt.Sprint("value ", i) {
				t.Fatalf("%s is %q", id, got)
			}
		}
	}
}
