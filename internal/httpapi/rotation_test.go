package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/engine"
	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// memory is a kind of target in this process, with one account. Each new password is
// the one before with a mark behind it.
type memory struct {
	mu       sync.Mutex
	password string
	broken   *target.Error
	forbids  *target.Error
}

func (m *memory) Name() string { return "memory/password" }

func (m *memory) Check(map[string]string) []target.Problem { return nil }

func (m *memory) Siblings(map[string]string) target.Siblings { return target.Siblings{} }

func (m *memory) Bind(target.Binding) (target.Target, error) { return m, nil }

func (m *memory) Identity() string { return "memory user \"app\"" }

func (m *memory) Candidate(current target.Credential) (target.Credential, error) {
	return target.Credential{target.Main: secret.FromString(current[target.Main].RevealString() + "+")}, nil
}

func (m *memory) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	if err := m.Probe(ctx, current); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.password = next[target.Main].RevealString()
	return next, nil
}

func (m *memory) Rehearse(context.Context, target.Credential) (bool, error) {
	if m.forbids != nil {
		return true, m.forbids
	}
	return true, nil
}

func (m *memory) Probe(_ context.Context, c target.Credential) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	if c[target.Main].RevealString() != m.password {
		return target.Errorf(target.AuthFailed, nil, "wrong password")
	}
	return nil
}

func (m *memory) Retire(context.Context, target.Credential, target.Credential) error { return nil }

// breaks makes the target fail, or heals it with nil.
func (m *memory) breaks(err *target.Error) {
	m.mu.Lock()
	m.broken = err
	m.mu.Unlock()
}

const rotating = `
- !variable { id: app/db, annotations: { rotation/rotator: memory/password } }
- !variable plain
- !user watcher
- !permit { role: !user watcher, privileges: [ read ], resource: !variable app/db }
- !user stranger
`

// newRotating is a server with variable app/db, which rotates when somebody asks for it.
// The engine runs from start on.
func newRotating(t *testing.T) (s *testServer, watcher, stranger string) {
	s = newTestServer(t)
	keys := s.load(rotating)
	s.memory.password = "first"
	s.set("app%2Fdb", "first")
	return s, s.token("watcher", keys["acme:user:watcher"]), s.token("stranger", keys["acme:user:stranger"])
}

func (s *testServer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	o := engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))
	done := make(chan struct{})
	go func() { engine.New(s.core, o).Run(ctx); close(done) }()
	s.Cleanup(func() { cancel(); <-done })
}

const rotationDB = "/rotations/acme/variable/app%2Fdb"

func (s *testServer) steer(selector string) *call {
	return s.call("POST", rotationDB+"?"+selector).as(s.admin)
}

type rotationView struct {
	Variable, State string
	Version         int
	Attempts        int
	Paused          *struct{ By, Reason string }
	Requested       *struct{ By string }
	Error           *struct{ Class, Message string }
}

func (s *testServer) rotation() (v rotationView) {
	s.Helper()
	s.call("GET", rotationDB).as(s.admin).send().status(200).decode(&v)
	return v
}

// until waits for the engine.
func (s *testServer) until(what string, is func(rotationView) bool) rotationView {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		v := s.rotation()
		if is(v) {
			return v
		}
		if time.Now().After(deadline) {
			s.Fatalf("it does not become %s: %+v", what, v)
		}
	}
}

func (s *testServer) listed(state string) int {
	s.Helper()
	var list []rotationView
	s.call("GET", "/rotations/acme?state="+state).as(s.admin).send().status(200).decode(&list)
	return len(list)
}

func TestRotationStatus(t *testing.T) {
	s, watcher, stranger := newRotating(t)
	const fresh = `{"variable":"acme:variable:app/db","rotator":"memory/password","state":"idle","version":1,"due":null,"expires_at":null,` +
		`"last_success":null,"started_at":null,"old_value_until":null,"unacknowledged":[],"checked_at":null,"attempts":0,"requested":null,"paused":null,"error":null}`
	s.run("for whoever sees the variable", func(s *testServer) {
		tag := s.call("GET", rotationDB).as(watcher).is(200, fresh).Header.Get("ETag")
		s.call("GET", "/rotations/acme/variable/app/db").as(watcher).with("If-None-Match", tag).is(304, "")
		s.call("GET", "/rotations/acme").as(watcher).is(200, "["+fresh+"]")
		s.call("GET", rotationDB+"?history").as(watcher).is(200, "[]")
	})
	s.run("for nobody else", func(s *testServer) {
		s.call("GET", rotationDB).as(stranger).is(404, notFound("variable", "app/db"))
		s.call("GET", rotationDB+"?history").as(stranger).is(404, notFound("variable", "app/db"))
		s.call("GET", "/rotations/acme").as(stranger).is(200, "[]")
		s.call("GET", "/rotations/other").as(s.admin).is(200, "[]")
	})
	s.run("of a variable that does not rotate", func(s *testServer) {
		r := s.call("GET", "/rotations/acme/variable/plain").as(s.admin).send().status(404)
		if !strings.Contains(r.body, "Variable 'plain' does not rotate") || !strings.Contains(r.body, `"target":"rotation"`) {
			t.Error(r.body)
		}
	})
	s.run("lists in pages", func(s *testServer) {
		s.call("GET", "/rotations/acme?offset=1").as(s.admin).is(200, "[]")
		s.call("GET", "/rotations/acme?limit=1").as(s.admin).is(200, "["+fresh+"]")
		s.call("GET", "/rotations/acme?limit=0").as(s.admin).send().status(422)
	})
	s.run("lists of no known state", func(s *testServer) {
		r := s.call("GET", "/rotations/acme?state=busy").as(s.admin).send().status(422)
		if !strings.Contains(r.body, "There is no state 'busy'") || !strings.Contains(r.body, "quarantined, suspended, drifted, paused, due, overdue, unacknowledged") {
			t.Error(r.body)
		}
	})
}

func TestSteeringARotation(t *testing.T) {
	s, watcher, stranger := newRotating(t)
	s.run("takes update on the variable", func(s *testServer) {
		for _, selector := range []string{"plan", "pause", "resume", "rotate", "retry", "reconcile", "adopt"} {
			s.call("POST", rotationDB+"?"+selector).as(watcher).is(403, "")
			s.call("POST", rotationDB+"?"+selector).as(stranger).is(404, notFound("variable", "app/db"))
		}
		s.call("POST", rotationDB).as(s.admin).send().status(404)
	})
	s.run("a pause keeps rotations from starting, and says why", func(s *testServer) {
		s.steer("pause&reason="+url.QueryEscape(strings.Repeat("x", 501))).is(422, argumentError("The reason has more than 500 bytes"))
		s.steer("pause&reason=upgrade+of+the+database").is(204, "")
		if p := s.rotation().Paused; p == nil || p.By != "acme:user:admin" || p.Reason != "upgrade of the database" {
			t.Errorf("%+v", p)
		}
		if s.listed("paused") != 1 || s.listed("quarantined") != 0 {
			t.Error("the lists by state do not fit")
		}
		r := s.steer("rotate").send().status(409)
		if !strings.Contains(r.body, "the rotation is paused: resume it first") {
			t.Error(r.body)
		}
		s.steer("resume").is(204, "")
		s.steer("resume").send().status(409)
		if s.rotation().Paused != nil {
			t.Error("it is still paused")
		}
	})
	s.run("what is asked for is due, and in the history", func(s *testServer) {
		s.steer("rotate").is(204, "")
		if r := s.rotation().Requested; r == nil || r.By != "acme:user:admin" || s.listed("due") != 1 || s.listed("overdue") != 0 {
			t.Errorf("%+v", r)
		}
		var history []struct{ Event, State, By, Message string }
		s.call("GET", rotationDB+"?history").as(watcher).send().status(200).decode(&history)
		if len(history) != 3 || history[0].Event != "paused" || history[0].Message != "upgrade of the database" || history[2].Event != "requested" || history[2].By != "acme:user:admin" {
			t.Errorf("%+v", history)
		}
	})
	s.run("adopting the value ends what was asked for", func(s *testServer) {
		s.steer("adopt").is(204, "")
		if v := s.rotation(); v.Requested != nil || v.State != "idle" {
			t.Errorf("%+v", v)
		}
	})
}

func TestRotationPlan(t *testing.T) {
	s, _, _ := newRotating(t)
	var p struct {
		Target, Checked, Problem string
		Accepted                 bool
		Rotation                 rotationView
	}
	s.steer("plan").send().status(200).has("Etag", "").decode(&p)
	if p.Target != `memory user "app"` || p.Problem != "" || !p.Accepted || p.Checked != "privilege" || p.Rotation.Version != 1 {
		t.Errorf("%+v", p)
	}
	s.memory.forbids = target.Errorf(target.Refused, nil, "grant it")
	s.steer("plan").send().status(200).decode(&p)
	if p.Problem != "refused: grant it" || !p.Accepted || p.Checked != "privilege" {
		t.Errorf("%+v", p)
	}
	s.memory.breaks(target.Errorf(target.Unreachable, nil, "nobody answers"))
	s.steer("plan").send().status(200).decode(&p)
	if p.Problem != "unreachable: nobody answers" || p.Accepted || p.Checked != "login" {
		t.Errorf("%+v", p)
	}
	if v := s.rotation(); v.Error != nil || v.Attempts != 0 {
		t.Errorf("a plan has left a trace: %+v", v)
	}
}

// Given the engine, when a rotation is asked for, then the value is replaced on the
// target and in the variable, also after failures that a retry mends.
func TestRotationOverTheWire(t *testing.T) {
	s, _, _ := newRotating(t)
	s.start()
	s.steer("rotate").is(204, "")
	s.until("rotated", func(v rotationView) bool { return v.Version == 2 && v.State == "idle" })
	s.call("GET", "/secrets/acme/variable/app%2Fdb").as(s.admin).is(200, "first+")

	s.memory.breaks(target.Errorf(target.Refused, nil, "no privilege"))
	s.steer("rotate").is(204, "")
	v := s.until("failed", func(v rotationView) bool { return v.Attempts > 0 })
	if v.Version != 2 || v.Error == nil || v.Error.Class != "refused" || v.Error.Message != "no privilege" {
		t.Errorf("%+v", v)
	}
	s.memory.breaks(nil)
	s.steer("retry").is(204, "")
	s.until("rotated", func(v rotationView) bool { return v.Version == 3 && v.Error == nil })
	s.steer("reconcile").is(204, "")
	s.until("rotated", func(v rotationView) bool { return v.Version == 4 })

	r := s.call("GET", rotationDB+"?history").as(s.admin).send().status(200)
	if !strings.Contains(r.body, `"event":"published"`) || !strings.Contains(r.body, `"class":"refused","message":"no privilege"`) {
		t.Error(r.body)
	}
	if strings.Contains(r.body, "first") {
		t.Errorf("the history has a value: %s", r.body)
	}
}
