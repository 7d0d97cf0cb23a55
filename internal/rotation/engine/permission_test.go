package engine_test

import (
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/secret"
)

// user is a caller that exists in the root policy.
func (w *world) user(name string) core.Caller {
	w.Helper()
	key, err := w.RetrieveKey(ctx, core.Operator(), ident.New("acme", "user", name))
	must(w, err)
	caller, err := w.Basic(ctx, core.Origin{}, "acme", name, key)
	must(w, err)
	return caller
}

func TestWhoSeesMayAskAndWhoUpdatesMaySteer(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/mode: admin"}})
	w.load(`
- !user reader
- !user owner
- !user stranger
- !permit {role: !user reader, privileges: [read, execute], resource: !variable db/password}
- !permit {role: !user owner, privileges: [read, update], resource: !variable db/password}
- !variable plain
- !permit {role: !user owner, privileges: [read, update], resource: !variable plain}
`)
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	id := variable("password")
	steer := map[string]func(core.Caller, ident.ID) error{
		"rotate":    func(c core.Caller, id ident.ID) error { return w.RotateNow(ctx, c, id) },
		"pause":     func(c core.Caller, id ident.ID) error { return w.PauseRotation(ctx, c, id, "") },
		"resume":    func(c core.Caller, id ident.ID) error { return w.ResumeRotation(ctx, c, id) },
		"retry":     func(c core.Caller, id ident.ID) error { return w.RetryRotation(ctx, c, id) },
		"reconcile": func(c core.Caller, id ident.ID) error { return w.ReconcileRotation(ctx, c, id) },
		"adopt":     func(c core.Caller, id ident.ID) error { return w.AdoptRotation(ctx, c, id) },
		"plan":      func(c core.Caller, id ident.ID) error { _, err := w.PlanRotation(ctx, c, id); return err },
	}
	ask := map[string]func(core.Caller, ident.ID) error{
		"status":  func(c core.Caller, id ident.ID) error { _, err := w.RotationStatus(ctx, c, id); return err },
		"history": func(c core.Caller, id ident.ID) error { _, err := w.RotationHistory(ctx, c, id); return err },
	}
	reader, owner, stranger := w.user("reader"), w.user("owner"), w.user("stranger")
	before := w.status("password")
	for name, do := range steer {
		if err := do(reader, id); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s by a reader: %v", name, err)
		}
		if err := do(stranger, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s by a stranger: %v", name, err)
		}
		if err := do(owner, "acme:variable:plain"); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s of what does not rotate: %v", name, err)
		}
	}
	if after := w.status("password"); after.Revision != before.Revision {
		t.Errorf("a refused request has changed something: %+v", after)
	}
	for name, do := range ask {
		if err := do(stranger, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s by a stranger: %v", name, err)
		}
		if err := do(reader, id); err != nil {
			t.Errorf("%s by a reader: %v", name, err)
		}
	}
	for caller, want := range map[*core.Caller]int{&reader: 1, &stranger: 0} {
		if list, err := w.Rotations(ctx, *caller, "acme", ""); err != nil || len(list) != want {
			t.Errorf("%s lists %d, %v", caller.Role, len(list), err)
		}
	}
	for _, name := range []string{"rotate", "pause", "resume", "retry", "reconcile", "adopt", "plan"} {
		if err := steer[name](owner, id); err != nil {
			t.Errorf("%s by an owner: %v", name, err)
		}
		if !strings.Contains(w.audit.String(), "acme:user:owner advanced the rotation of acme:variable:db/password") {
			t.Errorf("%s is not in the audit", name)
		}
	}
}

// TestARotationReachesNoSecretThatItsOwnerMayNotUse: otherwise whoever may declare a
// variable could have any secret of the account sent to a target of their own.
func TestARotationReachesNoSecretThatItsOwnerMayNotUse(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/reads: /vault/root"}})
	w.load("- !user boss\n- !policy\n  id: vault\n  owner: !user boss\n  body:\n  - !variable root\n")
	must(t, w.SetSecret(ctx, core.Operator(), "acme:variable:vault/root", secret.FromString("the crown")))
	w.start()
	w.handOver("password", "first")
	w.eventually("the rotation fails", func() bool { return w.status("password").State == rotation.Backoff })
	if s := w.status("password"); !strings.Contains(s.ErrorMessage, "does not have 'execute' on variable 'vault/root'") {
		t.Errorf("%+v", s)
	}
	w.load("- !permit {role: !policy db, privileges: [execute], resource: !variable vault/root}")
	w.settles("password", rotation.Idle, 2)
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	if !w.model.read["the crown"] {
		t.Error("the value was not bound")
	}
}

// TestValuesThatBelongTogetherChangeTogether: all variables of a set are published at once.
func TestValuesThatBelongTogetherChangeTogether(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/writes: username"}})
	must(t, w.SetSecret(ctx, core.Operator(), "acme:variable:db/username", secret.FromString("id-of-first")))
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	for range 5 {
		if value, id := w.value("password"), w.value("username"); id != "id-of-"+value {
			t.Errorf("%s belongs to %s", id, value)
		}
		version := w.status("password").Version
		must(t, w.RotateNow(ctx, core.Operator(), variable("password")))
		w.settles("password", rotation.Idle, version+1)
	}
}

func (w *world) load(text string) {
	w.Helper()
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Add, []byte(text))
	must(w, err)
}
