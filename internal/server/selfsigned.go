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
// name it as their only root, and the names by which the machine is reached. One that
// is there and lacks a name of more is an error: clients trust it, so that a new one
// is the operator's decision.
func selfSigned(dataDir, listen string, more []string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dataDir, "tls.crt"), filepath.Join(dataDir, "tls.key")
	if text, err := os.ReadFile(certFile); err == nil {
		return certFile, keyFile, checkNames(certFile, text, more)
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
	template.DNSNames, template.IPAddresses = names(listen, more)
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

// checkNames looks whether a certificate is for all names.
func checkNames(certFile string, text []byte, names []string) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil // loading it tells
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil // likewise
	}
	for _, name := range names {
		if slices.Contains(cert.DNSNames, name) || cert.VerifyHostname(name) == nil {
			continue
		}
		e := fault.New(fault.Invalid, "the self-signed certificate %s is not for %s, which tls_names asks for", certFile, name)
		e.Advice = "to have a new one made, which all clients must trust anew, remove tls.crt and tls.key from the data directory"
		return e
	}
	return nil
}

// names are those of the loopback, of the machine, of the address listened on, and more.
func names(listen string, more []string) (dns []string, ips []net.IP) {
	dns, ips = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	add := func(name string) {
		ip := net.ParseIP(name)
		switch {
		case name == "" || name == "localhost" || ip != nil && (ip.IsUnspecified() || slices.ContainsFunc(ips, ip.Equal)):
		case ip != nil:
			ips = append(ips, ip)
		case !slices.Contains(dns, name):
			dns = append(dns, name)
		}
	}
	if hostname, err := os.Hostname(); err == nil { // without a name the addresses must do
		add(hostname)
	}
	for _, name := range more {
		add(name)
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
