package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// shake lets a client of some security meet a server of localhost, and gives the class
// and the words of what goes wrong.
func shake(t *testing.T, issue func(dir, host string) error, mode, ca, host string) error {
	t.Helper()
	dir := t.TempDir()
	if err := issue(dir, "localhost"); err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	security, err := transport.NewSecurity(mode, secret.FromString(ca))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer server.Close()
		_ = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{certificate}}).Handshake() // the client tells
	}()
	if err := tls.Client(client, security.TLS(host)).Handshake(); err != nil {
		return transport.Failure("db:1", err)
	}
	return nil
}

func TestAModeVerifiesWhatItSays(t *testing.T) {
	ours, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, mode, ca, host, words string }{
		{"all is right", "", ours.PEM, "localhost", ""},
		{"one of two authorities", transport.VerifyFull, other.PEM + ours.PEM, "localhost", ""},
		{"another authority", transport.VerifyFull, other.PEM, "localhost", "unknown authority"},
		{"the system's authorities", transport.VerifyFull, "", "localhost", "unknown authority"},
		{"another host", transport.VerifyFull, ours.PEM, "elsewhere", "another host"},
		{"another host, which does not matter", transport.VerifyCA, ours.PEM, "elsewhere", ""},
		{"another authority, which does", transport.VerifyCA, other.PEM, "localhost", "unknown authority"},
		{"nothing matters", transport.Require, other.PEM, "elsewhere", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := shake(t, ours.Issue, test.mode, test.ca, test.host)
			if test.words == "" {
				if err != nil {
					t.Error(err)
				}
			} else if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, want a refusal that says %q", err, test.words)
			}
		})
	}
	for _, mode := range []string{transport.VerifyFull, transport.VerifyCA} {
		if err := shake(t, ours.IssueExpired, mode, ours.PEM, "localhost"); target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "expired") {
			t.Errorf("%s, a certificate whose time is over: %v", mode, err)
		}
	}
	plain, err := transport.NewSecurity(transport.Disable, secret.Bytes{})
	if err != nil || plain.TLS("localhost") != nil || plain.Encrypted() || plain.Verified() {
		t.Error("disable does not disable TLS")
	}
	if _, err := transport.NewSecurity("prefer", secret.Bytes{}); err == nil {
		t.Error("prefer is a mode")
	}
	for _, ca := range []string{"trust me", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := transport.NewSecurity("", secret.FromString(ca)); err == nil {
			t.Errorf("%q is an authority", ca)
		}
	}
}

func TestTheIdentityOfWhatIsTrusted(t *testing.T) {
	ours, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range []struct{ mode, ca string }{{"", ""}, {"", ours.PEM}, {"verify-ca", ours.PEM}, {"require", ours.PEM}, {"disable", ""}} {
		security, err := transport.NewSecurity(s.mode, secret.FromString(s.ca))
		if err != nil || seen[security.String()] {
			t.Errorf("%q is not an identity of its own (%v)", security, err)
		}
		seen[security.String()] = true
	}
}

func TestFailuresHaveAClassAndWords(t *testing.T) {
	refused := target.Errorf(target.Refused, nil, "not allowed")
	for _, test := range []struct {
		err   error
		class target.Class
		words string
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, target.Unreachable, "connection refused"},
		{&net.DNSError{Err: "no such host", Name: "secret.example.com"}, target.Unreachable, "cannot be resolved"},
		{context.DeadlineExceeded, target.Unreachable, "in time"},
		{os.ErrDeadlineExceeded, target.Unreachable, "in time"},
		{context.Canceled, target.Unreachable, "called off"},
		{io.EOF, target.Unreachable, "lost"},
		{&net.OpError{Op: "read", Err: errors.New("a secret")}, target.Unreachable, "read"},
		{tls.RecordHeaderError{}, target.Refused, "does not speak TLS"},
		{refused, target.Refused, "not allowed"},
	} {
		err := transport.Failure("db:1", test.err)
		if target.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v, want %v with %q", test.err, err, test.class, test.words)
		}
	}
	if err := transport.Lost("db:1", io.EOF); target.ClassOf(err) != target.Uncertain || !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
