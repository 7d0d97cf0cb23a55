package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/metrics"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store/sqlite"
)

// testServer is the real thing: the API over a core over a database in a fresh
// directory, behind a real listener, with an account acme whose administrator is
// logged in.
type testServer struct {
	*testing.T
	core     *core.Core
	handler  http.Handler
	url      *url.URL
	http     *http.Client
	memory   *memory // the target on which variables rotate
	trail    *tape
	adminKey string
	admin    string // Authorization header of acme's administrator
}

// tape takes the audit until it is full, and keeps nothing.
type tape struct{ full atomic.Bool }

func (t *tape) Write(p []byte) (int, error) {
	if t.full.Load() {
		return 0, errors.New("no space left on device")
	}
	return len(p), nil
}

// newTestServer starts one. The sets are stored before it starts, after the account.
func newTestServer(t *testing.T, sets ...*row.Set) *testServer {
	t.Helper()
	return newTestServerWith(t, func(*core.Config) {}, sets...)
}

// newTestServerWith starts one whose core is configured otherwise.
func newTestServerWith(t *testing.T, configure func(*core.Config), sets ...*row.Set) *testServer {
	t.Helper()
	store, err := sqlite.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	root, err := seal.ParseRoot("the test", text)
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	count := metrics.New()
	config := core.Default()
	config.PasswordCost = 4 // bcrypt's least
	configure(&config)
	kind := &memory{}
	trail := &tape{}
	open := func() *core.Core {
		c, err := core.Open(context.Background(), core.Options{
			Store: store, Audit: audit.To(trail), RootKey: root, Config: config,
			Now: time.Now, Rand: rand.Reader, Log: log, Metrics: count,
			Hooks:   []core.Hook{{Name: "deploy", About: []string{"acme:variable:app/*", "acme:user:watcher"}}},
			Targets: &core.Targets{Kinds: map[string]target.Kind{kind.Name(): kind}, Node: "test", Limits: rotation.DefaultLimits()},
		})
		must(t, err)
		return c
	}
	c := open()
	key, err := c.CreateAccount(context.Background(), core.Operator(), "acme", nil)
	must(t, err)
	if len(sets) > 0 {
		must(t, c.Close())
		refused, err := store.Commit(context.Background(), sets)
		must(t, errors.Join(append(refused, err)...))
		c = open()
	}
	t.Cleanup(func() { must(t, c.Close()) })

	s := &testServer{T: t, core: c, memory: kind, trail: trail, adminKey: key.RevealString()}
	s.handler = documented(t, New(c, Options{
		Log:            log,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		ListLimit:      1000,
		Metrics:        count,
		OverdueLimit:   time.Hour,
	}))
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.url, err = url.Parse(server.URL)
	must(t, err)
	s.http = &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
	t.Cleanup(s.http.CloseIdleConnections)
	s.admin = s.token("admin", s.adminKey)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// in is the same server in a subtest.
func (s *testServer) in(t *testing.T) *testServer {
	sub := *s
	sub.T = t
	return &sub
}

// run makes a subtest with the server in it.
func (s *testServer) run(name string, test func(s *testServer)) {
	s.T.Run(name, func(t *testing.T) { test(s.in(t)) })
}

// call is a request that is put together and then sent with one of its methods.
type call struct {
	s      *testServer
	method string
	target string // path and query, to the letter
	header http.Header
	body   []byte
}

func (s *testServer) call(method, target string) *call {
	return &call{s: s, method: method, target: target, header: http.Header{}}
}

// as sends an Authorization header.
func (c *call) as(authorization string) *call { return c.with("Authorization", authorization) }

func (c *call) with(name, value string) *call {
	c.header.Add(name, value)
	return c
}

func (c *call) data(body string) *call {
	c.body = []byte(body)
	return c
}

func (c *call) send() *reply {
	c.s.Helper()
	path, query, _ := strings.Cut(c.target, "?")
	r, err := http.NewRequest(c.method, c.s.url.String(), bytes.NewReader(c.body))
	must(c.s.T, err)
	r.URL = &url.URL{Scheme: "http", Host: c.s.url.Host, Opaque: path, RawQuery: query}
	if strings.HasPrefix(path, "//") {
		r.URL.Opaque = "" // would be taken for a host
		r.URL.Path = path
	}
	r.Header = c.header
	if r.Header.Get("User-Agent") == "" {
		r.Header["User-Agent"] = []string{"test"}
	}
	answer, err := c.s.http.Do(r)
	must(c.s.T, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(c.s.T, err)
	return &reply{s: c.s, what: c.method + " " + c.target, Response: answer, body: string(body)}
}

// is sends the request and compares status and body.
func (c *call) is(status int, body string) *reply {
	c.s.Helper()
	return c.send().is(status, body)
}

// reply is an answer, read.
type reply struct {
	s    *testServer
	what string
	*http.Response
	body string
}

func (r *reply) is(status int, body string) *reply {
	r.s.Helper()
	r.status(status)
	if r.body != body {
		r.s.Errorf("%s:\ngot  %s\nwant %s", r.what, r.body, body)
	}
	return r
}

func (r *reply) status(status int) *reply {
	r.s.Helper()
	if r.StatusCode != status {
		r.s.Errorf("%s: status %d, want %d (%s)", r.what, r.StatusCode, status, r.body)
	}
	return r
}

// has compares a header; "" means that it is absent.
func (r *reply) has(name, want string) *reply {
	r.s.Helper()
	if got := strings.Join(r.Header.Values(name), "|"); got != want {
		r.s.Errorf("%s: %s is %q, want %q", r.what, name, got, want)
	}
	return r
}

// confided checks what every answer with something secret in it must say.
func (r *reply) confided() *reply {
	r.s.Helper()
	return r.has("Cache-Control", "no-store").has("Etag", "")
}

// decode reads the body as JSON.
func (r *reply) decode(to any) *reply {
	r.s.Helper()
	if err := json.Unmarshal([]byte(r.body), to); err != nil {
		r.s.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
	return r
}

// ids are the ids of a list of resources.
func (r *reply) ids() []string {
	r.s.Helper()
	var list []struct{ ID string }
	r.status(200).decode(&list)
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids
}

// token logs a role of acme in: its Authorization header.
func (s *testServer) token(login, key string) string {
	s.Helper()
	got := s.call("POST", "/authn/acme/"+url.PathEscape(login)+"/authenticate").data(key).send().status(200)
	return `Token token="` + base64.StdEncoding.EncodeToString([]byte(got.body)) + `"`
}

func basic(login, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

// load loads a policy into root and returns the API keys of the new roles by full id.
func (s *testServer) load(text string) map[string]string {
	s.Helper()
	var loaded struct {
		Created map[string]struct {
			Key string `json:"api_key"`
		} `json:"created_roles"`
	}
	s.call("POST", "/policies/acme/policy/root").as(s.admin).data(text).send().status(201).decode(&loaded)
	keys := map[string]string{}
	for id, role := range loaded.Created {
		keys[id] = role.Key
	}
	return keys
}

// password gives a user a password.
func (s *testServer) password(login, key, password string) {
	s.Helper()
	s.call("PUT", "/authn/acme/password").as(basic(login, key)).data(password).is(204, "")
}

func (s *testServer) set(variable, value string) {
	s.Helper()
	s.call("POST", "/secrets/acme/variable/"+variable).as(s.admin).data(value).is(201, "")
}

// notFound is the error of a missing or invisible record of acme.
func notFound(kind, identifier string) string {
	shown := strings.ToUpper(kind[:1]) + kind[1:]
	return `{"error":{"code":"not_found","message":"` + shown + ` '` + identifier + `' not found in account 'acme'","target":"` + kind +
		`","details":{"code":"not_found","target":"id","message":"acme:` + kind + `:` + identifier + `"}}}`
}

func argumentError(message string) string {
	return `{"error":{"code":"argument_error","message":"` + message + `"}}`
}

func unprocessable(message string) string {
	return `{"error":{"code":"unprocessable_entity","message":"` + message + `"}}`
}
