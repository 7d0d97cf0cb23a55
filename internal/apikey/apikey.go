// Package apikey makes the keys by which hosts and users log in, and compares
// them.
//
// A key is 32 random bytes as text that survives being typed, quoted and put into
// a URL: eight big-endian 32-bit numbers, each in Crockford's base 32 without
// leading zeros, lower case, one after the other. New keys have 51 to 56
// characters, which is what clients check for. Older servers gave out shorter
// ones; Digest takes any.
//
// It promises that comparing takes the same time whatever the candidate, and that
// nothing it returns in words contains a key. It imports fault and secret.
package apikey

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// The length of a new key, in characters.
const (
	MinLength = 51
	MaxLength = 56
)

// alphabet is Crockford's: the letters i, l, o and u are left out.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	drawn    = 32  // bytes of randomness in a key
	maxDraws = 100 // about 1 in 118 draws is too short, so this many in a row mean a broken source
)

// New draws a key. It draws again until the key has the length that clients check
// for. It fails if the source of randomness does.
func New(rand io.Reader) (secret.Bytes, error) {
	var raw [drawn]byte
	defer clear(raw[:])
	for range maxDraws {
		if _, err := io.ReadFull(rand, raw[:]); err != nil {
			return secret.Bytes{}, fault.Wrap(err, "drawing an API key")
		}
		if key := encode(raw); len(key) >= MinLength {
			return secret.New(key), nil
		}
	}
	return secret.Bytes{}, fault.New(fault.Internal, "drawing an API key: the source of randomness gives only small numbers")
}

// encode writes each number of 32 bits in the alphabet, in 1 to 7 characters.
func encode(raw [drawn]byte) []byte {
	text := make([]byte, 0, MaxLength)
	for group := 0; group < drawn; group += 4 {
		n := binary.BigEndian.Uint32(raw[group:])
		shift := 30
		for shift > 0 && n>>shift == 0 {
			shift -= 5
		}
		for ; shift >= 0; shift -= 5 {
			text = append(text, alphabet[n>>shift&31])
		}
	}
	return text
}

// digestDomain keeps digests of API keys apart from every other use of SHA-256.
const digestDomain = "rekey api key\x00"

// Digest is what a key is looked up and compared by: SHA-256 of a fixed prefix and
// the key. A key has 256 random bits, so that a digest needs neither salt nor cost.
func Digest(key secret.Bytes) [sha256.Size]byte {
	var buffer [128]byte
	return sha256.Sum256(append(append(buffer[:0], digestDomain...), key.Reveal()...))
}

// Equal tells whether two digests are those of one key, in constant time.
func Equal(a, b [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// Flaw says why a candidate cannot be a key of this server, in words for a log or
// a person, without any of the candidate: "the key ends in a line break". It is
// empty for a well-formed key, which may still be the wrong one.
func Flaw(candidate secret.Bytes) string {
	key := candidate.Reveal()
	if len(key) == 0 {
		return "the key is empty"
	}
	switch key[len(key)-1] {
	case '\n', '\r':
		return "the key ends in a line break"
	case ' ', '\t':
		return "the key ends in a blank"
	}
	for i, c := range key {
		switch {
		case strings.IndexByte(alphabet, c) >= 0:
		case c == ' ' || c == '\t':
			return fmt.Sprintf("the key has a blank at position %d", i+1)
		case c == '\n' || c == '\r':
			return fmt.Sprintf("the key has a line break at position %d", i+1)
		case 'A' <= c && c <= 'Z':
			return fmt.Sprintf("the key has an upper-case letter at position %d, keys are in lower case", i+1)
		case 'a' <= c && c <= 'z':
			return fmt.Sprintf("the key has a letter at position %d that keys never have (i, l, o, u)", i+1)
		default:
			return fmt.Sprintf("the key has a character outside 0-9 a-z at position %d", i+1)
		}
	}
	if len(key) < MinLength || len(key) > MaxLength {
		return fmt.Sprintf("the key has %d characters, keys have %d to %d", len(key), MinLength, MaxLength)
	}
	return ""
}
