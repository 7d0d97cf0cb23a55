package engine_test

import (
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
)

// What fails is overdue since it should have been done, however soon it is tried again.
func TestWhatFailsIsOverdue(t *testing.T) {
	w := newWorld(t)
	w.limits.BackoffBase = time.Hour
	w.close()
	w.open()
	w.declare(map[string][]string{"fails": {"rotation/ttl: P1D"}, "paused": {"rotation/ttl: P1D"}, "waits": {"rotation/ttl: P1D"}, "rests": {"rotation/ttl: P30D"}})
	w.start()
	names := []string{"fails", "paused", "waits", "rests"}
	for _, name := range names {
		w.handOver(name, "first")
		w.settles(name, rotation.Idle, 2)
	}
	if f := w.RotationFigures(); f.Due != 0 || f.Overdue != 0 || f.States[rotation.Idle] != 4 {
		t.Errorf("at rest: %+v", f)
	}
	must(t, w.PauseRotation(ctx, core.Operator(), variable("paused"), ""))
	must(t, w.PauseRotation(ctx, core.Operator(), variable("waits"), ""))
	w.halt()
	w.model.gate = func(_, account string) error {
		if account == "fails" {
			return target.Errorf(target.Unreachable, nil, "connection refused")
		}
		return nil
	}
	w.later(40 * time.Hour) // logins are due, too, and count for nothing
	w.start()
	w.eventually("one fails", func() bool { return w.status("fails").State == rotation.Backoff })
	w.halt()
	must(t, w.ResumeRotation(ctx, core.Operator(), variable("waits")))
	f := w.RotationFigures()
	if f.Due != 1 || f.Overdue != 2 || f.Oldest < 13*time.Hour || f.Oldest > 19*time.Hour {
		t.Errorf("%+v", f)
	}
	if f.States["paused"] != 1 || f.States[rotation.Backoff] != 1 || f.States[rotation.Idle] != 2 {
		t.Errorf("%v", f.States)
	}
}
