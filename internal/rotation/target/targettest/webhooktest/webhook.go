// Package webhooktest starts a service for tests that changes passwords when it is asked by
// signed requests: a real process, which is the program of the tests itself. It imports
// rotation/target/targettest.
package webhooktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/target/targettest"
)

// argument is the first one of the service, before its address and its directory.
const argument = "-as-server"

// SigningKey is the one of requests.
const SigningKey = "0123456789abcdef0123456789abcdef"

// Be is called first in TestMain: it is the service if this process was started as such,
// and does not return then.
func Be() {
	if len(os.Args) != 4 || os.Args[1] != argument {
		return
	}
	s := &service{users: map[string][]string{}, seen: map[string]bool{}}
	fmt.Fprintln(os.Stderr, http.ListenAndServeTLS(os.Args[2], os.Args[3]+"/server.crt", os.Args[3]+"/server.key", s.handler()))
	os.Exit(1)
}

// Server keeps two passwords for each user.
type Server struct {
	URL string // without a path

	site   *targettest.Site
	client *http.Client
}

// Start starts one.
func Start(site *targettest.Site) (*Server, error) {
	port, err := targettest.Port()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := targettest.Command(site.Dir, self, argument, "127.0.0.1:"+strconv.Itoa(port), site.Dir)
	if err != nil {
		return nil, err
	}
	c.SysProcAttr.Credential = nil // the program lies where others cannot look
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(site.Authority.PEM))
	return &Server{URL: fmt.Sprintf("https://localhost:%d", port), site: site, client: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
	}}, site.Start(c, targettest.Listens(port))
}

// form speaks to the service as its own clients do.
func (s *Server) form(t testing.TB, path, user, password string) int {
	t.Helper()
	r, err := s.client.PostForm(s.URL+path, url.Values{"user": {user}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}

// Create makes a user.
func (s *Server) Create(t testing.TB, user, password string) {
	t.Helper()
	s.form(t, "/add", user, password)
}

// Login tells whether the service accepts a password.
func (s *Server) Login(t *testing.T, user, password string) bool {
	return s.form(t, "/login", user, password) == http.StatusOK
}

// Account makes a user.
func (s *Server) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	s.Create(t, ask.Users[0], ask.Password)
	return s.Of(ask.Users[0])
}

// Of is the account of a user, who need not be there.
func (s *Server) Of(user string) targettest.Account {
	return targettest.Reached{Kind: "webhook",
		Annotations: map[string]string{"ca": "ca", "variables": "username", "secrets": "token", "parameter/zone": "a"},
		Values:      map[string]string{"url": s.URL + "/rotate", "signing-key": SigningKey, "ca": s.site.Authority.PEM, "token": "secret-Token-1"},
	}.Account(targettest.Ask{Mode: targettest.Self, Users: []string{user}})
}

type service struct {
	mu    sync.Mutex
	users map[string][]string
	seen  map[string]bool
}

type question struct {
	ID, Operation, Current, Next, Old, Value string
	Parameters, Variables, Secrets           map[string]string
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rotate", s.rotate)
	// What follows is for the tests.
	mux.HandleFunc("POST /add", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users[r.FormValue("user")] = []string{r.FormValue("password")}
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.users[r.FormValue("user")], r.FormValue("password")) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST /always/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.PathValue("status"))
		if err != nil {
			status = http.StatusTeapot
		}
		w.Header().Set("Location", "/rotate")
		w.WriteHeader(status)
		fmt.Fprint(w, r.URL.Query().Get("body"))
	})
	mux.HandleFunc("POST /slow", func(w http.ResponseWriter, r *http.Request) { time.Sleep(30 * time.Second) })
	mux.HandleFunc("POST /endless", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	return mux
}

// authentic tells whether a request was signed, not long ago, and for the first time.
func (s *service) authentic(r *http.Request, body []byte, id string) bool {
	timestamp := r.Header.Get("Rekey-Timestamp")
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age > 5*time.Minute || age < -5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(SigningKey))
	fmt.Fprintf(mac, "%s.%s", timestamp, body)
	given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("Rekey-Signature"), "v1="))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) || s.seen[id] {
		return false
	}
	s.seen[id] = true
	return true
}

func (s *service) rotate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q question
	if err != nil || json.Unmarshal(body, &q) != nil {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	say := func(status int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // who does not listen any more asks again
	}
	user := q.Variables["username"]
	passwords, known := s.users[user]
	works := func(p string) bool { return slices.Contains(passwords, p) }
	switch {
	case !s.authentic(r, body, q.ID):
		say(http.StatusBadRequest, "the signature is wrong")
	case !known:
		say(http.StatusConflict, "there is no such user")
	case q.Operation == "probe" && !works(q.Value), q.Operation == "apply" && !works(q.Current) && !works(q.Next):
		say(http.StatusUnauthorized, "wrong password")
	case q.Operation == "apply" && works(q.Next), q.Operation == "probe":
		w.WriteHeader(http.StatusNoContent)
	case q.Operation == "apply" && len(q.Next) < 8:
		say(http.StatusUnprocessableEntity, "too short")
	case q.Operation == "apply":
		s.users[user] = []string{q.Current, q.Next}
		w.WriteHeader(http.StatusNoContent)
	default:
		s.users[user] = slices.DeleteFunc(passwords, func(p string) bool { return p == q.Old })
		w.WriteHeader(http.StatusNoContent)
	}
}
