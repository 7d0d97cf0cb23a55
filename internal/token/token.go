// Package token is access tokens: what a role shows after it has authenticated.
//
// A token is a JSON object of three members, protected, payload and signature,
// each base64url with padding. It is a JSON Web Signature (RFC 7515) in the
// flattened form, but for the padding: the signature is over the padded texts of
// protected and payload with a dot between. Keys are Ed25519 ("alg":"EdDSA", RFC
// 8037), named by the SHA-256 of their SubjectPublicKeyInfo.
//
//   - [Key] signs for one account.
//   - [Keys] are the public keys that tokens of this server may be signed with.
//   - [Verifier] reads the Authorization header of a request.
//
// It promises that a token is refused from the moment its key is taken out of
// Keys and from the second it expires, remembered or not, and that no error
// contains any of a token. It imports ident, fault and secret.
package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// algorithm is the alg of every token.
const algorithm = "EdDSA"

// Key is the private key that signs the tokens of an account. It is safe for
// concurrent use.
type Key struct {
	private   ed25519.PrivateKey
	kid       string
	protected string // the first member of every token, encoded
}

// NewKey draws a key.
func NewKey(rand io.Reader) (*Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fault.Wrap(err, "drawing a token-signing key")
	}
	return keyOf(ed25519.NewKeyFromSeed(seed))
}

// ParseKey reads a key in PKCS #8 DER (RFC 5208), as Marshal wrote it.
func ParseKey(der secret.Bytes) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der.Reveal())
	if err != nil {
		return nil, fault.New(fault.Internal, "a token-signing key is not PKCS #8") // the cause could show some of it
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Internal, "a token-signing key is a %T, not Ed25519", parsed)
	}
	return keyOf(private)
}

func keyOf(private ed25519.PrivateKey) (*Key, error) {
	kid, err := keyID(private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	header := `{"alg":"` + algorithm + `","kid":"` + kid + `"}`
	return &Key{private, kid, base64.URLEncoding.EncodeToString([]byte(header))}, nil
}

// keyID is the lower-case hex SHA-256 of the DER SubjectPublicKeyInfo.
func keyID(public ed25519.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fault.Wrap(err, "encoding a token-verification key")
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Marshal writes the private key in PKCS #8 DER, for the caller to seal.
func (k *Key) Marshal() (secret.Bytes, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return secret.Bytes{}, fault.Wrap(err, "encoding a token-signing key")
	}
	return secret.New(der), nil
}

// ID is the kid of the key's tokens: 64 hexadecimal digits.
func (k *Key) ID() string { return k.kid }

// Public is the key that verifies this one's tokens.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// PublicPEM is the public key as people see it, SubjectPublicKeyInfo in PEM (RFC
// 7468).
func (k *Key) PublicPEM() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return "", fault.Wrap(err, "encoding a token-verification key")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// Format shows the kid, for every verb.
func (k *Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[token-signing key %s]", k.kid) }

// Issue makes a token, as JSON, for a login name ("alice", "host/web-01") that is
// valid from now for ttl, in whole seconds. A ttl of zero gives a token that has
// expired. The subject must be UTF-8 and not empty.
func (k *Key) Issue(subject string, now time.Time, ttl time.Duration) ([]byte, error) {
	if subject == "" || !utf8.ValidString(subject) {
		return nil, fault.New(fault.Invalid, "a token's subject must be UTF-8 text and not empty, not %q", subject)
	}
	var payload strings.Builder
	iat := now.Unix()
	payload.WriteString(`{"iat":` + strconv.FormatInt(iat, 10) + `,"sub":`)
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(subject); err != nil {
		return nil, fault.Wrap(err, "encoding a token's subject")
	}
	text := strings.TrimSuffix(payload.String(), "\n") + `,"exp":` + strconv.FormatInt(iat+int64(ttl/time.Second), 10) + `}`
	return k.sign(text), nil
}

// sign makes the token of a payload.
func (k *Key) sign(payload string) []byte {
	encoded := base64.URLEncoding.EncodeToString([]byte(payload))
	signature := ed25519.Sign(k.private, signingInput(k.protected, encoded))
	return []byte(`{"protected":"` + k.protected + `","payload":"` + encoded +
		`","signature":"` + base64.URLEncoding.EncodeToString(signature) + `"}`)
}

func signingInput(protected, payload string) []byte {
	return []byte(protected + "." + payload)
}
