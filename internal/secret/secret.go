// Package secret has the type in which passwords, API keys, variable values and
// tokens travel: it does not print, log or marshal by accident.
//
// It imports nothing of rekey.
package secret

import (
	"crypto/subtle"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
)

const redacted = "[secret]"

// Bytes is a secret. Every formatting verb, slog and JSON show "[secret]" or
// refuse; Reveal is the one way to its content, so that a reviewer can grep for
// each place where plaintext leaves.
type Bytes struct{ b []byte }

var (
	_ fmt.Formatter          = Bytes{}
	_ json.Marshaler         = Bytes{}
	_ encoding.TextMarshaler = Bytes{}
	_ slog.LogValuer         = Bytes{}
)

// New takes ownership of b.
func New(b []byte) Bytes { return Bytes{b} }

// FromString copies s.
func FromString(s string) Bytes { return Bytes{[]byte(s)} }

// Reveal is the plaintext itself, not a copy.
func (s Bytes) Reveal() []byte { return s.b }

// RevealString copies the plaintext into a string.
func (s Bytes) RevealString() string { return string(s.b) }

// Len is the length of the plaintext in bytes.
func (s Bytes) Len() int { return len(s.b) }

// Equal compares in constant time for equal lengths.
func (s Bytes) Equal(t Bytes) bool { return subtle.ConstantTimeCompare(s.b, t.b) == 1 }

// Format shows a placeholder for every verb.
func (s Bytes) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String shows a placeholder.
func (s Bytes) String() string { return redacted }

// LogValue shows a placeholder.
func (s Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

var errMarshal = errors.New("a secret is not to be marshalled: reveal it explicitly where it must leave")

// MarshalJSON refuses.
func (s Bytes) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// MarshalText refuses.
func (s Bytes) MarshalText() ([]byte, error) { return nil, errMarshal }
