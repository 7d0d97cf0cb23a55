// Package password decides which passwords are good enough, hashes them and
// verifies them.
//
// A stored hash is "sha256:" and a bcrypt hash of cost 12. What bcrypt sees is
// the base64 of a SHA-256 of the password, because by itself it ignores all bytes
// after the 72nd, and passwords may have 128. Hashes of plain bcrypt, which begin
// with "$2", come from imports; they verify, and are to be replaced by a new one.
//
// It promises that [Verify] without a hash takes as long as with one, so that an
// answer's delay does not tell which users exist, and that no hash or fault shows
// a password. It imports fault and secret.
package password

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// Cost is that of new hashes where nobody has a reason for another: 2^12 rounds.
const Cost = 12

// Hasher makes and verifies hashes of a cost, which is Cost but in tests.
type Hasher struct{ Cost int }

const (
	prehashed   = "sha256:" // begins the hashes that this package makes
	bcryptBytes = 72        // that plain bcrypt looks at
)

// The rule of lengths, in bytes.
const (
	MinLength = 12
	MaxLength = 128
)

const complexity = "CONJ00046E The password you have chosen does not meet the complexity requirements. " +
	"Choose a password that includes: 12-128 characters, 2 uppercase letters, 2 lowercase letters, 1 digit and 1 special character"

// special is what counts as a special character.
const special = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

// Check tells whether a new password is good enough: 12 to 128 bytes without a line
// break, of which at least 2 are upper-case letters, 2 lower-case letters, 1 digit
// and 1 special, all ASCII. If not, it is a fault of kind Validation with target
// "password"; a NUL byte is one of kind Argument.
func Check(pw secret.Bytes) error {
	text := pw.Reveal()
	if bytes.IndexByte(text, 0) >= 0 {
		return fault.New(fault.Argument, "the password has a NUL byte: choose one without")
	}
	var upper, lower, digits, specials int
	for _, c := range text {
		switch {
		case 'A' <= c && c <= 'Z':
			upper++
		case 'a' <= c && c <= 'z':
			lower++
		case '0' <= c && c <= '9':
			digits++
		case strings.IndexByte(special, c) >= 0:
			specials++
		}
	}
	if len(text) < MinLength || len(text) > MaxLength || bytes.IndexByte(text, '\n') >= 0 ||
		upper < 2 || lower < 2 || digits < 1 || specials < 1 {
		return &fault.Error{Kind: fault.Validation, Message: complexity, Target: "password"}
	}
	return nil
}

// Hash makes the hash to store. It does not apply the rule of Check.
func (h Hasher) Hash(pw secret.Bytes) (string, error) {
	hash, err := bcrypt.GenerateFromPassword(prehash(pw), h.Cost)
	if err != nil {
		return "", fault.Wrap(err, "hashing a password")
	}
	return prehashed + string(hash), nil
}

// Verify tells whether this is the password of a stored hash. If it is, rehash says
// that the hash is not as Hash makes it now, and that a new one should be stored. An
// empty or damaged hash takes as long as any and matches nothing.
func (h Hasher) Verify(hash string, pw secret.Bytes) (ok, rehash bool) {
	stored, ours := strings.CutPrefix(hash, prehashed)
	storedCost, err := bcrypt.Cost([]byte(stored))
	if err != nil {
		h.Burn(pw)
		return false, false
	}
	candidate := pw.Reveal()
	if ours {
		candidate = prehash(pw)
	}
	if bcrypt.CompareHashAndPassword([]byte(stored), candidate) != nil {
		return false, false
	}
	if !ours {
		// Of a long one only the beginning is known to be right. A hash of the
		// whole could lock out whoever mistyped the end.
		return true, len(candidate) < bcryptBytes
	}
	return true, storedCost != h.Cost
}

// Burn spends the time of Verify, for a user who does not exist or has no password.
func (h Hasher) Burn(pw secret.Bytes) {
	// The result says nothing: no password has this hash but by chance.
	_ = bcrypt.CompareHashAndPassword(h.unmatched(), prehash(pw))
}

// unmatched is a well-formed hash of the current cost that was made of nothing.
func (h Hasher) unmatched() []byte {
	return fmt.Appendf(nil, "$2a$%02d$%s%s", h.Cost, strings.Repeat("e", 22), strings.Repeat("m", 31))
}

// prehash makes 44 characters of any password. The prefix keeps it apart from bare
// SHA-256 hashes of the same password that were stolen elsewhere.
func prehash(pw secret.Bytes) []byte {
	text := append([]byte("rekey password\x00"), pw.Reveal()...)
	defer clear(text)
	sum := sha256.Sum256(text)
	return base64.StdEncoding.AppendEncode(nil, sum[:])
}
