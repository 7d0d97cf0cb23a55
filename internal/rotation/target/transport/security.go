// Package transport is how a kind of target protects its connection and reads the
// failures of it: TLS that is verified unless someone says otherwise on purpose, and
// words for an operator when it cannot be.
//
// It imports target and secret only.
package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"rekey/internal/secret"
)

// The modes, named as in libpq.
const (
	VerifyFull = "verify-full" // the certificate is trusted and names the host
	VerifyCA   = "verify-ca"   // the certificate is trusted
	Require    = "require"     // encrypted, but by whom is not known
	Disable    = "disable"     // not encrypted
)

// Security is how a connection is protected.
type Security struct {
	mode        string
	roots       *x509.CertPool // nil: those of the system
	fingerprint string
}

// ParseMode tells whether text is a mode. Modes that fall back to an unprotected
// connection are none: whoever sits on the path could choose that.
func ParseMode(text string) error {
	switch text {
	case VerifyFull, VerifyCA, Require, Disable:
		return nil
	}
	return fmt.Errorf("the mode must be %s, %s, %s or %s, not %q", VerifyFull, VerifyCA, Require, Disable, text)
}

// Reads are the variables of a kind that has annotations sslmode and ca, beside the user's:
// url, and the one that ca names.
func Reads(settings map[string]string) []string {
	if settings["ca"] == "" {
		return []string{"url"}
	}
	return []string{"url", settings["ca"]}
}

// NewSecurity makes it from a mode (empty for verify-full) and the PEM text of the
// authorities to trust (empty for the system's).
func NewSecurity(mode string, ca secret.Bytes) (Security, error) {
	s := Security{mode: mode}
	if s.mode == "" {
		s.mode = VerifyFull
	}
	if err := ParseMode(s.mode); err != nil || ca.Len() == 0 {
		return s, err
	}
	s.roots = x509.NewCertPool()
	digest := sha256.New()
	rest, found := ca.Reveal(), false
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return s, errors.New("the authority to trust must be certificates in PEM form, and nothing else")
		}
		s.roots.AddCert(certificate)
		digest.Write(certificate.Raw)
		found = true
	}
	if !found {
		return s, errors.New("the authority to trust is not a certificate in PEM form")
	}
	s.fingerprint = hex.EncodeToString(digest.Sum(nil))
	return s, nil
}

// Encrypted tells whether there is any TLS.
func (s Security) Encrypted() bool { return s.mode != Disable }

// Verified tells whether the server must prove itself.
func (s Security) Verified() bool { return s.mode == VerifyFull || s.mode == VerifyCA }

// String is for a target's identity: the mode and the fingerprint of its authorities.
func (s Security) String() string {
	if s.fingerprint == "" || !s.Verified() {
		return "tls " + s.mode
	}
	return "tls " + s.mode + " ca sha256:" + s.fingerprint
}

// TLS is the client's side for a host; nil if there is none.
func (s Security) TLS(host string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: s.roots}
	switch s.mode {
	case Disable:
		return nil
	case Require:
		c.InsecureSkipVerify = true
	case VerifyCA:
		// The library's own check cannot leave out the name, so it is replaced whole.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: s.roots, Intermediates: x509.NewCertPool()}
			for _, i := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(i)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			if err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			return nil
		}
	}
	return c
}
