package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/config"
	"rekey/internal/server"
	"rekey/internal/server/admin"
)

// logBuffer gathers the log of a server in another goroutine.
type logBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

// running is a server in this process.
type running struct {
	*server.Server
	log  *logBuffer
	stop context.CancelFunc
	done chan error
}

func newServer(t *testing.T, change func(*server.Server)) *running {
	t.Helper()
	log := &logBuffer{}
	s := &server.Server{
		Config:  config.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "public") }),
		Admin:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "local") }),
		Log:     slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(s)
	}
	return &running{Server: s, log: log}
}

// start listens and serves until the test ends.
func (r *running) start(t *testing.T) *running {
	t.Helper()
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan error, 1)
	go func() { r.done <- r.Serve(ctx) }()
	t.Cleanup(stop)
	return r
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestServeAnswersOnBothDoorsAndStops(t *testing.T) {
	r := newServer(t, nil).start(t)
	if body, err := get(http.DefaultClient, r.URL()); err != nil || body != "public" {
		t.Errorf("public: %q, %v", body, err)
	}
	socket := admin.SocketPath(r.Config.DataDir)
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v", info.Mode())
	}
	local := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	if body, err := get(local, "http://rekey/"); err != nil || body != "local" {
		t.Errorf("socket: %q, %v", body, err)
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if !strings.Contains(r.log.String(), "msg=stopped") {
		t.Errorf("the log does not tell that it has stopped:\n%s", r.log)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestStoppingFinishesTheRequestsUnderWay(t *testing.T) {
	began, proceed := make(chan struct{}), make(chan struct{})
	r := newServer(t, func(s *server.Server) {
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(began)
			<-proceed
			fmt.Fprint(w, "finished")
		})
	}).start(t)
	answer := make(chan string, 1)
	go func() {
		body, err := get(http.DefaultClient, r.URL())
		answer <- fmt.Sprint(body, err)
	}()
	<-began
	r.stop()
	for !strings.Contains(r.log.String(), "stopping") {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-r.done:
		t.Fatalf("Serve returned before the request was done: %v", err)
	default:
	}
	close(proceed)
	if got := <-answer; got != "finished<nil>" {
		t.Errorf("the request under way got %s", got)
	}
	if err := <-r.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := get(http.DefaultClient, r.URL()); err == nil {
		t.Error("a new request was answered")
	}
}

func TestARequestThatNeverEndsIsCutOff(t *testing.T) {
	began, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	r := newServer(t, func(s *server.Server) {
		s.DrainLimit = 10 * time.Millisecond
		s.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(began); <-end })
	}).start(t)
	go get(http.DefaultClient, r.URL()) // its error is that it is cut off
	<-began
	r.stop()
	if err := <-r.done; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Serve: %v", err)
	}
}

// Given a request that waits for something to happen, when the server is to stop, then
// it does not wait for that.
func TestStoppingEndsRequestsThatWait(t *testing.T) {
	began, drained := make(chan struct{}), make(chan struct{})
	r := newServer(t, func(s *server.Server) {
		s.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(began); <-drained })
		s.Drain = func() { close(drained) }
	}).start(t)
	go get(http.DefaultClient, r.URL()) // its answer does not matter
	<-began
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name   string
		change func(*server.Server)
		want   string
	}{
		{"plain HTTP beyond loopback", func(s *server.Server) { s.Config.Listen = "0.0.0.0:0" }, "in the clear"},
		{"an address in use", func(s *server.Server) { s.Config.Listen = taken.Addr().String() }, "cannot listen on"},
		{"a certificate that is none", func(s *server.Server) { s.Config.TLSCertificate, s.Config.TLSKey = os.DevNull, os.DevNull }, "cannot be used"},
		{"a path too long for a socket", func(s *server.Server) { s.Config.DataDir = filepath.Join(t.TempDir(), strings.Repeat("x", 100)) }, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := newServer(t, c.change).Listen(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	behindProxy := newServer(t, func(s *server.Server) { s.Config.Listen, s.Config.TLSTerminatedByProxy = "0.0.0.0:0", true })
	if err := behindProxy.Listen(); err != nil {
		t.Error(err)
	} else if err := behindProxy.Close(); err != nil {
		t.Error(err)
	}
}

// trusting is a client with one root.
func trusting(t *testing.T, certFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

func TestTheSelfSignedCertificateIsKeptAndTrusted(t *testing.T) {
	selfSigned := func(s *server.Server) { s.Config.TLSSelfSigned = true }
	r := newServer(t, selfSigned).start(t)
	certFile := filepath.Join(r.Config.DataDir, "tls.crt")
	if body, err := get(trusting(t, certFile), r.URL()); err != nil || body != "public" {
		t.Errorf("with the certificate as the only root: %q, %v", body, err)
	}
	if _, err := get(http.DefaultClient, r.URL()); err == nil {
		t.Error("a client that does not know the certificate trusts it")
	}
	if info, err := os.Stat(filepath.Join(r.Config.DataDir, "tls.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v, %v", info.Mode(), err)
	}
	fingerprint := r.Fingerprint()
	if len(fingerprint) != 32*3-1 {
		t.Errorf("fingerprint %q", fingerprint)
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	again := newServer(t, func(s *server.Server) { selfSigned(s); s.Config.DataDir = r.Config.DataDir }).start(t)
	if again.Fingerprint() != fingerprint {
		t.Error("the second start made another certificate")
	}
}

// TestARefusedBodyIsAnswered: who sends what is not read still gets the answer. It
// takes HTTP/1.1 for that, also for clients that would rather speak HTTP/2.
func TestARefusedBodyIsAnswered(t *testing.T) {
	r := newServer(t, func(s *server.Server) {
		s.Config.TLSSelfSigned = true
		s.Handler = http.NotFoundHandler()
	}).start(t)
	client := trusting(t, filepath.Join(r.Config.DataDir, "tls.crt"))
	transport := client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2, transport.DisableKeepAlives = true, false
	defer transport.CloseIdleConnections()
	for range 50 {
		response, err := client.Post(r.URL()+"/nowhere", "text/plain", strings.NewReader(strings.Repeat("x", 1000)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusNotFound || response.ProtoMajor != 1 {
			t.Fatalf("%s %s, %v", response.Proto, response.Status, err)
		}
	}
}

func TestTheSelfSignedCertificateIsForTheNamesThatAreAskedFor(t *testing.T) {
	dir := t.TempDir()
	named := func(names ...string) func(*server.Server) {
		return func(s *server.Server) {
			s.Config.DataDir, s.Config.TLSSelfSigned, s.Config.TLSNames = dir, true, names
		}
	}
	r := newServer(t, named("rekey.example.com", "*.example.org", "192.0.2.7")).start(t)
	text, err := os.ReadFile(filepath.Join(dir, "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "rekey.example.com", "a.example.org", "192.0.2.7"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
	again := newServer(t, named("*.example.org")).start(t)
	again.stop()
	if err := <-again.done; err != nil {
		t.Fatal(err)
	}
	if err := newServer(t, named("rekey.example.net")).Listen(); err == nil || !strings.Contains(err.Error(), "is not for rekey.example.net") {
		t.Errorf("with a name that the certificate lacks: %v", err)
	}
}

func TestReload(t *testing.T) {
	// Two servers make a certificate each; the first one then gets the other's files.
	first := newServer(t, func(s *server.Server) { s.Config.TLSSelfSigned = true }).start(t)
	other := newServer(t, func(s *server.Server) { s.Config.TLSSelfSigned = true }).start(t)
	files := func(r *running) (string, string) {
		return filepath.Join(r.Config.DataDir, "tls.crt"), filepath.Join(r.Config.DataDir, "tls.key")
	}
	certFile, keyFile := files(first)
	otherCert, otherKey := files(other)
	reopened := 0
	r := newServer(t, func(s *server.Server) {
		s.Config.TLSCertificate, s.Config.TLSKey = certFile, keyFile
		s.Reopen = func() error { reopened++; return nil }
	}).start(t)
	before := r.Fingerprint()

	copyFile(t, otherCert, certFile)
	if err := r.Reload(); err == nil {
		t.Error("a certificate with another's key was loaded")
	}
	if r.Fingerprint() != before {
		t.Error("a bad certificate took the place of the good one")
	}
	copyFile(t, otherKey, keyFile)
	if err := r.Reload(); err != nil {
		t.Error(err)
	}
	if _, err := get(trusting(t, otherCert), r.URL()); err != nil {
		t.Errorf("after the reload: %v", err)
	}
	if reopened != 2 {
		t.Errorf("log files were opened %d times, want 2", reopened)
	}
}

func TestAChangedCertificateIsNoticed(t *testing.T) {
	first := newServer(t, func(s *server.Server) { s.Config.TLSSelfSigned = true }).start(t)
	other := newServer(t, func(s *server.Server) { s.Config.TLSSelfSigned = true }).start(t)
	for _, name := range []string{"tls.key", "tls.crt"} {
		copyFile(t, filepath.Join(other.Config.DataDir, name), filepath.Join(first.Config.DataDir, name))
	}
	deadline := time.Now().Add(20 * time.Second)
	for first.Fingerprint() != other.Fingerprint() {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate was not noticed")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
