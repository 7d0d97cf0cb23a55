package conjur_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/conjur"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is another rekey, which rotates the key of a host of the server's.
type house struct {
	*core.Core
	t     *testing.T
	rows  store.Store
	root  *seal.Root
	place *place
	trail strings.Builder // nothing writes while it is read
}

var rotated = ident.New("north", "variable", "peer/key")

func newHouse(t *testing.T, p *place) *house {
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	h := &house{t: t, place: p}
	h.root, err = seal.ParseRoot("TEST_KEY", text)
	must(t, err)
	h.rows, err = sqlite.Open(t.TempDir())
	must(t, err)
	h.open()
	_, err = h.CreateAccount(t.Context(), core.Operator(), "north", nil)
	must(t, err)
	own := ""
	for name, value := range p.annotations {
		if strings.HasPrefix(name, prefix+"admin") {
			own += fmt.Sprintf("        %s: %s\n", name, value)
		}
	}
	_, err = h.LoadPolicy(t.Context(), core.Operator(), "north:policy:root", policy.Modify, []byte(`
- !policy
  id: boss
  body: [ !variable name, !variable key ]
- !policy
  id: peer
  body:
    - !variable url
    - !variable account
    - !variable username
    - !variable ca
    - !variable
      id: key
      annotations:
        rotation/rotator: conjur/api-key
        rotation/ttl: P30D
        rotation/conjur/api-key/ca: ca
`+own+`
- !permit { role: !policy peer, privileges: [ execute ], resource: [ !variable boss/name, !variable boss/key ] }
- !permit { role: !user admin, privileges: [ read, execute ], resource: !variable peer/key }
`))
	must(t, err)
	for name, value := range p.values {
		id := "peer/" + name
		if far, ok := strings.CutPrefix(name, "/"); ok {
			id = far
		}
		must(t, h.SetSecret(t.Context(), core.Operator(), ident.New("north", "variable", id), secret.FromString(value)))
	}
	must(t, h.SetSecret(t.Context(), core.Operator(), rotated, secret.FromString(p.host.Key))) // last: from now on it is due
	t.Cleanup(func() {
		must(t, h.Close())
		must(t, h.rows.Close())
		if strings.Contains(h.trail.String(), p.host.Key) || strings.Contains(h.trail.String(), server.Key(t, p.host)) {
			t.Error("the audit holds a key")
		}
	})
	return h
}

// open opens the core again, as the next process would.
func (h *house) open() {
	h.t.Helper()
	limits := rotation.DefaultLimits()
	limits.BackoffBase, limits.Lease = 10*time.Millisecond, 2*time.Second // the next process waits until the lease is over
	var d net.Dialer
	var err error
	h.Core, err = core.Open(context.Background(), core.Options{Store: h.rows, Audit: audit.To(&h.trail), RootKey: h.root, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Targets: &core.Targets{Kinds: map[string]target.Kind{conjur.Kind().Name(): conjur.Kind()}, Dial: d.DialContext, Node: "one", Limits: limits}})
	must(h.t, err)
}

// begun is the call that asks for a key, by a worker that has claimed the rotation.
func (h *house) begun() func(context.Context) (target.Credential, error) {
	h.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		run, err := h.OpenRotation(h.t.Context(), rotated)
		must(h.t, err)
		must(h.t, run.Begin(h.t.Context()))
		call, err := run.Call(h.t.Context())
		must(h.t, err)
		if call != nil {
			return call
		}
	}
	s, err := h.RotationStatus(h.t.Context(), core.Operator(), rotated)
	h.t.Fatalf("it is never due: %+v %v", s, err)
	return nil
}

// rotates runs the engine until the key is replaced or the rotation waits for somebody.
func (h *house) rotates() core.RotationStatus { h.t.Helper(); return h.rotatesTo(2) }

// rotatesTo is the same for a version.
func (h *house) rotatesTo(version int) core.RotationStatus {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		engine.New(h.Core, engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))).Run(ctx)
		close(done)
	}()
	defer func() { cancel(); <-done }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := h.RotationStatus(h.t.Context(), core.Operator(), rotated)
		must(h.t, err)
		if s.Holder == "" && (s.State == rotation.Idle && s.Rotation.Version == version || s.State == rotation.Quarantined && version == 2) {
			return s
		}
		if time.Now().After(end) {
			h.t.Fatalf("it comes to no end: %+v", s)
		}
	}
}

// published is the newest value, which has to be the key.
func (h *house) published() string {
	h.t.Helper()
	key, err := h.RetrieveKey(h.t.Context(), core.Operator(), "north:user:admin")
	must(h.t, err)
	caller, err := h.Basic(h.t.Context(), core.Origin{}, "north", "admin", key)
	must(h.t, err)
	value, err := h.Secret(h.t.Context(), caller, rotated, 0)
	must(h.t, err)
	return value.Value.RevealString()
}

// Given a process that is killed when the server has answered and nothing is stored of it,
// when the next one starts, then it goes on, and what it publishes is the key. At a rekey it
// is the very key of the lost answer.
func TestAProcessThatDiesWithTheAnswer(t *testing.T) {
	for _, m := range []mode{modes[0], modes[1], modes[3]} {
		t.Run(m.name, func(t *testing.T) {
			p := open(t, m)
			h := newHouse(t, p)
			lost, err := h.begun()(p.context())
			must(t, err)
			must(t, h.Close())
			h.open()
			if s := h.rotates(); s.State != rotation.Idle {
				t.Fatalf("%+v", s)
			}
			got := h.published()
			if got != server.Key(t, p.host) || got == p.host.Key || !server.Works(p.host.Login, got) {
				t.Error("what is published is not the new key")
			}
			if same := got == lost[target.Main].RevealString(); same == m.old {
				t.Errorf("it is the key of the lost answer: %v", same)
			}
		})
	}
}

// Given a host that is alone with a Conjur, when the answer is lost, then the rotation waits
// for somebody, and says why.
func TestAHostAloneWithAConjurWaitsForSomebody(t *testing.T) {
	p := open(t, modes[2])
	h := newHouse(t, p)
	server.Answer(func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.URL.Path, "/api_key") {
			server.Handler.ServeHTTP(discard{}, r)
			return http.StatusBadGateway, ""
		}
		return 0, ""
	})
	s := h.rotates()
	server.Answer(nil)
	if s.State != rotation.Quarantined || h.published() != p.host.Key {
		t.Errorf("%+v", s)
	}
	must(t, h.SetSecret(t.Context(), core.Operator(), rotated, secret.FromString(server.Key(t, p.host))))
	s = h.rotatesTo(3)
	if s.State != rotation.Idle || h.published() != server.Key(t, p.host) {
		t.Errorf("after it was mended: %+v", s)
	}
}

// discard is an answer that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
