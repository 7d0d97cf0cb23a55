package row

import (
	"time"

	"rekey/internal/ident"
)

// Rotation is how far the rotation of a variable has come. It exists from the first
// time that the engine took notice of the variable. Key: Variable.
type Rotation struct {
	Variable ident.ID
	Revision int64  // counts changes; each requires the one that it has read, so a lost lease writes nothing
	State    string // see package rotation
	ID       string // of the newest rotation, under which all its steps are taken
	Identity string // what target it was handed off for; empty: to be bound anew
	Version  int    // newest version of the variable that has been taken notice of
	Events   int64  // counts the lines of its history; the newest has this number

	// What is known of the candidate. It is kept as a Credential.
	Candidate bool // there is one
	Sent      bool // the target may have got it
	Unsure    bool // it was sent, and the outcome of that is not known
	Acked     bool // the target said that it took it
	Previous  bool // a Credential is kept of what was current before
	Discarded bool // a Credential is kept of a candidate that was given up after it was sent

	Attempts     int // failed ones since the last success
	AuthFailures int // logins in a row that the target refused
	BadValues    int // candidates in a row that the target refused

	StartedAt   time.Time // of the newest rotation
	LastSuccess time.Time // when a value was published or adopted
	RetryAt     time.Time // not before
	RetireAt    time.Time // when Previous is to be ended; zero: it has been
	CheckedAt   time.Time // when a login with the current value was tried, without a change

	// Awaited are the login names of the consumers that have not acknowledged the newest
	// published version, with blanks between, and RetireBy is when Previous is ended all the
	// same; zero: it waits for nobody.
	Awaited  string
	RetireBy time.Time

	RequestedAt time.Time // somebody wants it now
	RequestedBy ident.ID
	Reconcile   bool // ... and without knowing the old value

	PausedAt    time.Time
	PausedBy    ident.ID
	PauseReason string

	ErrorClass   string // of the last failure since the last success
	ErrorMessage string
	ErrorAt      time.Time

	Holder     string // who works on it; empty: nobody
	LeaseUntil time.Time
}

// Slot says which credential of a rotation is meant.
type Slot string

// The slots of a Credential.
const (
	Candidate Slot = "candidate"
	Previous  Slot = "previous"
	Discarded Slot = "discarded"
)

// Credential is a sealed set of values that may work on a target, beside the current
// one, which is in Secrets. Key: Variable, Slot.
type Credential struct {
	Variable ident.ID
	Slot     Slot
	Sealed   []byte // not in the graph
}

// RotationEvent is one step of a rotation's history. It is not in the graph. Deleting
// one that is gone is no error. Key: Variable, Revision.
type RotationEvent struct {
	Variable ident.ID
	Revision int64 // its number, by Rotation.Events
	At       time.Time
	ID       string // of the rotation
	State    string // that it came to
	Actor    string // "scheduler", or a role
	Event    string // what happened, in a word
	Class    string // of a failure
	Message  string // of a failure, or the reason that somebody gave
	Took     time.Duration
}

func (Rotation) isRow()      {}
func (Credential) isRow()    {}
func (RotationEvent) isRow() {}

// RotationIs requires that the rotation of a variable is at this revision; 0 that it
// has none.
type RotationIs struct {
	Variable ident.ID
	Revision int64
}

func (RotationIs) isCondition() {}
