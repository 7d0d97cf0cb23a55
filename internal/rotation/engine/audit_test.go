package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// Given rotations that succeed, fail and are steered, then what is in the history of a
// rotation is in the audit as well, with who, what and how it ended; and each state that
// a rotation has come to is in its history.
func TestEveryStepIsInHistoryAndAudit(t *testing.T) {
	w := newWorld(t)
	w.limits.Cycles = 2
	w.close()
	w.open()
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	id := variable("password")
	must(t, w.PauseRotation(ctx, core.Operator(), id, "freeze"))
	must(t, w.ResumeRotation(ctx, core.Operator(), id))
	must(t, w.ExpireSecret(ctx, core.Operator(), id))
	w.settles("password", rotation.Idle, 3)
	w.model.set("password", "changed by somebody else")
	must(t, w.RotateNow(ctx, core.Operator(), id))
	w.settles("password", rotation.Quarantined, 3)
	must(t, w.AdoptRotation(ctx, core.Operator(), id))
	w.halt()

	events, err := w.RotationHistory(ctx, core.Operator(), id)
	must(t, err)
	audit, states, words := w.audit.String(), map[string]bool{}, map[string]bool{}
	for _, e := range events {
		states[e.State], words[e.Event] = true, true
		if e.Actor == "" || e.Event == "" || e.State == "" || e.At.IsZero() {
			t.Errorf("the history lacks something: %+v", e)
		}
		if !audited(audit, e) {
			t.Errorf("the audit does not have %+v", e)
		}
	}
	for _, state := range []string{rotation.Idle, rotation.Planned, rotation.Applying, rotation.Verified, rotation.Retiring, rotation.Quarantined} {
		if !states[state] {
			t.Errorf("no step to %s is in the history", state)
		}
	}
	for _, word := range []string{"published", "retired", "paused", "resumed", "requested", "failed", "quarantined", "adopted"} {
		if !words[word] {
			t.Errorf("the history does not have %q", word)
		}
	}
}

// audited tells whether a line of the audit has a step of the history.
func audited(audit string, e row.RotationEvent) bool {
	subject := fmt.Sprintf("[subject@43868 resource=%q ", e.Variable)
	if e.ID != "" {
		subject += fmt.Sprintf("rotation=%q ", e.ID)
	}
	subject += fmt.Sprintf("state=%q ", e.State)
	if e.Class != "" {
		subject += fmt.Sprintf("class=%q ", e.Class)
	}
	subject += fmt.Sprintf("took_ms=\"%d\"]", e.Took.Milliseconds())
	outcome := " advanced the rotation of "
	if e.Class != "" {
		outcome = " could not advance the rotation of "
	}
	for line := range strings.Lines(audit) {
		if e.Event == "requested" && strings.Contains(line, " expired "+string(e.Variable)) {
			return true // by the expiry of the value, which is a record of its own
		}
		if strings.Contains(line, subject) && strings.Contains(line, outcome+string(e.Variable)+": "+e.Event) &&
			(strings.Contains(line, e.Actor+outcome) || strings.Contains(line, "local"+outcome)) {
			return true
		}
	}
	return false
}
