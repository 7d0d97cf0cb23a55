package rotation

import (
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// probed goes on from what the target said to a login.
func (m *machine) probed(e Event) Action {
	if m.unended != nil {
		return m.unretired(e.Err)
	}
	if e.Err == nil {
		return m.works(e.Slot)
	}
	if e.Err.Class != target.AuthFailed {
		return m.fail(e.Err) // it cannot be told; nothing is given up
	}
	if m.tooManyLogins() {
		if m.mends() {
			return m.send(Current)
		}
		return m.fail(e.Err)
	}
	m.Failure = nil // an answer, as good as any other
	if e.Slot == row.Candidate && m.Row.Acked {
		m.Row.State, m.Outcome = Uncertain, "not verified"
	}
	slot := e.Slot
	switch {
	case slot == Current && m.order == currentFirst:
		m.order = currentDone
		return Action{Probe, row.Candidate}
	case slot == row.Candidate && m.order == currentDone:
		slot = Current
	}
	switch {
	case slot == row.Candidate:
		return Action{Probe, Current}
	case slot == Current && m.Row.Previous:
		return Action{Probe, row.Previous}
	case slot != row.Discarded && m.Row.Discarded:
		return Action{Probe, row.Discarded}
	}
	return m.locked()
}

// rejected tells whether the candidate is not wanted any more.
func (m *machine) rejected() bool { return m.Row.Acked || m.refusal != nil }

// works goes on from a credential that the target accepts.
func (m *machine) works(slot row.Slot) Action {
	w := &m.Row
	m.order = usual
	if !m.applyAuth {
		w.AuthFailures = 0
	}
	switch {
	case slot == row.Candidate:
		w.AuthFailures = 0
		w.State, m.Outcome = Verified, "verified"
		return Action{Do: Publish}
	case m.rejected() && slot == Current:
		if w.Candidate && (w.Acked || w.Unsure) && m.refusal == nil {
			return Action{Retire, row.Candidate}
		}
		if m.refusal != nil {
			return m.refused(m.refusal)
		}
		return m.rolledBack()
	case m.rejected():
		return m.restore(slot)
	case m.applyAuth && slot == Current:
		// The login that failed is another one: that of a privileged account.
		return m.fail(m.failure)
	}
	return m.send(slot)
}

// restore makes the target accept the current credential again.
func (m *machine) restore(base row.Slot) Action {
	if m.tried&setBack != 0 {
		return m.fail(m.failure)
	}
	m.tried |= setBack
	return Action{SetBack, base}
}

// locked goes on when the target accepts no credential that is known.
func (m *machine) locked() Action {
	switch {
	case m.rejected():
		return m.restore(row.Candidate)
	case m.mends():
		return m.send(Current)
	}
	return m.fail(target.Errorf(target.AuthFailed, nil,
		"the target accepts none of the known credentials; write the one that works into the variable, or reconcile"))
}

// mends tells whether Apply may still do what no known credential can.
func (m *machine) mends() bool {
	return (m.f.Resets || m.Row.Reconcile) && !m.rejected() && m.tried&bit(Current) == 0
}

// tooManyLogins counts a refused login. The target must not lock the account for our
// attempts.
func (m *machine) tooManyLogins() bool {
	m.Row.AuthFailures++
	return m.Row.AuthFailures >= m.s.Limits.AuthFailures
}

// fail ends the run: it is tried again later, or somebody has to look at it.
func (m *machine) fail(err *target.Error) Action {
	w := &m.Row
	if err == nil {
		err = target.Errorf(target.Uncertain, nil, "the rotation was interrupted")
	}
	m.note(err)
	m.Failure, m.Outcome = err, "failed"
	w.Attempts++
	w.RetryAt = m.f.Now.Add(m.s.Limits.Backoff(w.Attempts, m.f.Random)).Truncate(time.Millisecond)
	switch {
	case w.Sent:
		w.State = Uncertain
	case !w.RetireAt.IsZero():
		w.State = Retiring
	default:
		w.State = Backoff
	}
	cycles := m.s.Limits.Cycles
	if err.Class == target.Unreachable {
		cycles *= patience // it is rarely mended by looking at the variable
	}
	if w.AuthFailures >= m.s.Limits.AuthFailures || w.Attempts >= cycles {
		w.State, m.Outcome = Quarantined, "quarantined"
		w.RetryAt, w.RequestedAt, w.RequestedBy = zero, zero, ""
	}
	return Action{Do: Rest}
}

// patience is how many times more often a target that is only unreachable is tried
// before the rotation is quarantined.
const patience = 10

func (m *machine) note(err *target.Error) {
	w := &m.Row
	w.ErrorClass, w.ErrorMessage, w.ErrorAt = err.Class.String(), err.Message, m.f.Now
}
