package postgresql

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"rekey/internal/secret"
)

const (
	iterations = 4096 // PostgreSQL's own; the passwords have 100 bits and more
	saltLength = 16
)

var errNormal = errors.New("the password has characters that clients of PostgreSQL do not agree how to normalise: use another")

// verifier is what a server keeps of a password for SCRAM-SHA-256 (RFC 5803), made here
// so that the password itself never travels or gets into a log of statements.
func verifier(password secret.Bytes, random io.Reader) (string, error) {
	text := password.RevealString()
	// libpq normalises by RFC 4013, other drivers by RFC 8265. What the two make
	// different things of would log in here and not there.
	normal, err := precis.OpaqueString.String(text)
	if err != nil {
		normal = text // as all of them do
	} else if norm.NFKC.String(text) != normal {
		return "", errNormal
	}
	salt := make([]byte, saltLength)
	if _, err := io.ReadFull(random, salt); err != nil {
		return "", fmt.Errorf("randomness for a salt: %w", err)
	}
	salted, err := pbkdf2.Key(sha256.New, normal, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac(salted, "Server Key"))), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
