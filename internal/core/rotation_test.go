package core_test

import (
	"testing"

	"rekey/internal/core"
)

// Given a core without targets, when a policy has annotations about rotation, then they
// are annotations like any other.
func TestWithoutTargetsNothingRotates(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !variable { id: db, annotations: { rotation/rotator: some } }")
	if all, err := w.Rotations(ctx, core.Operator(), "acme", ""); err != nil || len(all) != 0 {
		t.Errorf("%v %v", all, err)
	}
	_, shown := w.RotationStatus(ctx, core.Operator(), "acme:variable:db")
	_, history := w.RotationHistory(ctx, core.Operator(), "acme:variable:db")
	asked := w.RotateNow(ctx, core.Operator(), "acme:variable:db")
	for _, err := range []error{shown, history, asked} {
		if status(err) != 404 {
			t.Error(err)
		}
	}
}
