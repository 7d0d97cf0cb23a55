package targettest

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Site is where servers of tests live: a directory that belongs to their user, with
// server.crt and server.key for localhost, and the authority that signed them. The packages
// below this one start servers at a site, and end with it.
type Site struct {
	Dir       string
	Authority *Authority

	ends []func()
}

// NewSite makes one. The caller closes it.
func NewSite() (*Site, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	s := &Site{Dir: dir}
	s.End(func() { os.RemoveAll(dir) })
	if s.Authority, err = NewAuthority(); err == nil {
		err = s.Authority.Issue(dir, "localhost")
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// End is called when the site is closed, before those that were given earlier.
func (s *Site) End(f func()) { s.ends = append(s.ends, f) }

// Close ends the servers and removes the directory.
func (s *Site) Close() {
	for ; len(s.ends) > 0; s.ends = s.ends[:len(s.ends)-1] {
		s.ends[len(s.ends)-1]()
	}
}

// At is a site of a test's own.
func At(t testing.TB) *Site {
	t.Helper()
	s, err := NewSite()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Main runs the tests of a package that share a site, on which begin starts their servers.
func Main(m *testing.M, begin func(*Site) error) {
	code, err := run(m, begin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M, begin func(*Site) error) (int, error) {
	s, err := NewSite()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if err := begin(s); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// Serve starts a program in the site's directory, and waits until it is ready.
func (s *Site) Serve(ready func() error, name string, arguments ...string) error {
	c, err := Command(s.Dir, name, arguments...)
	if err != nil {
		return err
	}
	return s.Start(c, ready)
}

// Start starts a program, and waits until it is ready.
func (s *Site) Start(c *exec.Cmd, ready func() error) error {
	stop, err := Start(c, ready)
	if err == nil {
		s.End(stop)
	}
	return err
}

// TLS is a configuration with the site's certificate.
func (s *Site) TLS() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(s.Dir, "server.crt"), filepath.Join(s.Dir, "server.key"))
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, err
}

// HTTPS serves on loopback, and gives the URL, which has no path.
func (s *Site) HTTPS(handler http.Handler) (url string, err error) {
	url, stop, err := s.Authority.HTTPS(s.Dir, handler)
	if err == nil {
		s.End(stop)
	}
	return url, err
}

// Listen listens on loopback, and serves each connection until the other side goes.
func (s *Site) Listen(serve func(net.Conn)) (port int, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	s.End(func() { _ = l.Close() }) // it is open
	go Accept(l, serve)
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Accept serves each connection until the listener is closed.
func Accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}
