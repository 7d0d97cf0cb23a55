package rotation

import (
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// What people may do to a rotation. Each changes the row, or says why it cannot.

// RotateNow asks for a new value at once; it does not wait for a backoff or a window.
func RotateNow(w *row.Rotation, by ident.ID, now time.Time) error {
	switch {
	case !w.PausedAt.IsZero():
		return fault.New(fault.Conflict, "the rotation is paused: resume it first")
	case w.State == Quarantined:
		return fault.New(fault.Conflict, "the rotation is quarantined (%s): retry it, or write the value that works into the variable", w.ErrorMessage)
	case w.State == Suspended:
		return fault.New(fault.Conflict, "the rotation is suspended (%s): resume it first", w.ErrorMessage)
	}
	w.RequestedAt, w.RequestedBy, w.RetryAt = now, by, zero
	return nil
}

// Pause keeps a rotation from starting. One under way is finished.
func Pause(w *row.Rotation, by ident.ID, reason string, now time.Time) error {
	w.PausedAt, w.PausedBy, w.PauseReason = now, by, reason
	return nil
}

// Resume ends a pause. It also re-arms a suspended rotation for the target as it is now,
// and one that would be suspended as soon as it begins. identity is that of the target,
// empty if there is none.
func Resume(w *row.Rotation, identity string) error {
	switch {
	case w.State == Suspended:
		w.Identity = identity
		w.ErrorClass, w.ErrorMessage, w.ErrorAt = "", "", zero
		leave(w)
	case !w.PausedAt.IsZero(): // who ends a pause need not have seen that the target has changed
	case w.Identity != "" && identity != "" && w.Identity != identity:
		w.Identity = identity
	default:
		return fault.New(fault.Conflict, "the rotation is neither paused nor suspended")
	}
	w.PausedAt, w.PausedBy, w.PauseReason = zero, "", ""
	return nil
}

// Hold keeps the rotation of a restored store away from its target, which may have got
// newer credentials since: it is paused and suspended, so that nothing is begun, finished
// or ended until it is resumed. Who has worked on it or wanted it then does not count.
func Hold(w *row.Rotation, reason string, now time.Time) {
	if w.PausedAt.IsZero() {
		w.PausedAt, w.PausedBy, w.PauseReason = now, "", reason
	}
	if w.State != Quarantined {
		w.State = Suspended
		w.ErrorClass, w.ErrorMessage, w.ErrorAt = target.Refused.String(), reason, now
	}
	w.RequestedAt, w.RequestedBy, w.Reconcile = zero, "", false
	w.Holder, w.LeaseUntil = "", zero
	w.Revision++
}

// Retry tries again what has failed, from the start of all counting. It leaves quarantine.
func Retry(w *row.Rotation, by ident.ID, now time.Time) error {
	if w.State == Suspended {
		return fault.New(fault.Conflict, "the rotation is suspended (%s): resume it first", w.ErrorMessage)
	}
	leave(w)
	w.Attempts, w.AuthFailures, w.BadValues = 0, 0, 0
	return RotateNow(w, by, now)
}

// Reconcile makes the target accept a new value without knowing the one it has, as a
// privileged account can.
func Reconcile(w *row.Rotation, by ident.ID, now time.Time) error {
	if err := Retry(w, by, now); err != nil {
		return err
	}
	w.Reconcile = true
	return nil
}

// Adopt declares the newest version of the variable to be what the target accepts: all
// is well, until the schedule says otherwise. identity is that of the target.
func Adopt(w *row.Rotation, version int, identity string, now time.Time) (keep bool, err error) {
	if version == 0 {
		return false, fault.New(fault.Conflict, "the variable has no value to adopt")
	}
	keep = w.Candidate && w.Sent
	w.Discarded = w.Discarded || keep
	w.Candidate, w.Sent, w.Unsure, w.Acked = false, false, false, false
	if w.State = Idle; !w.RetireAt.IsZero() {
		w.State = Retiring
	}
	w.Version, w.LastSuccess, w.Identity = version, now, identity
	forgive(w)
	return keep, nil
}

// leave is the state in which a rotation goes on.
func leave(w *row.Rotation) {
	switch {
	case w.Sent:
		w.State = Uncertain
	case w.Candidate:
		w.State = Planned
	case !w.RetireAt.IsZero():
		w.State = Retiring
	default:
		w.State = Idle
	}
}
