// Package rotation is the state machine by which a secret is replaced on its target
// and never lost: which step comes next, given what is durable, what the target has
// said, and the settings of the variable; and when the next rotation is due.
//
// A rotation runs idle -> planned (the candidate is sealed and durable) -> applying
// -> verified -> retiring (the candidate is published, the old value ends at RetireAt,
// or waits for acknowledgements until RetireBy) -> idle. It waits in backoff, or in
// uncertain if the target may have the candidate; people are asked for in quarantined
// and suspended. Between rotations a login shows whether the target still accepts the
// value; if not, it is drifted.
//
// It promises: no byte goes to the target before the candidate is durable; a value is
// published only after a login with it; a candidate that the target may have got is
// kept until it is published or another credential is known to work; and what is done
// after a crash follows from what the target accepts now, not from what was
// remembered: candidate, then current, then previous; current first where the candidate
// was refused just before, since processes that die make no account be locked.
//
// It is pure: no network, disk, clock or randomness but what it is given. It imports
// target, row, ident, period and fault.
package rotation

import (
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// The states of row.Rotation. Paused is none of them: a rotation can be paused in any.
const (
	Idle        = "idle"
	Planned     = "planned"     // the candidate is durable; the target has not heard of it
	Applying    = "applying"    // the target may have it
	Verified    = "verified"    // a login with it worked
	Retiring    = "retiring"    // it is published; the old one ends at RetireAt, or later if it waits for consumers
	Backoff     = "backoff"     // a rotation failed and is tried again at RetryAt
	Uncertain   = "uncertain"   // the same, but the target may have the candidate
	Quarantined = "quarantined" // failed too often, until somebody says retry, adopt or reconcile
	Suspended   = "suspended"   // the target is not the one it was handed off for, until somebody resumes
	Drifted     = "drifted"     // idle, and the target has refused a login with the current value
)

// Current names the published credential where a slot is asked for.
const Current row.Slot = "current"

// Verb is what is to be done next.
type Verb int

// The verbs. Apply, SetBack, Probe and Retire contact the target, as does Plan where the
// target has to be surveyed; the others do not.
const (
	Rest    Verb = iota // nothing: let go of the lease
	Plan                // make a candidate, or what has to be known before one is issued: Planning
	Send                // make durable that the target is about to get it: Sending
	Apply               // Applied
	SetBack             // apply the current credential again: Restored
	Probe               // Probed
	Publish             // Published
	Retire              // Retired
)

// Action is what is to be done next, and with which credentials.
type Action struct {
	Do   Verb
	Slot row.Slot // Apply, SetBack: what should work now. Probe: what to try. Retire: what to end
}

// What happened.
type What int

// The events. Begin starts a run; each of the others answers an action.
const (
	Begin What = iota
	Planning
	Sending
	Applied
	Restored
	Probed
	Published
	Retired
)

// Event is what happened, and how it failed.
type Event struct {
	What   What
	Slot   row.Slot      // Probed, Retired: of which credential
	Filled bool          // Planning, Applied: the candidate's slot is filled
	Err    *target.Error // nil: it worked
}

// Facts are what a step relies on beside the row.
type Facts struct {
	Now      time.Time
	Version  int           // newest version of the variable
	Expires  time.Time     // of that version; zero: at once
	Identity string        // of the target as it is bound now
	Problem  *target.Error // Begin: why no target could be bound
	NewID    string        // for a rotation that starts
	Random   float64       // in [0, 1)
	Resets   bool          // the target's Apply does not need a credential that works

	// Consumers are those of the settings that may use the variable.
	Consumers []string
}

// Run is one worker's uninterrupted work on a rotation: the durable row, and what the
// worker has learnt from the target, which dies with it on purpose.
type Run struct {
	Row row.Rotation

	// Outcome names the step for history and audit; empty: it is not worth a line.
	Outcome string
	// Message is what there is to say of the step beside its Failure.
	Message string
	// Keep says that the candidate goes to the slot Discarded in this step.
	Keep bool
	// Failure is what failed in this step.
	Failure *target.Error

	base       row.Slot      // the credential known to work, for Apply
	tried      uint8         // bases from which Apply was tried in this run, and setting back
	failure    *target.Error // the first failure of the run
	unended    *target.Error // with which the login was refused by which the old one was to be ended
	refusal    *target.Error // with which a candidate was refused that may be there all the same
	applyAuth  bool          // Apply itself failed to log in
	wantsValue bool          // a new value is due, not only the end of an old one
	checking   bool          // it is only to be seen whether the current value works
	order      order         // of candidate and current, if not the usual one
}

// Base is the credential from which the candidate was applied in this run.
func (r *Run) Base() row.Slot {
	if r.base == row.Previous || r.base == row.Discarded {
		return r.base
	}
	return Current
}

// order is how far a run has come that asks for the current credential first.
type order int

const (
	usual        order = iota
	currentFirst       // the candidate comes after it
	currentDone        // it was refused, and does not come again
)

// Open tells whether there is a candidate that is neither published nor given up.
func Open(w *row.Rotation) bool { return w.Candidate || w.Sent }

const setBack = 1 << 7

func bit(s row.Slot) uint8 {
	switch s {
	case row.Candidate:
		return 1
	case row.Previous:
		return 2
	case row.Discarded:
		return 4
	}
	return 8
}
