// Package delegate is what the kinds of targets share that leave the work to somebody
// else's program: what such a program is asked, what it may answer, and how a variable
// says what it needs to know. A kind adds how the program is reached (Program).
//
// The annotations, below the kind's own prefix, such as rotation/exec/length:
//
//	length, charset  of generated values, as password has them
//	value            generated (the default), or issued: the program makes the new value
//	                 when it is asked to apply it
//	variables        names of variables that say what is acted on, with blanks between:
//	                 the program gets them, and they are part of the target's identity
//	secrets          names of variables that the program gets and nobody else sees
//	parameter/NAME   a text that the program gets
//
// It imports target, password and secret.
package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// What a program is asked to do.
const (
	Apply  = "apply"  // make Next work; Current is what should work now
	Probe  = "probe"  // see whether Value works
	Retire = "retire" // end Old, whose successor is Current
)

// Question is what a program is asked. Its JSON has the names of the fields in lower
// case; what does not belong to the operation is left out.
type Question struct {
	ID         string            // another one for each question
	Operation  string            // Apply, Probe or Retire
	Parameters map[string]string // by NAME
	Variables  map[string]secret.Bytes
	Secrets    map[string]secret.Bytes
	Current    secret.Bytes
	Next       secret.Bytes // without one, the program makes it
	Old        secret.Bytes
	Value      secret.Bytes
}

// JSON reveals a question to whom it is for.
func (q Question) JSON() ([]byte, error) {
	plain := struct {
		ID         string            `json:"id"`
		Operation  string            `json:"operation"`
		Parameters map[string]string `json:"parameters"`
		Variables  map[string]string `json:"variables"`
		Secrets    map[string]string `json:"secrets"`
		Current    string            `json:"current,omitempty"`
		Next       string            `json:"next,omitempty"`
		Old        string            `json:"old,omitempty"`
		Value      string            `json:"value,omitempty"`
	}{q.ID, q.Operation, q.Parameters, revealed(q.Variables), revealed(q.Secrets), q.Current.RevealString(), q.Next.RevealString(), q.Old.RevealString(), q.Value.RevealString()}
	for _, v := range append(q.secrets(), slices.Collect(maps.Values(q.Variables))...) {
		if !utf8.Valid(v.Reveal()) {
			return nil, target.Errorf(target.Refused, nil, "a value is not UTF-8, so it cannot be passed on as JSON")
		}
	}
	return json.Marshal(plain)
}

// secrets are the values that nobody else may see.
func (q Question) secrets() []secret.Bytes {
	return append(slices.Collect(maps.Values(q.Secrets)), q.Current, q.Next, q.Old, q.Value)
}

func revealed(values map[string]secret.Bytes) map[string]string {
	plain := map[string]string{}
	for name, v := range values {
		plain[name] = v.RevealString()
	}
	return plain
}

// Answer is what a program may say. Its JSON has the names of the fields in lower case.
type Answer struct {
	Result   string `json:"result"`    // ok, or a class: unreachable, authentication failed, refused or uncertain
	Message  string `json:"message"`   // for an operator
	BadValue bool   `json:"bad_value"` // refused because of this very value
	Value    string `json:"value"`     // the new one, if the program makes it
}

// maxAnswer is how many bytes an answer may have.
const maxAnswer = 64 << 10

// MaxAnswer is one more than an answer may have.
const MaxAnswer = maxAnswer + 1

// ParseAnswer reads one. Names that it does not know are let pass, so that a program
// may say more to others.
func ParseAnswer(text []byte) (Answer, error) {
	var a Answer
	if len(text) > maxAnswer {
		return a, errors.New("it answers more than 64 KiB")
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return a, errors.New("its answer is no JSON object") // the library's words may hold what was answered
	}
	return a, nil
}

// Err is the failure that an answer tells of, if any.
func (a Answer) Err(who string, q Question) error {
	for _, class := range []target.Class{target.Unreachable, target.AuthFailed, target.Refused, target.Uncertain} {
		if a.Result == class.String() {
			return a.Fail(class, who, q)
		}
	}
	if a.Result == "ok" {
		return nil
	}
	return target.Errorf(q.doubt(), nil, "%s: its answer has no result that is known", who)
}

// Fail is a failure of a class, in the program's words as far as they can be shown.
func (a Answer) Fail(class target.Class, who string, q Question) error {
	words := "it does not say why"
	if a.Message != "" {
		words = q.discreet(a.Message)
	}
	e := target.Errorf(class, nil, "%s: %s", who, words)
	e.BadValue = a.BadValue && class == target.Refused
	return e
}

// Broken is the failure of a program that was asked and did not answer as it should:
// nobody knows what it has done.
func (q Question) Broken(who, why string) error {
	return target.Errorf(q.doubt(), nil, "%s: %s", who, why)
}

// doubt is the class of what is not known: a look changes nothing.
func (q Question) doubt() target.Class {
	if q.Operation == Probe {
		return target.Unreachable
	}
	return target.Uncertain
}

// Program is whoever does the work.
type Program interface {
	// Name says who it is, for errors, and Address all that an operator would want to
	// know to have changed. Neither has a secret.
	Name() string
	Address() string
	// Ask puts a question and waits for the answer. An error is a target.Error.
	Ask(ctx context.Context, q Question) (Answer, error)
}
