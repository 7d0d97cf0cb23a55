package engine_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/store"
)

// interrupted is a variable whose target has got a value when the process died, and the
// core that comes after it.
func interrupted(t *testing.T) *world {
	w := newWorld(t)
	f := &failpoints{}
	w.wrap = func(s store.Store) store.Store { return failing{s, f} }
	w.kinds[w.model.Name()] = exposed{w.model, f, &proofs{worked: map[string]bool{}}, false}
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.close()
	w.open()
	w.handOver("password", "first")
	f.arm(6, "crash") // the target has the new value
	w.start()
	w.eventually("the node is dead", f.crashed)
	w.close()
	f.revive()
	w.wrap = nil
	w.open()
	return w
}

// Given a target that may have a value which is not published, when the variable is deleted,
// be it alone or with its account, then the audit and the log say so, and nothing of the value.
func TestADeletedVariableLeavesWordOfWhatTheTargetMayHave(t *testing.T) {
	t.Run("the variable", func(t *testing.T) {
		leavesWord(t, func(w *world) error {
			_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, []byte("- !delete {record: !variable db/password}"))
			return err
		})
	})
	t.Run("the account", func(t *testing.T) {
		leavesWord(t, func(w *world) error { return w.DeleteAccount(ctx, core.Operator(), "acme") })
	})
}

func leavesWord(t *testing.T, remove func(*world) error) {
	t.Helper()
	w := interrupted(t)
	before := w.status("password")
	var log bytes.Buffer
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	w.close()
	w.open()
	must(t, remove(w))
	want := "scheduler could not advance the rotation of acme:variable:db/password: given up: the variable was deleted meanwhile, and the target model.example:1 user password may have a value that is lost"
	if audit := w.audit.String(); before.ID == "" || !strings.Contains(audit, want) || !strings.Contains(audit, `rotation="`+before.ID+`" state="applying"`) {
		t.Errorf("the audit does not say it of %s:\n%s", before.ID, audit)
	}
	if line := log.String(); !strings.Contains(line, "variable=acme:variable:db/password rotation="+before.ID) {
		t.Errorf("the log says %q", line)
	}
}

// Given a target that may have a value which is not published, when the policy does not name
// a rotator any more, then the rotation is shown with what to do until that is done.
func TestARotatorThatIsTakenAwayMeanwhileIsShown(t *testing.T) {
	w := interrupted(t)
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Replace, []byte("- !policy\n  id: db\n  body:\n  - !variable username\n  - !variable password\n"))
	must(t, err)
	w.start()
	w.eventually("it is shown", func() bool {
		return strings.Contains(w.status("password").ErrorMessage, "add rotation/rotator again")
	})
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.settles("password", rotation.Idle, 2)
}

// Or: when somebody adopts what is stored, it is a variable like any other.
func TestARotatorThatIsTakenAwayMeanwhileMayBeForgotten(t *testing.T) {
	w := interrupted(t)
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Replace, []byte("- !policy\n  id: db\n  body:\n  - !variable username\n  - !variable password\n"))
	must(t, err)
	must(t, w.AdoptRotation(ctx, core.Operator(), variable("password")))
	if list, err := w.Rotations(ctx, core.Operator(), "acme", ""); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}
