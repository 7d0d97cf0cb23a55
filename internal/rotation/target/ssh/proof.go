package ssh

import (
	"bytes"
	"crypto/rsa"
	"errors"

	"golang.org/x/crypto/ssh"

	"rekey/internal/secret"
)

// proof is what somebody logs in with: a password or a private key.
type proof struct {
	password secret.Bytes
	signer   ssh.Signer // nil: it is the password
}

func (p proof) noun() string {
	if p.signer != nil {
		return "key"
	}
	return "password"
}

// newProof tells the two apart.
func newProof(value secret.Bytes) (proof, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(value.Reveal()), []byte("-----BEGIN ")) {
		return proof{password: value}, nil
	}
	signer, err := parseKey(value)
	return proof{signer: signer}, err
}

// parseKey reads a private key in a PEM form.
func parseKey(value secret.Bytes) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(value.Reveal())
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, errors.New("the private key has a passphrase: store it without one")
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read: store it in the form of OpenSSH, or another PEM form")
	}
	if key, ok := signer.PublicKey().(ssh.CryptoPublicKey); ok {
		if r, ok := key.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < 2048 {
			return nil, errors.New("the private key is an RSA key of less than 2048 bits")
		}
	}
	return signer, nil
}

// line is the password as it is typed, in memory of its own.
func (p proof) line() []byte { return append(bytes.Clone(p.password.Reveal()), '\n') }
