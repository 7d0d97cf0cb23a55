package rotation

import (
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// begin takes notice of how things are, and finds what there is to do, if anything.
func (m *machine) begin() Action {
	w := &m.Row
	if due := Due(w, m.s, m.f.Version, m.f.Expires, m.f.Now); due.IsZero() || due.After(m.f.Now) {
		if due = CheckDue(w, m.s, m.f.Version, m.f.Now); due.IsZero() || due.After(m.f.Now) {
			return Action{Do: Rest}
		}
		return m.check()
	}
	m.base = Current
	m.correctClock()
	handedOver := m.f.Version != w.Version
	m.wantsValue = w.PausedAt.IsZero() && (handedOver || !w.RequestedAt.IsZero() || w.State == Backoff || w.State == Planned || m.overdue())
	w.RetryAt = zero
	if handedOver {
		m.handOver()
		if m.keeps() {
			return m.kept()
		}
		if w.RequestedAt.IsZero() {
			w.RequestedAt = m.f.Now // until a value is published
		}
	}
	switch {
	case m.f.Problem != nil:
		m.failure = m.f.Problem
		return m.fail(m.f.Problem)
	case w.Identity == "":
		w.Identity = m.f.Identity
	case w.Identity != m.f.Identity:
		return m.suspend()
	}
	switch {
	case w.Sent:
		w.Unsure = w.Unsure || !w.Acked
		return m.recover()
	case w.Candidate:
		w.State = Planned
		return Action{Do: Send}
	case !w.RetireAt.IsZero() && (m.wantsValue || !m.s.Ends(w).After(m.f.Now)):
		m.giveUp()
		w.State = Retiring
		return Action{Retire, row.Previous}
	case !m.wantsValue:
		if m.Outcome == "" {
			m.Outcome = "waiting"
		}
		return Action{Do: Rest}
	}
	m.start()
	return Action{Do: Plan}
}

// keeps tells whether a value that was written is not to be replaced at once.
func (m *machine) keeps() bool {
	return m.s.Keep && !Open(&m.Row) && m.Row.RequestedAt.IsZero()
}

// kept binds the value to the target for which it was handed over, long before it is used
// there: who may change the address meanwhile need not be who may have the value.
func (m *machine) kept() Action {
	w := &m.Row
	if m.f.Problem == nil {
		w.Identity = m.f.Identity
	}
	if !m.s.Manual() {
		w.LastSuccess = m.f.Now
	}
	m.Outcome = "kept"
	return Action{Do: Rest}
}

func (m *machine) start() { m.Row.ID, m.Row.StartedAt = m.f.NewID, m.f.Now }

// overdue tells whether the schedule wants a new value now.
func (m *machine) overdue() bool {
	next := m.s.Next(m.Row.Variable, m.Row.LastSuccess, m.f.Now)
	return !next.IsZero() && !next.After(m.f.Now)
}

// handOver is somebody having written a value: it is the credential that works, and
// all counting starts again.
func (m *machine) handOver() {
	w := &m.Row
	w.Version, w.Identity = m.f.Version, ""
	w.Attempts, w.AuthFailures, w.BadValues = 0, 0, 0
	w.ErrorClass, w.ErrorMessage, w.ErrorAt = "", "", zero
	if w.State = Idle; w.Sent {
		w.State = Uncertain
	}
}

// suspend keeps the credential from a target that it was not handed off for.
func (m *machine) suspend() Action {
	m.Failure = target.Errorf(target.Refused, nil, "the target has changed from %s to %s: somebody who may update the variable has to resume the rotation", m.Row.Identity, m.f.Identity)
	m.note(m.Failure)
	m.Row.State, m.Outcome = Suspended, "suspended"
	m.Row.RequestedAt, m.Row.RequestedBy = zero, ""
	return Action{Do: Rest}
}

// tolerance is how far the clocks of nodes may be apart.
const tolerance = 5 * time.Minute

// correctClock mends moments that lie in an impossible future, because the clock was
// ahead when they were written.
func (m *machine) correctClock() {
	w := &m.Row
	if w.LastSuccess.After(m.f.Now.Add(tolerance)) {
		w.LastSuccess, m.Outcome = m.f.Now, "clock corrected"
	}
	if w.RetryAt.After(m.f.Now.Add(m.s.Limits.BackoffCap + tolerance)) {
		w.RetryAt, m.Outcome = zero, "clock corrected"
	}
	if limit := m.f.Now.Add(m.s.Grace); w.RetireAt.After(limit.Add(tolerance)) {
		w.RetireAt, m.Outcome = limit, "clock corrected"
	}
	if limit := m.f.Now.Add(m.s.longestEnd()); m.s.Ends(w).After(limit.Add(tolerance)) {
		w.RetireBy, m.Outcome = limit, "clock corrected"
	}
}
