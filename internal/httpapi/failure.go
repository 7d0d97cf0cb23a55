package httpapi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"rekey/internal/fault"
	"rekey/internal/policy"
)

// failure is an error as it goes over the wire.
type failure struct {
	status     int
	body       []byte // nil for an answer without one
	v2         bool   // body has the shape of the protocol's second version
	fallback   bool   // no action answers: the shape follows the Accept header
	retryAfter string
}

// meaning is what a kind of error is on the wire.
type meaning struct {
	status int
	code   string // "" for answers without a body
	v2     bool   // the second version has a shape of its own for it
}

var meanings = map[fault.Kind]meaning{
	fault.Invalid:         {http.StatusUnprocessableEntity, "unprocessable_entity", true},
	fault.Argument:        {http.StatusUnprocessableEntity, "argument_error", false},
	fault.Missing:         {http.StatusUnprocessableEntity, "parameter_missing", false},
	fault.Validation:      {http.StatusUnprocessableEntity, "validation_failed", false},
	fault.PolicyInvalid:   {http.StatusUnprocessableEntity, "policy_invalid", false},
	fault.BadRequest:      {http.StatusBadRequest, "bad_request", true},
	fault.Unauthenticated: {http.StatusUnauthorized, "unauthorized", false},
	fault.Forbidden:       {http.StatusForbidden, "", false},
	fault.NotFound:        {http.StatusNotFound, "not_found", true},
	fault.NotAllowed:      {http.StatusMethodNotAllowed, "method_not_allowed", false},
	fault.NotAcceptable:   {http.StatusNotAcceptable, "not_acceptable", false},
	fault.Conflict:        {http.StatusConflict, "conflict", true},
	fault.Busy:            {http.StatusConflict, "policy_conflict", false},
	fault.TooLarge:        {http.StatusRequestEntityTooLarge, "payload_too_large", false},
	fault.Unavailable:     {http.StatusServiceUnavailable, "unavailable", false},
	fault.ReadOnly:        {http.StatusServiceUnavailable, "read_only", true},
}

// failureOf is the one mapping from errors to the wire. What is not of the vocabulary,
// or is internal, tells the client nothing.
func failureOf(err error, v2 bool) failure {
	var known *fault.Error
	if !errors.As(err, &known) {
		return failure{status: http.StatusInternalServerError, fallback: true}
	}
	m, ok := meanings[known.Kind]
	if !ok {
		return failure{status: http.StatusInternalServerError, fallback: true}
	}
	f := failure{status: m.status}
	switch known.Kind {
	case fault.Busy:
		f.retryAfter = strconv.Itoa(1 + rand.IntN(8))
	case fault.Unavailable:
		f.retryAfter = "1"
	}
	text := sentence(known)
	switch {
	case m.code == "",
		known.Kind == fault.Unauthenticated && (!known.Public || v2),
		known.Kind == fault.BadRequest && text == "":
		return f
	case m.v2 && v2:
		f.v2 = true
		f.body = append(f.body, `{"code":"`+strconv.Itoa(m.status)+`","message":`...)
		f.body = appendString(f.body, text)
		f.body = append(f.body, '}')
		return f
	}
	f.body = envelope(known, m.code, text)
	return f
}

// sentence is the message for the client, to the letter what clients know. A missing
// or existing record describes itself where the error has no words of its own.
func sentence(e *fault.Error) string {
	if e.Message == "" && e.ID != "" {
		switch e.Kind {
		case fault.NotFound:
			return recordNotFound(e.ID)
		case fault.Conflict:
			return e.Target + ` "` + e.ID + `" already exists`
		}
	}
	if errors.Is(e.Cause, policy.ErrStatement) {
		return fmt.Sprintf("Error at line %d, column %d in policy : %s", e.Line, e.Column, e.Message)
	}
	return e.Message
}

// recordNotFound describes a missing record by its id, of which parts may be missing.
func recordNotFound(id string) string {
	account, rest, _ := strings.Cut(id, ":")
	kind, identifier, _ := strings.Cut(rest, ":")
	if account == "" {
		account = "unknown account"
	}
	name := "Unknown kind"
	if kind != "" {
		name = strings.ToUpper(kind[:1]) + strings.ToLower(kind[1:])
	}
	return name + " '" + identifier + "' not found in account '" + account + "'"
}

// envelope is the error object of the protocol's first version. Advice goes beside the
// message, which stays what clients know.
func envelope(e *fault.Error, code, text string) []byte {
	b := make([]byte, 0, 256)
	b = append(b, `{"error":{"code":"`...)
	b = append(b, code...)
	b = append(b, `","message":`...)
	switch {
	case e.Kind == fault.Validation && e.Target != "":
		b = appendString(b, e.Target+" "+text)
		b = append(b, `,"details":[{"code":"validation_failed","target":`...)
		b = appendString(b, e.Target)
		b = append(b, `,"message":`...)
		b = appendString(b, text)
		b = append(b, `}]`...)
	case e.Kind == fault.PolicyInvalid && e.Line > 0:
		b = appendString(b, text)
		b = append(b, `,"innererror":{"code":"policy_invalid","filename":"policy","line":`...)
		b = strconv.AppendInt(b, int64(e.Line), 10)
		b = append(b, `,"column":`...)
		b = strconv.AppendInt(b, int64(e.Column), 10)
		b = append(b, '}')
	case (e.Kind == fault.NotFound || e.Kind == fault.Conflict) && e.ID != "":
		b = appendString(b, text)
		b = append(b, `,"target":`...)
		b = appendTarget(b, e)
		b = append(b, `,"details":{"code":"`...)
		b = append(b, code...)
		b = append(b, `","target":"id","message":`...)
		b = appendString(b, e.ID)
		b = append(b, '}')
	default:
		b = appendString(b, text)
	}
	if e.Advice != "" {
		b = append(b, `,"advice":`...)
		b = appendString(b, e.Advice)
	}
	return append(b, `}}`...)
}

// appendTarget appends the kind of the record that an error is about.
func appendTarget(to []byte, e *fault.Error) []byte {
	target := e.Target
	if target == "" {
		_, rest, _ := strings.Cut(e.ID, ":")
		target, _, _ = strings.Cut(rest, ":")
	}
	if target == "" {
		return append(to, "null"...)
	}
	return appendString(to, target)
}

// message is the text of an error of the token filter.
func message(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return ""
}
