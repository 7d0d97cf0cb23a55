package rotation

import (
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// DefaultVerify is how often a login with the current value is tried where the
// annotations do not say.
const DefaultVerify = 24 * time.Hour

// Checked is the outcome of a login with the current value that worked, as it was to be
// expected: it is audited, and not worth a line of history.
const Checked = "checked"

// CheckDue is when a login with the current value is to be tried, to see whether the
// target still accepts it; zero: not before something changes. A login that was refused is
// not tried again, so that no account is locked for it; a value that somebody writes is
// handed over first.
func CheckDue(w *row.Rotation, s *Settings, version int, now time.Time) time.Time {
	if s.Manual() && version != 0 && version != w.Version && w.PausedAt.IsZero() && w.RequestedAt.IsZero() && !Open(w) {
		return now // it is to be bound to its target; there is no login
	}
	if s.Verify == 0 || version != w.Version || w.LastSuccess.IsZero() || !w.PausedAt.IsZero() || Open(w) || w.State != Idle {
		return zero
	}
	last := w.CheckedAt
	if w.LastSuccess.After(last) && !w.LastSuccess.After(now.Add(tolerance)) {
		last = w.LastSuccess
	}
	if last.After(now.Add(tolerance)) {
		return now // written while the clock was ahead
	}
	return last.Add(Jittered(w.Variable, s.Verify))
}

// check begins a login with the current value, without a change.
func (m *machine) check() Action {
	w := &m.Row
	if m.f.Version != w.Version {
		m.handOver()
		return m.kept()
	}
	w.CheckedAt = m.f.Now
	switch {
	case m.f.Problem != nil:
		return m.unchecked(m.f.Problem)
	case w.Identity == "":
		w.Identity = m.f.Identity
	case w.Identity != m.f.Identity:
		return m.suspend()
	}
	m.checking = true
	return Action{Probe, Current}
}

// checked goes on from how that login ended: with nothing.
func (m *machine) checked(err *target.Error) Action {
	w := &m.Row
	switch {
	case err == nil:
		w.AuthFailures, m.Outcome = 0, Checked
		return Action{Do: Rest}
	case err.Class != target.AuthFailed, m.f.Version != w.Version: // somebody has written another one meanwhile
		return m.unchecked(err)
	}
	w.AuthFailures++
	m.note(err)
	w.State, m.Outcome = Drifted, "drifted"
	return Action{Do: Rest}
}

// unchecked is that it cannot be told. It is tried again when its time comes.
func (m *machine) unchecked(err *target.Error) Action {
	m.Failure, m.Outcome = err, "not checked"
	return Action{Do: Rest}
}
