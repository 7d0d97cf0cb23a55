package conjur_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/httpapi"
	"rekey/internal/policy"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/seal"
	"rekey/internal/store/sqlite"
)

// api is a real rekey with account "acme", behind TLS. As old, it is asked as a Conjur
// would understand it: parameters that Conjur does not know are not there.
type api struct {
	core     *core.Core
	handler  http.Handler
	url, old string

	mu  sync.Mutex
	say func(r *http.Request) (int, string) // instead of the server; status 0: not this time
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	say := a.say
	a.mu.Unlock()
	if say != nil {
		if status, body := say(r); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body) // the client tells
			return
		}
	}
	a.handler.ServeHTTP(w, r)
}

// asConjur leaves out what Conjur does not know.
func (a *api) asConjur(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/api_key") {
		known := r.URL.Query()
		for _, name := range []string{"staged", "lapse", "old_key", "request"} {
			known.Del(name)
		}
		r.URL.RawQuery = known.Encode()
	}
	a.ServeHTTP(w, r)
}

var (
	server    *api
	authority *targettest.Authority
	serial    atomic.Int64
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1"); err != nil { // must not matter
		return 0, err
	}
	dir, err := targettest.Dir()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if authority, err = targettest.NewAuthority(); err != nil {
		return 0, err
	}
	text, err := seal.NewRootText(rand.Reader)
	if err != nil {
		return 0, err
	}
	root, err := seal.ParseRoot("TEST_KEY", text)
	if err != nil {
		return 0, err
	}
	rows, err := sqlite.Open(dir + "/rekey")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	c, err := core.Open(context.Background(), core.Options{Store: rows, Audit: audit.To(io.Discard), RootKey: root, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.CreateAccount(context.Background(), core.Operator(), "acme", nil); err != nil {
		return 0, err
	}
	server = &api{core: c, handler: httpapi.New(c, httpapi.Options{Log: slog.New(slog.DiscardHandler)})}
	var stop func()
	if server.url, stop, err = authority.HTTPS(dir, server); err != nil {
		return 0, err
	}
	defer stop()
	if server.old, stop, err = authority.HTTPS(dir, http.HandlerFunc(server.asConjur)); err != nil {
		return 0, err
	}
	defer stop()
	return m.Run(), nil
}

// person is a role of the server and its key.
type person struct{ login, key string }

// register makes a host, somebody with update on it, and somebody without.
func register(t *testing.T, name string) (host, boss, stranger person) {
	t.Helper()
	n := serial.Add(1)
	id := fmt.Sprintf("%s%d", name, n)
	_, err := server.core.LoadPolicy(t.Context(), core.Operator(), "acme:policy:root", policy.Modify, fmt.Appendf(nil, `
- !host %[1]q
- !user boss%[2]d
- !user stranger%[2]d
- !permit { role: !user boss%[2]d, privileges: [ read, update ], resource: !host %[1]q }
- !permit { role: !user stranger%[2]d, privileges: [ read ], resource: !host %[1]q }
`, id, n))
	if err != nil {
		t.Fatal(err)
	}
	known := func(login, kind, identifier string) person {
		key, err := server.core.RetrieveKey(t.Context(), core.Operator(), identOf(kind, identifier))
		if err != nil {
			t.Fatal(err)
		}
		return person{login, key.RevealString()}
	}
	return known("host/"+id, "host", id), known(fmt.Sprintf("boss%d", n), "user", fmt.Sprintf("boss%d", n)),
		known(fmt.Sprintf("stranger%d", n), "user", fmt.Sprintf("stranger%d", n))
}

// works tells whether the server accepts a key, asked without the kind and its wire.
func works(t *testing.T, login, key string) bool {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/authn/acme/"+strings.NewReplacer("/", "%2F", " ", "%20", "%", "%25").Replace(login)+"/authenticate", strings.NewReader(key))
	server.handler.ServeHTTP(w, r.WithContext(context.Background()))
	return w.Code == http.StatusOK
}

// currentKey is the key that the server holds now.
func currentKey(t *testing.T, host person) string {
	t.Helper()
	key, err := server.core.RetrieveKey(context.Background(), core.Operator(), identOf("host", strings.TrimPrefix(host.login, "host/")))
	if err != nil {
		t.Fatal(err)
	}
	return key.RevealString()
}
