package client

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// answering is a server that is none of ours.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // fails if the client has gone
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestALoginThatFailsSaysWhy(t *testing.T) {
	ours, _ := serve(t)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	nobody := "http://" + closed.Addr().String()
	check(t, closed.Close())

	const good = "314nrg8243pcbv15nevmm166eqyvycj7522cpgeqnab3rq1kx1kyg"
	for _, c := range []struct {
		name, url, login, key string
		kind                  fault.Kind
		want                  string
	}{
		{"nobody listens", nobody, "admin", good, fault.Unavailable, "unreachable: " + nobody},
		{"the name is unknown", "http://rekey.invalid", "admin", good, fault.Unavailable, "unreachable: the host name of http://rekey.invalid is not known"},
		{"TLS that is not trusted", secure.URL, "admin", good, fault.Unavailable, "TLS: the certificate of " + secure.URL + " is not trusted"},
		{"no TLS there", strings.Replace(ours, "http:", "https:", 1), "admin", good, fault.Unavailable, "does not speak TLS"},
		{"TLS only there", strings.Replace(secure.URL, "https:", "http:", 1), "admin", good, fault.Unavailable, "speaks TLS only"},
		{"another path", ours + "/x", "admin", good, fault.Unavailable, "wrong URL"},
		{"a web site", answering(t, 200, "<h1>Welcome"), "admin", good, fault.Unavailable, "wrong URL"},
		{"a web site without that page", answering(t, 404, "<h1>Not here"), "admin", good, fault.Unavailable, "wrong URL"},
		{"a site that wants a login", answering(t, 401, ""), "admin", good, fault.Unavailable, "wrong URL"},
		{"a server that is broken", answering(t, 500, ""), "admin", good, fault.Unavailable, "the server answered Internal Server Error"},
		{"the wrong key", ours, "admin", good, fault.Unauthenticated, "refuses the login 'admin' of account 'demo'"},
		{"a key with a line break", ours, "host/web", good + "\n", fault.Unauthenticated, "the key ends in a line break"},
		{"a key with a blank", ours, "admin", good + " ", fault.Unauthenticated, "the key ends in a blank"},
		{"a key that is too long", ours, "host/web", good + "0000", fault.Unauthenticated, "the key has 57 characters, keys have 51 to 56"},
		{"a password as a host", ours, "host/web", "Correct-Horse-1", fault.Unauthenticated, "the key has an upper-case letter at position 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			configure(t, c.url)
			s, err := Anonymous(t.Context(), Options{})
			check(t, err)
			_, err = s.LogIn(c.login, secret.FromString(c.key), true)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if err != nil && (strings.Contains(err.Error(), c.key) || advice(err) == "") {
				t.Errorf("%v; %s", err, advice(err))
			}
		})
	}
}

func TestAPasswordIsNotLookedAtAsAKey(t *testing.T) {
	ours, _ := serve(t)
	configure(t, ours)
	s, err := Anonymous(t.Context(), Options{})
	check(t, err)
	_, err = s.LogIn("admin", secret.FromString("Correct-Horse-Battery-1"), false)
	if !fault.Is(err, fault.Unauthenticated) || strings.Contains(err.Error(), "upper-case") {
		t.Error(err)
	}
}
