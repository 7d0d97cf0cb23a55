package core_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

// world is a core on a real store, with the account acme and its administrator.
type world struct {
	*core.Core
	t        *testing.T
	adminKey secret.Bytes
	audit    *trail
	dir      string
	config   core.Config
	commit   func(stored func() ([]error, error)) ([]error, error) // stands around the next commit, once
	watching sync.Mutex                                            // held while watch is called or changed: commits come from the background, too
	// watch stands around every commit.
	watch   func(sets []*row.Set, stored func() ([]error, error)) ([]error, error)
	between func() // called once, before the store is asked for a sealed value or key
	root    *seal.Root
	log     slog.Handler
	now     time.Time
	store   store.Store
	close   func()
	keys    map[ident.ID]secret.Bytes // of users that a test has made
	cached  core.Caller               // the administrator, where authenticating would be in the way
}

// trail keeps what the audit writes.
type trail struct {
	mu    sync.Mutex
	lines strings.Builder
	fail  error
}

func (l *trail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	return l.lines.Write(p)
}

func (l *trail) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.lines.Reset()
	return l.lines.String()
}

func newWorld(t *testing.T, configure ...func(*core.Config)) *world {
	t.Helper()
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	root, err := seal.ParseRoot("TEST_KEY", text)
	must(t, err)
	w := &world{t: t, audit: &trail{}, dir: t.TempDir(), config: core.Default(), root: root, log: slog.NewTextHandler(io.Discard, nil), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	w.config.PasswordCost = 4 // bcrypt's least: its slowness is not what is tried here
	for _, set := range configure {
		set(&w.config)
	}
	w.open()
	t.Cleanup(func() { w.close() })
	w.adminKey, err = w.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	w.audit.take()
	return w
}

func (w *world) open() {
	w.t.Helper()
	st, err := sqlite.Open(w.dir)
	must(w.t, err)
	w.Core, err = core.Open(ctx, core.Options{
		Store: &interrupted{st, w}, Audit: audit.To(w.audit), RootKey: w.root, Config: w.config,
		Now: func() time.Time { return w.now }, Rand: rand.Reader, Log: slog.New(w.log),
	})
	must(w.t, err)
	opened := w.Core
	w.store = st
	w.close = func() {
		must(w.t, opened.Close())
		must(w.t, st.Close())
	}
}

// interrupted lets a test do something at the moment when a request has decided, and
// has not read yet.
type interrupted struct {
	store.Store
	w *world
}

func (s *interrupted) pause() {
	if between := s.w.between; between != nil {
		s.w.between = nil
		between()
	}
}

// watchCommits puts a function around every commit from now on; nil takes it away.
func (w *world) watchCommits(watch func(sets []*row.Set, stored func() ([]error, error)) ([]error, error)) {
	w.watching.Lock()
	defer w.watching.Unlock()
	w.watch = watch
}

func (s *interrupted) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	s.w.watching.Lock()
	if s.w.watch != nil {
		defer s.w.watching.Unlock()
		return s.w.watch(sets, func() ([]error, error) { return s.Store.Commit(ctx, sets) })
	}
	s.w.watching.Unlock()
	around := s.w.commit
	if around == nil {
		return s.Store.Commit(ctx, sets)
	}
	s.w.commit = nil
	return around(func() ([]error, error) { return s.Store.Commit(ctx, sets) })
}

func (s *interrupted) Secret(ctx context.Context, id ident.ID, version int) ([]byte, error) {
	s.pause()
	return s.Store.Secret(ctx, id, version)
}

func (s *interrupted) APIKey(ctx context.Context, id ident.ID) ([]byte, error) {
	s.pause()
	return s.Store.APIKey(ctx, id)
}

// reopen is a restart.
func (w *world) reopen() {
	w.close()
	w.open()
}

var ctx = context.Background()

var here = core.Origin{IP: netip.MustParseAddr("127.0.0.1"), RequestID: "req-1"}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is a caller by access token.
func (w *world) as(login string, key secret.Bytes) core.Caller {
	w.t.Helper()
	token, err := w.AuthenticateKey(ctx, here, "acme", login, key)
	must(w.t, err)
	caller, present, err := w.Token(here, `Token token="`+base64.StdEncoding.EncodeToString(token)+`"`)
	must(w.t, err)
	if !present {
		w.t.Fatal("no token")
	}
	return caller
}

func (w *world) key(user string) secret.Bytes { return w.keys[ident.New("acme", "user", user)] }

func (w *world) admin() core.Caller { return w.as("admin", w.adminKey) }

// load loads a policy as the administrator and returns the new roles' keys.
func (w *world) load(mode policy.Mode, id, text string) map[ident.ID]secret.Bytes {
	w.t.Helper()
	loaded, err := w.LoadPolicy(ctx, w.admin(), ident.New("acme", "policy", id), mode, []byte(text))
	must(w.t, err)
	keys := map[ident.ID]secret.Bytes{}
	for _, r := range loaded.Created {
		keys[r.ID] = r.APIKey
	}
	return keys
}

const sample = `
- !policy
  id: app
  body:
    - !layer servers
    - !host web
    - !variable password
    - !grant {role: !layer servers, member: !host web}
    - !permit {role: !layer servers, privileges: [read, execute], resource: !variable password}
`

func TestAHostReadsItsSecretAndRotatesItsOwnKey(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", sample)
	key := keys["acme:host:app/web"]
	if key.Len() < 51 {
		t.Fatalf("no key for the host: %v", keys)
	}
	must(t, w.SetSecret(ctx, w.admin(), "acme:variable:app/password", secret.FromString("s3cret")))

	read := func(key secret.Bytes) string {
		t.Helper()
		v, err := w.Secret(ctx, w.as("host/app/web", key), "acme:variable:app/password", 0)
		must(t, err)
		return v.Value.RevealString()
	}
	if got := read(key); got != "s3cret" {
		t.Errorf("read %q", got)
	}
	caller, err := w.Basic(ctx, here, "acme", "host/app/web", key)
	must(t, err)
	fresh, err := w.RotateKey(ctx, caller, "acme", "")
	must(t, err)
	if _, err := w.AuthenticateKey(ctx, here, "acme", "host/app/web", key); err == nil {
		t.Error("the old key still works")
	}
	if got := read(fresh); got != "s3cret" {
		t.Errorf("read %q", got)
	}
	w.reopen()
	if got := read(fresh); got != "s3cret" {
		t.Errorf("after a restart, read %q", got)
	}
	if _, err := w.AuthenticateKey(ctx, here, "acme", "host/app/web", key); err == nil {
		t.Error("the old key works again after a restart")
	}
}
