package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"rekey/internal/fault"
)

const dialTimeout = 10 * time.Second

// Certificate is one that a server shows and the system does not trust, after
// FetchCertificate. It is what to trust from now on: the certificate of the server's
// authority if the server sends that, else its own.
type Certificate struct {
	*x509.Certificate
	IsAuthority bool
	Server      *x509.Certificate // the server's own
}

// FetchCertificate asks a server for its certificate, without trusting it, and looks
// whether it is good for that server. It is nil if the system trusts it.
func FetchCertificate(ctx context.Context, server *url.URL) (*Certificate, error) {
	chain, err := fetchChain(ctx, server)
	if err != nil {
		return nil, err
	}
	return judge(chain, server.Hostname(), nil, time.Now())
}

// fetchChain is what the server shows, trusted or not.
func fetchChain(ctx context.Context, server *url.URL) ([]*x509.Certificate, error) {
	address := server.Host
	if server.Port() == "" {
		address = net.JoinHostPort(server.Hostname(), "443")
	}
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{Timeout: dialTimeout},
		Config:    &tls.Config{InsecureSkipVerify: true, ServerName: server.Hostname(), MinVersion: tls.VersionTLS12},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		e := &fault.Error{Kind: fault.Unavailable, Cause: err}
		e.Message, e.Advice = diagnose(server.String(), err)
		return nil, e
	}
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	_ = conn.Close() // nothing was sent over it
	return chain, nil
}

// Verify asks a server for its certificate and looks whether those in a PEM file vouch
// for it. It is Unavailable if the server cannot be asked, Invalid if they do not.
func Verify(ctx context.Context, server *url.URL, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: err.Error(), Advice: "name the file with the certificate to trust", Cause: err}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		e := fault.New(fault.Invalid, "%s has no certificate", file)
		e.Advice = "name a PEM file with the certificate of the server or of its authority"
		return e
	}
	chain, err := fetchChain(ctx, server)
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: server.Hostname(), Roots: roots, Intermediates: between}); err != nil {
		e := fault.New(fault.Invalid, "TLS: %s does not vouch for the certificate of %s: %v", file, server, err)
		e.Advice = "name the certificate of the server or of its authority, or leave -c out to see what the server shows"
		e.Cause = err
		return e
	}
	return nil
}

// judge finds in a chain what to trust. A nil pool means the roots of the system.
func judge(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) (*Certificate, error) {
	leaf := chain[0]
	if err := leaf.VerifyHostname(host); err != nil {
		e := fault.New(fault.Invalid, "TLS: the certificate is for other names: %v", err)
		e.Advice = "use one of those names in the URL, or give the server a certificate that names " + host
		return nil, e
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		e := fault.New(fault.Invalid, "TLS: the certificate is good from %s to %s", day(leaf.NotBefore), day(leaf.NotAfter))
		e.Advice = "compare this machine's clock with the server's, or give the server a new certificate"
		return nil, e
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between, CurrentTime: now}); err == nil {
		return nil, nil
	}
	for _, c := range chain[1:] {
		root := x509.NewCertPool()
		root.AddCert(c)
		selfSigned := bytes.Equal(c.RawIssuer, c.RawSubject)
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: root, Intermediates: between, CurrentTime: now}); err == nil && selfSigned && c.IsCA {
			return &Certificate{c, true, leaf}, nil
		}
	}
	return &Certificate{leaf, false, leaf}, nil
}

// Pinned is the certificate with that fingerprint, which may be the server's own or
// that of its authority. It is an error if there is none.
func (c *Certificate) Pinned(pin string) (*Certificate, error) {
	want, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(strings.ToLower(pin), "sha256:")))
	if err != nil || len(want) != sha256.Size {
		e := fault.New(fault.Invalid, "'%s' is no SHA-256 fingerprint", pin)
		e.Advice = "write its 64 hexadecimal digits, with or without colons"
		return nil, e
	}
	for _, candidate := range [...]*Certificate{c, {c.Server, false, c.Server}} {
		if sum := sha256.Sum256(candidate.Raw); bytes.Equal(sum[:], want) {
			return candidate, nil
		}
	}
	e := fault.New(fault.Invalid, "the server shows another certificate than the pinned one: %s", c.Fingerprint())
	e.Advice = "compare with the fingerprint that the operator of the server sees; if it is not the same, somebody is in between"
	return nil, e
}

// Fingerprint is the SHA-256 fingerprint as openssl writes it.
func (c *Certificate) Fingerprint() string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// PEM is what a cert_file has.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Describe says whose certificate it is, for somebody who is to trust it.
func (c *Certificate) Describe() string {
	what := "the server's own certificate"
	if c.IsAuthority {
		what = "the certificate of the server's authority"
	}
	return fmt.Sprintf("%s\n  subject  %s\n  issuer   %s\n  valid    %s to %s\n  SHA-256  %s\n",
		what, Visible(c.Subject.String()), Visible(c.Issuer.String()), day(c.NotBefore), day(c.NotAfter), c.Fingerprint())
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
