package rotation

import (
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// Next is the machine: the run after an event, and the action to take as soon as the
// row of that run is durable. The row it was given is not changed, so that a step can
// be computed again on a row that somebody else has changed meanwhile.
func Next(r Run, e Event, f Facts, s *Settings) (Run, Action) {
	r.Outcome, r.Message, r.Keep, r.Failure = "", "", false, e.Err
	if e.Err != nil && r.failure == nil {
		r.failure = e.Err
	}
	m := &machine{Run: r, f: f, s: s}
	do := m.step(e)
	m.lease(do)
	return m.Run, do
}

// machine is one step.
type machine struct {
	Run
	f Facts
	s *Settings
}

func (m *machine) step(e Event) Action {
	switch e.What {
	case Planning:
		return m.planned(e)
	case Sending:
		m.Row.Sent, m.Row.State, m.Outcome = true, Applying, "applying"
		m.tried |= bit(m.base)
		return Action{Apply, m.base}
	case Applied:
		return m.applied(e)
	case Restored:
		if e.Err == nil {
			m.Outcome = "set back"
			return Action{Probe, Current}
		}
		if e.Err.Class == target.AuthFailed && m.tooManyLogins() {
			return m.fail(e.Err)
		}
		return m.fail(m.failure)
	case Probed:
		if m.checking {
			return m.checked(e.Err)
		}
		return m.probed(e)
	case Published:
		return m.published()
	case Retired:
		return m.retired(e)
	}
	return m.begin()
}

// lease is taken or renewed with every step, and let go of with the last.
func (m *machine) lease(do Action) {
	w := &m.Row
	w.LeaseUntil = m.f.Now.Add(m.s.Limits.Lease)
	if do.Do == Rest {
		w.Holder, w.LeaseUntil = "", zero
	}
}

// first is the credential by which a run that was interrupted finds out how things are.
func (m *machine) first() Action {
	if m.Row.Candidate {
		return Action{Probe, row.Candidate}
	}
	return Action{Probe, Current}
}

// send starts Apply from a credential, once for each in a run.
func (m *machine) send(base row.Slot) Action {
	if m.tried&bit(base) != 0 {
		return m.fail(m.failure)
	}
	m.base = base
	return Action{Do: Send}
}

func (m *machine) planned(e Event) Action {
	w := &m.Row
	if e.Err != nil {
		if e.Err.Class == target.AuthFailed {
			w.AuthFailures++ // it was to be surveyed
		}
		return m.fail(e.Err)
	}
	w.State, m.Outcome = Planned, "planned"
	w.Candidate, w.Sent, w.Unsure, w.Acked = e.Filled, false, false, false
	if m.base == "" {
		m.base = Current
	}
	return Action{Do: Send}
}

func (m *machine) applied(e Event) Action {
	w := &m.Row
	if e.Err == nil {
		w.Acked, w.Candidate, m.Outcome = true, w.Candidate || e.Filled, "applied"
		return Action{Probe, row.Candidate}
	}
	switch e.Err.Class {
	case target.Refused:
		if w.Unsure && w.Candidate {
			// It may be there all the same, from an earlier attempt, and be refused for that.
			m.refusal = e.Err
			return Action{Probe, row.Candidate}
		}
		return m.refused(e.Err)
	case target.AuthFailed:
		m.applyAuth = true
		if m.tooManyLogins() {
			return m.fail(e.Err)
		}
		return m.doubt()
	case target.Unreachable:
		w.Sent = w.Unsure // nothing has reached the target this time
		return m.fail(e.Err)
	}
	w.Unsure = true
	return m.doubt()
}

// doubt is that the target has to be asked which credential works.
func (m *machine) doubt() Action {
	m.Row.State, m.Outcome, m.order = Uncertain, "uncertain", usual
	return m.first()
}

// recover is doubt after a run that was interrupted. If the target has refused the
// candidate by then, as it does where Apply never happened, a login that should work comes
// first: it ends the counting of refusals, at the target too, so that workers who die again
// and again come to no quarantine. Apply may be repeated, whether the candidate is there or
// not.
func (m *machine) recover() Action {
	do := m.doubt()
	if w := &m.Row; w.Candidate && !w.Acked && w.AuthFailures > 0 {
		m.order = currentFirst
		return Action{Probe, Current}
	}
	return do
}

// refused gives up a candidate that the target does not take, for another one if it
// was the value.
func (m *machine) refused(err *target.Error) Action {
	m.discard()
	if err.BadValue {
		if m.Row.BadValues++; m.Row.BadValues%m.s.Limits.BadValues != 0 {
			m.Row.State, m.Outcome, m.tried = Backoff, "refused", 0
			return Action{Do: Plan}
		}
	}
	return m.fail(err)
}

// discard gives up the candidate. One that the target may hold is kept aside.
func (m *machine) discard() {
	w := &m.Row
	m.Keep = w.Candidate && (w.Unsure || w.Acked)
	w.Discarded = w.Discarded || m.Keep
	w.Candidate, w.Sent, w.Unsure, w.Acked = false, false, false, false
	m.refusal = nil
}

func (m *machine) published() Action {
	w := &m.Row
	w.State, w.Version, w.LastSuccess = Retiring, m.f.Version, m.f.Now
	w.Candidate, w.Sent, w.Unsure, w.Acked = false, false, false, false
	w.Previous, w.RetireAt = true, m.f.Now.Add(m.s.Grace)
	m.await()
	m.Outcome, m.wantsValue = "published", false
	m.forgive()
	if m.s.Grace > 0 {
		return Action{Do: Rest}
	}
	return Action{Retire, row.Previous}
}

// forgive forgets failures and what was asked for.
func (m *machine) forgive() { forgive(&m.Row) }

func forgive(w *row.Rotation) {
	w.Attempts, w.AuthFailures, w.BadValues = 0, 0, 0
	w.RetryAt, w.RequestedAt, w.RequestedBy, w.Reconcile = zero, zero, "", false
	w.ErrorClass, w.ErrorMessage, w.ErrorAt = "", "", zero
}

func (m *machine) retired(e Event) Action {
	w := &m.Row
	again := e.Err != nil && e.Err.Class != target.Refused
	if again && e.Slot != row.Candidate && e.Err.Class == target.AuthFailed && m.unended == nil && !m.tooManyLogins() {
		m.unended = e.Err
		return Action{Probe, Current}
	}
	if e.Slot == row.Candidate {
		if again && e.Err.Class != target.AuthFailed {
			return m.fail(e.Err)
		}
		return m.rolledBack()
	}
	if again && w.Attempts+1 < m.s.Limits.Cycles {
		return m.fail(e.Err)
	}
	w.State, w.RetireAt, w.RetireBy, w.RetryAt, w.Attempts, m.Outcome = Idle, zero, zero, zero, 0, "retired"
	if e.Err != nil {
		m.note(e.Err)
		m.Outcome = "not retired"
	}
	if m.wantsValue {
		m.start()
		return Action{Do: Plan}
	}
	return Action{Do: Rest}
}

// unretired goes on from a login with the current credential, after one by which the old
// one was to be ended was refused. If the target does not accept the current one, it has
// been put back to an earlier state, or somebody has changed it: the old one may be the
// only one that works, and must not be ended.
func (m *machine) unretired(err *target.Error) Action {
	w, refused := &m.Row, m.unended
	if m.unended = nil; err == nil {
		return m.fail(refused)
	}
	if err.Class != target.AuthFailed {
		return m.fail(err)
	}
	m.note(err)
	w.RetireAt, w.RetryAt, w.Attempts = zero, zero, 0
	if m.wantsValue {
		w.State, w.AuthFailures, m.Outcome, m.base = Idle, w.AuthFailures+1, "not retired", row.Previous
		m.start()
		return Action{Do: Plan}
	}
	w.State, w.AuthFailures, m.Outcome = Drifted, 1, "drifted"
	return Action{Do: Rest}
}

// rolledBack ends a rotation whose candidate the target took but does not accept,
// while the current credential works.
func (m *machine) rolledBack() Action {
	err := m.refusal
	if err == nil {
		err = target.Errorf(target.Refused, nil, "the target took the new value but refuses a login with it; the old one is kept")
	}
	wasRefusal := m.refusal != nil
	m.discard()
	do := m.fail(err)
	if m.Outcome == "failed" && !wasRefusal {
		m.Outcome = "rolled back"
	}
	return do
}
