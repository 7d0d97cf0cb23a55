package server

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
	"slices"
	"time"

	"rekey/internal/fault"
)

// selfSignedLife is long, because clients pin the certificate and would all have
// to be told of a new one.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// selfSigned returns the files of the data directory's own certificate, and makes
// them first if they are not there. It carries the CA flag, so that clients may
// name it as their only root, and the names by which the machine is reached.
func selfSigned(dataDir, listen string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dataDir, "tls.crt"), filepath.Join(dataDir, "tls.key")
	if _, err := os.Stat(certFile); err == nil {
		return certFile, keyFile, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fault.Wrap(err, "making a TLS key")
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", "", fault.Wrap(err, "making a TLS certificate")
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "rekey"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedLife),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	template.DNSNames, template.IPAddresses = names(listen)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", "", fault.Wrap(err, "making a TLS certificate")
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", fault.Wrap(err, "making a TLS key")
	}
	// The certificate comes last: it is what tells that both are complete.
	if err := writeNew(keyFile, "PRIVATE KEY", keyDER, 0o600); err != nil {
		return "", "", err
	}
	return certFile, keyFile, writeNew(certFile, "CERTIFICATE", der, 0o644)
}

// names are those of the loopback, of the machine, and of the address listened on.
func names(listen string) (dns []string, ips []net.IP) {
	dns, ips = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	add := func(name string) {
		ip := net.ParseIP(name)
		switch {
		case name == "" || name == "localhost" || ip != nil && (ip.IsUnspecified() || slices.ContainsFunc(ips, ip.Equal)):
		case ip != nil:
			ips = append(ips, ip)
		default:
			dns = append(dns, name)
		}
	}
	if hostname, err := os.Hostname(); err == nil { // without a name the addresses must do
		add(hostname)
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return dns, ips
	}
	add(host)
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		return dns, ips
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return dns, ips
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			ips = append(ips, network.IP)
		}
	}
	return dns, ips
}

func writeNew(path, kind string, der []byte, mode os.FileMode) error {
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return fault.Wrap(os.WriteFile(path, content, mode), "keeping the self-signed certificate")
}
