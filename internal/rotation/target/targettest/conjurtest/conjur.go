// Package conjurtest starts servers for tests that hand out API keys: a real rekey with
// account "acme", which also answers as a Conjur would. It imports core, httpapi,
// store/sqlite, rotation/target/targettest and what a core takes.
package conjurtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/httpapi"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store/sqlite"
)

// Server is a real rekey, behind TLS.
type Server struct {
	Core    *core.Core
	Handler http.Handler
	URL     string
	Old     string // the URL at which it is asked as a Conjur would understand it

	site   *targettest.Site
	serial atomic.Int64
	mu     sync.Mutex
	say    func(r *http.Request) (int, string)
}

const prefix = "rotation/conjur/api-key/"

// Start starts one.
func Start(site *targettest.Site) (*Server, error) {
	text, err := seal.NewRootText(rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := seal.ParseRoot("TEST_KEY", text)
	if err != nil {
		return nil, err
	}
	rows, err := sqlite.Open(site.Dir + "/rekey")
	if err != nil {
		return nil, err
	}
	site.End(func() { rows.Close() })
	c, err := core.Open(context.Background(), core.Options{Store: rows, Audit: audit.To(io.Discard), RootKey: root, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	site.End(func() { c.Close() })
	if _, err := c.CreateAccount(context.Background(), core.Operator(), "acme", nil); err != nil {
		return nil, err
	}
	s := &Server{Core: c, Handler: httpapi.New(c, httpapi.Options{Log: slog.New(slog.DiscardHandler)}), site: site}
	if s.URL, err = site.HTTPS(s); err == nil {
		s.Old, err = site.HTTPS(http.HandlerFunc(s.asConjur))
	}
	return s, err
}

// Answer is asked instead of the server, as long as its status is not 0; nil: nobody is.
func (s *Server) Answer(say func(r *http.Request) (status int, body string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say = say
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	say := s.say
	s.mu.Unlock()
	if say != nil {
		if status, body := say(r); status != 0 {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body) // the client tells
			return
		}
	}
	s.Handler.ServeHTTP(w, r)
}

// asConjur leaves out what Conjur does not know.
func (s *Server) asConjur(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/api_key") {
		known := r.URL.Query()
		for _, name := range []string{"staged", "lapse", "old_key", "request"} {
			known.Del(name)
		}
		r.URL.RawQuery = known.Encode()
	}
	s.ServeHTTP(w, r)
}

// Person is a role of the server and its key.
type Person struct{ Login, Key string }

// Register makes a host, somebody with update on it, and somebody without.
func (s *Server) Register(t testing.TB, name string) (host, boss, stranger Person) {
	t.Helper()
	n := s.serial.Add(1)
	id := fmt.Sprintf("%s%d", name, n)
	_, err := s.Core.LoadPolicy(t.Context(), core.Operator(), "acme:policy:root", policy.Modify, fmt.Appendf(nil, `
- !host %[1]q
- !user boss%[2]d
- !user stranger%[2]d
- !permit { role: !user boss%[2]d, privileges: [ read, update ], resource: !host %[1]q }
- !permit { role: !user stranger%[2]d, privileges: [ read ], resource: !host %[1]q }
`, id, n))
	if err != nil {
		t.Fatal(err)
	}
	known := func(login, kind, identifier string) Person {
		key, err := s.Core.RetrieveKey(t.Context(), core.Operator(), ident.New("acme", kind, identifier))
		if err != nil {
			t.Fatal(err)
		}
		return Person{login, key.RevealString()}
	}
	return known("host/"+id, "host", id), known(fmt.Sprintf("boss%d", n), "user", fmt.Sprintf("boss%d", n)),
		known(fmt.Sprintf("stranger%d", n), "user", fmt.Sprintf("stranger%d", n))
}

// Works tells whether the server accepts a key, asked without the kind and its wire.
func (s *Server) Works(login, key string) bool {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/authn/acme/"+strings.NewReplacer("/", "%2F", " ", "%20", "%", "%25").Replace(login)+"/authenticate", strings.NewReader(key))
	s.Handler.ServeHTTP(w, r.WithContext(context.Background()))
	return w.Code == http.StatusOK
}

// Key is the key of a host that the server holds now.
func (s *Server) Key(t testing.TB, host Person) string {
	t.Helper()
	key, err := s.Core.RetrieveKey(context.Background(), core.Operator(), ident.New("acme", "host", strings.TrimPrefix(host.Login, "host/")))
	if err != nil {
		t.Fatal(err)
	}
	return key.RevealString()
}

// Account is a host of the server.
func (s *Server) Account(t *testing.T, ask targettest.IssuingAsk) targettest.IssuingAccount {
	return s.account(t, ask, s.URL)
}

// AccountAtConjur is one of a server that is asked as a Conjur.
func (s *Server) AccountAtConjur(t *testing.T, ask targettest.IssuingAsk) targettest.IssuingAccount {
	return s.account(t, ask, s.Old)
}

func (s *Server) account(t *testing.T, ask targettest.IssuingAsk, url string) targettest.IssuingAccount {
	t.Helper()
	host, boss, _ := s.Register(t, "app/web-")
	a := targettest.Account{
		Annotations: map[string]string{prefix + "ca": "ca"},
		Values:      map[string]string{"url": url, "account": "acme", "username": host.Login, "ca": s.site.Authority.PEM},
	}
	if ask.Mode == targettest.Admin {
		a.Annotations[prefix+"admin-username"], a.Annotations[prefix+"admin-api-key"] = "/boss/"+boss.Login+"/name", "/boss/"+boss.Login+"/key"
		a.Values["/boss/"+boss.Login+"/name"], a.Values["/boss/"+boss.Login+"/key"] = boss.Login, boss.Key
	}
	return targettest.IssuingAccount{
		Account: a,
		Current: target.Credential{target.Main: secret.FromString(host.Key)},
		// Asking with a staged key would make it the one that counts.
		Holds: func(c target.Credential) bool { return c[target.Main].RevealString() == s.Key(t, host) },
	}
}
