// Package target is what the rotation engine asks of a kind of target: to make a new
// credential work there, to try one, and to end an old one. Each kind is a small
// package below this one; its author reads this page and one example.
//
// The example for passwords of users is redis. Package password does all that such kinds
// share: a kind beside those says how to log in and how to set a password (its System and
// Session), and reads the failures of its network by transport. Where the target makes the
// credential, the example is aws, and cloud has what is shared. Kind and Target below are
// for what is neither, as ssh/key. A new kind is then one line in internal/server, which
// lists them; a server for its tests below targettest, a real one if there is one; one test
// that runs targettest.Suite (or Issuing) against it, which says what else the kind has to
// show, or wants a reason; a stand in the engine's sweep of failpoints; and an example and a
// row of each table in docs/rotation.md.
//
// A target knows nothing of versions, schedules, leases, retries or crashes: the
// engine calls Apply, Probe and Retire again after any of them, as often as it must.
// So each call is idempotent and holds no state between calls; each obeys its context;
// and each tells failures apart by class, because the engine acts on the class alone.
//
// It imports secret only.
package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"rekey/internal/secret"
)

// Kind makes targets of one kind.
type Kind interface {
	// Name is the value of annotation rotation/rotator, such as "postgresql/password".
	Name() string

	// Check looks at the annotations of a variable when its policy is loaded, without
	// any value: the problems it finds refuse the load. It knows every annotation
	// below its own prefix, and finds fault with those that it does not know.
	Check(annotations map[string]string) []Problem

	// Siblings names the variables beside the rotated one that the kind reads, and
	// those whose values change together with it.
	Siblings(annotations map[string]string) Siblings

	// Bind makes the target that the values describe. It does not contact it. A
	// Refused error says which value is missing or malformed.
	Bind(Binding) (Target, error)
}

// Problem is something wrong with an annotation.
type Problem struct {
	Annotation string
	Message    string // what is wrong
	Advice     string // how to mend it
}

// Siblings are names of variables in the folder of the rotated one, or, with a
// leading slash, identifiers of variables elsewhere in the account.
type Siblings struct {
	Reads  []string // optional ones end in "?"
	Writes []string // beside the rotated variable itself; published in the same commit
}

// Binding is what a target is made of.
type Binding struct {
	Annotations map[string]string
	Values      map[string]secret.Bytes // of Siblings.Reads, by name without "?"; absent if it has no value
	Dial        Dial                    // the only way to the network: it obeys the server's list of allowed targets
	Rand        io.Reader
}

// Dial opens a connection as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Credential is a set of values that belong together, by variable name; the rotated
// variable's own is under Main.
type Credential map[string]secret.Bytes

// Equal tells whether two credentials have the same values.
func (c Credential) Equal(d Credential) bool {
	if len(c) != len(d) {
		return false
	}
	for name, value := range c {
		if other, ok := d[name]; !ok || !value.Equal(other) {
			return false
		}
	}
	return true
}

// Main is the name of the rotated variable's value in a Credential.
const Main = ""

// Target is one account on one outside system.
type Target interface {
	// Identity says what is acted on: address, account and, where TLS is verified by
	// a given CA, its fingerprint. It has no secret. When it changes, the engine
	// suspends the rotation until someone re-arms it.
	Identity() string

	// Candidate makes the next credential without contacting the target. Where the
	// target issues credentials itself, Apply returns the new one, and this is nil or an
	// intent: something without a value under Main, such as the name that the new one is
	// going to have. It is durable before Apply gets it as next, again and again should
	// answers be lost. It is no credential, and neither probed nor retired.
	Candidate(current Credential) (Credential, error)

	// Apply makes the target accept next; current is what should work now. It is
	// idempotent. It returns the credential in full, which is next unless the target
	// issues it; of values that are not among Siblings.Writes nothing is left when it is
	// published. An Uncertain error says that it may have happened.
	Apply(ctx context.Context, current, next Credential) (Credential, error)

	// Probe logs in with a credential. Nil means that the target accepts it; an
	// AuthFailed error that it does not; anything else that it cannot be told.
	Probe(ctx context.Context, c Credential) error

	// Retire ends old, of which current is the successor: only what belongs to old,
	// never a credential that somebody else made. Nothing left to end is no error. old
	// may also be a candidate that was given up and has never been current.
	Retire(ctx context.Context, current, old Credential) error
}

// Resetter is a Target whose Apply may do without a credential that works, because a
// privileged account does the work. A Target that is none does not know: it is asked to
// when somebody says so.
type Resetter interface {
	// Resets tells whether it is so with this target. If it is, a target that accepts
	// none of the known credentials is mended by Apply.
	Resets() bool
}

// Surveyor is a Target that issues credentials itself, and cannot tell one that it issued
// with its answer lost from somebody else's unless it knows what was there before.
type Surveyor interface {
	// Survey takes the place of Candidate, and returns an intent. It changes nothing at
	// the target.
	Survey(ctx context.Context, current Credential) (Credential, error)
}

// Lasting is a Kind whose old credentials go on for as long as a value lives, unless
// annotation rotation/grace says otherwise: it costs the target nothing to keep both.
type Lasting interface {
	Lasts() bool
}

// Keeping is a Kind with which it depends on the annotations whether an old credential goes
// on until Retire ends it. With other kinds it does.
type Keeping interface {
	// Keeps tells whether it does, as far as the annotations tell.
	Keeps(annotations map[string]string) bool
}

// Rehearser is a Target that can tell, beyond what Probe does, whether Apply would be
// done.
type Rehearser interface {
	// Rehearse takes those steps of Apply that change nothing, not even if it is cut off:
	// whoever would do it logs in and, where the target can tell, is found to be allowed
	// to. told says that it could. It fails as Apply does, but never with Uncertain.
	Rehearse(ctx context.Context, current Credential) (told bool, err error)
}

// Class is how a call failed.
type Class int

// The classes.
const (
	// Unreachable: nothing has reached the target, or its answer was a plain "not
	// now". Nothing has changed there.
	Unreachable Class = iota + 1
	// AuthFailed: the target knows the credential to be wrong.
	AuthFailed
	// Refused: the target, or this kind, will not do it however often it is asked:
	// the value breaks a rule, the privilege is missing, a setting is wrong.
	Refused
	// Uncertain: the request was sent and its outcome is not known. Only a probe can
	// tell.
	Uncertain
)

func (c Class) String() string {
	switch c {
	case Unreachable:
		return "unreachable"
	case AuthFailed:
		return "authentication failed"
	case Refused:
		return "refused"
	case Uncertain:
		return "uncertain"
	}
	return "unclassified"
}

// Error is a failure of a class, in words for an operator that hold no secret.
type Error struct {
	Class   Class
	Message string
	// BadValue: Refused because of this very value; another one may do.
	BadValue bool
	Cause    error // may hold secrets: for errors.Is only, never shown
}

func (e *Error) Error() string { return e.Class.String() + ": " + e.Message }

func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error of a class.
func Errorf(class Class, cause error, format string, args ...any) *Error {
	return &Error{Class: class, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// ClassOf tells the class of an error. What a kind did not classify is Uncertain: the
// safe reading, since it makes the engine probe.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Uncertain
}
