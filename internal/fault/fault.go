// Package fault is the one vocabulary of errors: what went wrong, in a kind that
// the wire maps to a status in a single table, and in words that say what, where
// and how to mend it.
//
// Every room returns these; httpapi and cli render them. It imports nothing of
// rekey.
package fault

import (
	"errors"
	"fmt"
)

// Kind says which sort of error it is. The wire's table maps each to a status.
type Kind int

// The kinds.
const (
	Internal        Kind = iota // a defect or a broken dependency: 500
	Invalid                     // the request makes no sense: 422 unprocessable_entity
	Argument                    // a parameter is missing or malformed: 422 argument_error
	Missing                     // a parameter that the form requires is missing: 422 parameter_missing
	Validation                  // a field breaks a rule: 422 validation_failed, Target is the field
	PolicyInvalid               // the policy text cannot be loaded: 422 policy_invalid
	BadRequest                  // the message itself is malformed: 400
	Unauthenticated             // 401; the message is for the log unless Public
	Forbidden                   // 403 without a body; the message is for the log
	NotFound                    // 404; Target and ID describe the missing record, if it is one
	NotAllowed                  // 405: the method does not apply to this record
	NotAcceptable               // 406
	Conflict                    // 409: exists already, or changed meanwhile
	Busy                        // 409 with Retry-After: a concurrent policy load
	TooLarge                    // 413
	Unavailable                 // 503: try again later
	ReadOnly                    // 503: this node changes nothing, another one does
)

// Error is an error of the vocabulary.
type Error struct {
	Kind    Kind
	Message string // for the client, except where Kind says otherwise
	Target  string // Validation: the field. NotFound, Conflict: the record's kind
	ID      string // NotFound: the full id of the missing record. Conflict: its id
	Public  bool   // Unauthenticated: the client may read the message
	Line    int    // PolicyInvalid: position of the construct, 0 if unknown
	Column  int
	Advice  string // how to mend it, where that is not in the message
	Log     string // for the server's log only: what the client must not learn
	Cause   error
}

func (e *Error) Error() string {
	if e.Log != "" {
		return e.Message + " (" + e.Log + ")"
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an Internal error of a broken dependency's, with context; an error
// that is of the vocabulary already keeps its kind.
func Wrap(cause error, format string, args ...any) error {
	if cause == nil {
		return nil
	}
	message := fmt.Sprintf(format, args...)
	var known *Error
	if errors.As(cause, &known) {
		return fmt.Errorf("%s: %w", message, cause)
	}
	return &Error{Kind: Internal, Message: message + ": " + cause.Error(), Cause: cause}
}

// KindOf tells the kind of any error; what is not of the vocabulary is Internal.
func KindOf(err error) Kind {
	var known *Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return Internal
}

// Is tells whether an error is of a kind.
func Is(err error, kind Kind) bool {
	if err == nil {
		return false // and nothing is allocated where all is well
	}
	var known *Error
	return errors.As(err, &known) && known.Kind == kind
}
