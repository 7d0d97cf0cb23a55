package targettest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
)

// HTTPS serves on loopback, under a certificate for localhost, until it is stopped. It
// gives the URL, which has no path.
func (a *Authority) HTTPS(dir string, handler http.Handler) (url string, stop func(), err error) {
	if err := a.Issue(dir, "localhost"); err != nil {
		return "", nil, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go func() { _ = server.ServeTLS(l, "", "") }() // it ends when it is stopped
	return fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port), func() { server.Close() }, nil
}
