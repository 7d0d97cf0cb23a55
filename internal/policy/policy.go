// Package policy is the policy language: it turns the YAML text of a policy into
// typed statements and, with the account and the branch it is loaded into, into
// records, grants, permits and removals whose ids are full and whose order is the
// order in which they can be applied. On a graph of what is there, it plans the rows
// that a load changes.
//
// It is pure: no input or output, no clock, no randomness. Whatever text it is
// given, it answers in time and memory bounded by the limits in limits.go, and
// either with a result or with one *fault.Error of kind PolicyInvalid that carries
// the place, the message that clients know and, where it helps, an advice.
//
// It imports the graph, the rows, the names, durations and the error vocabulary (rbac, row,
// ident, period, fault) and a YAML library.
package policy

import (
	"errors"

	"rekey/internal/fault"
)

// Which reading of the text failed: the Cause of every error of this package is
// one of these, because the wire shows their positions in different shapes.
var (
	ErrSyntax    = errors.New("the text is not YAML")
	ErrStatement = errors.New("the YAML is not a list of policy statements")
	ErrMeaning   = errors.New("the statements contradict each other or their place")
)

// Position is where a construct stands in the text, both counted from 1.
//
// It is always the line on which a person finds the construct: the key, value,
// tag or list entry itself, not the place that the scanner had reached when it
// noticed. A column is counted in characters.
type Position struct{ Line, Column int }

// Document is a policy text that was read: statements whose ids are still those
// that were written. It is immutable and may be resolved any number of times.
type Document struct {
	statements []*entity
	policies   []*entity // those with a body, wherever they stand
	entities   int
}

// Parse reads one policy document. The error, if any, is a *fault.Error of kind
// PolicyInvalid with Line, Column and, where there is one, Advice; its Cause is
// ErrSyntax or ErrStatement.
func Parse(text []byte) (*Document, error) {
	root, shared, err := load(text)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return &Document{}, nil
	}
	p := &parser{shared: shared, known: map[entityKey]*entity{}, flat: map[*node]bool{}}
	statements, err := p.document(root)
	if err != nil {
		return nil, err
	}
	return &Document{statements: statements, policies: p.policies, entities: p.entities}, nil
}

// refuse makes the error of this package.
func refuse(cause error, at Position, advice, message string) *fault.Error {
	return &fault.Error{
		Kind: fault.PolicyInvalid, Message: message, Cause: cause,
		Line: at.Line, Column: at.Column, Advice: advice,
	}
}
