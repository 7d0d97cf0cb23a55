package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"rekey/internal/fault"
)

// TestAwaitRotation follows rotations that go as the server says.
func TestAwaitRotation(t *testing.T) {
	const problem = `,"error":{"at":"%s","class":"refused","message":"no privilege"}}`
	for _, c := range []struct {
		name    string
		answers []string // the last one stays
		states  string
		err     string
	}{
		{"to the new version", []string{`{"state":"idle","version":1}`, `{"state":"applying","version":1}`, `{"state":"applying","version":1}`, `{"state":"retiring","version":2}`}, "idle applying retiring", ""},
		{"to a failure", []string{`{"state":"applying","version":1}`, `{"state":"backoff","version":1` + fmt.Sprintf(problem, "now")}, "applying backoff", "refused: no privilege"},
		{"past a failure from before", []string{`{"state":"idle","version":1` + fmt.Sprintf(problem, "before"), `{"state":"idle","version":2}`}, "idle", ""},
		{"to quarantine", []string{`{"state":"quarantined","version":1` + fmt.Sprintf(problem, "now")}, "quarantined", "has failed: refused: no privilege"},
		{"to a target that has changed", []string{`{"state":"suspended","version":1}`}, "suspended", "not the one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			real, key := serve(t)
			behind, err := url.Parse(real)
			check(t, err)
			forward, asked := httputil.NewSingleHostReverseProxy(behind), 0
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/rotations/") {
					forward.ServeHTTP(w, r)
					return
				}
				answer := c.answers[min(asked, len(c.answers)-1)]
				asked++
				fmt.Fprint(w, strings.Replace(answer, "{", `{"variable":"demo:variable:db",`, 1))
			}))
			t.Cleanup(front.Close)
			configure(t, front.URL)
			logInAs(t, "admin", key)
			s, err := Open(t.Context(), Options{})
			check(t, err)
			before := ValueRotation{Variable: "demo:variable:db", Version: 1}
			before.Error = &struct{ At, Class, Message string }{At: "before"}
			var states []string
			_, err = s.AwaitRotation(t.Context(), before, func(r ValueRotation) { states = append(states, r.State) })
			if got := strings.Join(states, " "); got != c.states {
				t.Errorf("states %s, want %s", got, c.states)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, want %q", err, c.err)
			}
			if c.err == "" {
				return
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			asked, before.Version = 0, 0
			c.answers = []string{`{"state":"idle","version":0}`}
			if _, err := s.AwaitRotation(over, before, func(ValueRotation) {}); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("interrupted: %v", err)
			}
		})
	}
}
