package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"rekey/internal/fault"
)

var today = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate; by is nil for one that signs itself.
func issue(t *testing.T, name string, authority bool, by *issuer) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: today.AddDate(0, 0, -1), NotAfter: today.AddDate(1, 0, 0), IsCA: authority, BasicConstraintsValid: true,
	}
	if by == nil {
		by = &issuer{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return &issuer{cert, key}
}

func TestWhatIsTrustedOfAChain(t *testing.T) {
	self := issue(t, "server", true, nil)
	root := issue(t, "root", true, nil)
	between := issue(t, "between", true, root)
	leaf := issue(t, "server", false, between)
	stranger := issue(t, "stranger", true, nil)
	trusted := x509.NewCertPool()
	trusted.AddCert(root.cert)

	for _, c := range []struct {
		name  string
		chain []*x509.Certificate
		roots *x509.CertPool
		want  *x509.Certificate // nil for nothing that must be stored
	}{
		{"one that signs itself", []*x509.Certificate{self.cert}, x509.NewCertPool(), self.cert},
		{"one of a known authority", []*x509.Certificate{leaf.cert, between.cert}, trusted, nil},
		{"the authority is sent", []*x509.Certificate{leaf.cert, between.cert, root.cert}, x509.NewCertPool(), root.cert},
		{"the authority is not sent", []*x509.Certificate{leaf.cert, between.cert}, x509.NewCertPool(), leaf.cert},
		{"an authority that has not signed it", []*x509.Certificate{leaf.cert, between.cert, stranger.cert}, x509.NewCertPool(), leaf.cert},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := judge(c.chain, "server", c.roots, today)
			check(t, err)
			if (got == nil) != (c.want == nil) || got != nil && !got.Equal(c.want) {
				t.Fatalf("%v", got)
			}
		})
	}
}

func TestACertificateThatIsNotGoodEndsInit(t *testing.T) {
	self := issue(t, "server", true, nil)
	chain := []*x509.Certificate{self.cert}
	if _, err := judge(chain, "another", x509.NewCertPool(), today); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "for other names") {
		t.Error(err)
	}
	for _, now := range []time.Time{today.AddDate(0, 0, -2), today.AddDate(2, 0, 0)} {
		if _, err := judge(chain, "server", x509.NewCertPool(), now); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "is good from") {
			t.Error(err)
		}
	}
}

func TestAPinIsTheServersOrItsAuthoritys(t *testing.T) {
	root := issue(t, "root", true, nil)
	leaf := issue(t, "server", false, root)
	got, err := judge([]*x509.Certificate{leaf.cert, root.cert}, "server", x509.NewCertPool(), today)
	check(t, err)
	own := &Certificate{leaf.cert, false, leaf.cert}
	for _, pin := range []string{own.Fingerprint(), strings.ToLower(strings.ReplaceAll(own.Fingerprint(), ":", "")), "SHA256:" + own.Fingerprint()} {
		if pinned, err := got.Pinned(pin); err != nil || !pinned.Equal(leaf.cert) {
			t.Errorf("%s: %v, %v", pin, pinned, err)
		}
	}
	if pinned, err := got.Pinned(got.Fingerprint()); err != nil || !pinned.Equal(root.cert) || !pinned.IsAuthority {
		t.Errorf("%v, %v", pinned, err)
	}
	for _, pin := range []string{"", "AB:CD", strings.Repeat("00", 32), strings.Repeat("zz", 32)} {
		if _, err := got.Pinned(pin); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", pin, err)
		}
	}
}

// TestACertificateCannotForgeItsDescription is about whoever stands in for a server that
// is not trusted yet: a person compares what is shown.
func TestACertificateCannotForgeItsDescription(t *testing.T) {
	name := pkix.Name{CommonName: "server\n  SHA-256  AA:BB\x1b[8m\u202e\u009b2J"}
	text := (&Certificate{Certificate: &x509.Certificate{Subject: name, Issuer: name}}).Describe()
	if strings.Count(text, "\n") != 5 || strings.ContainsAny(text, "\x1b\u009b\u202e") {
		t.Errorf("%q", text)
	}
	if !strings.Contains(text, `subject  CN=server\n  SHA-256`) {
		t.Errorf("what is hidden is not shown: %q", text)
	}
}
