package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// authority is a certificate authority of one's own.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes an authority and writes its certificate to ca.pem.
func newAuthority(ts *testscript.TestScript) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	text := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Private CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &key.PublicKey, key)
	ts.Check(err)
	certificate, err := x509.ParseCertificate(der)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return authority{certificate, key}
}

// issue makes a certificate for this machine, and writes it and its key into a folder:
// the certificate alone, or with that of the authority.
func (a authority) issue(ts *testscript.TestScript, folder string, serial int64, whole bool) (certificate, key string) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	text := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "rekey"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, text, a.certificate, &own.PublicKey, a.key)
	ts.Check(err)
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if whole {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})...)
	}
	der, err = x509.MarshalPKCS8PrivateKey(own)
	ts.Check(err)
	certificate, key = filepath.Join(folder, "own.crt"), filepath.Join(folder, "own.key")
	ts.Check(os.WriteFile(certificate, chain, 0o600))
	ts.Check(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return certificate, key
}
