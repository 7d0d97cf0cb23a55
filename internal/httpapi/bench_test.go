package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store/sqlite"
)

// sink is a ResponseWriter that costs next to nothing, so that a benchmark shows what
// this room adds to net/http.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// benchServer is the handler on a real store with its audit in a file, and the
// headers of a client that may read one variable.
func benchServer(b *testing.B) (http.Handler, http.Header) {
	b.Helper()
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx, dir := context.Background(), b.TempDir()
	text, err := seal.NewRootText(rand.Reader)
	ok(err)
	root, err := seal.ParseRoot("BENCH_KEY", text)
	ok(err)
	st, err := sqlite.Open(filepath.Join(dir, "data"))
	ok(err)
	file, err := os.Create(filepath.Join(dir, "audit"))
	ok(err)
	c, err := core.Open(ctx, core.Options{Store: st, Audit: audit.To(file), RootKey: root, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	ok(err)
	b.Cleanup(func() { ok(c.Close()); ok(st.Close()); ok(file.Close()) })
	_, err = c.CreateAccount(ctx, core.Operator(), "acme", nil)
	ok(err)
	loaded, err := c.LoadPolicy(ctx, core.Operator(), "acme:policy:root", core.Add, []byte(`
- !policy
  id: app
  body:
    - !layer servers
    - !host web
    - !variable password
    - !grant {role: !layer servers, member: !host web}
    - !permit {role: !layer servers, privileges: [read, execute], resource: !variable password}
`))
	ok(err)
	ok(c.SetSecret(ctx, core.Operator(), "acme:variable:app/password", secret.FromString("correct-horse-battery-staple")))
	issued, err := c.AuthenticateKey(ctx, core.Origin{}, "acme", "host/app/web", loaded.Created[0].APIKey)
	ok(err)
	return New(c, Options{}), http.Header{
		"Authorization": {`Token token="` + base64.StdEncoding.EncodeToString(issued) + `"`},
		"User-Agent":    {"bench"},
	}
}

func benchmarkGet(b *testing.B, target string, want int) {
	handler, header := benchServer(b)
	at, err := url.Parse(target)
	if err != nil {
		b.Fatal(err)
	}
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		r := &http.Request{Method: "GET", URL: at, RequestURI: target, Header: header, RemoteAddr: "127.0.0.1:1234", Proto: "HTTP/1.1", Body: http.NoBody}
		clear(w.header)
		w.status = 200
		handler.ServeHTTP(w, r)
		if w.status != want {
			b.Fatalf("status %d", w.status)
		}
	}
}

func BenchmarkReadSecret(b *testing.B) {
	benchmarkGet(b, "/secrets/acme/variable/app/password", 200)
}

func BenchmarkCheck(b *testing.B) {
	benchmarkGet(b, "/resources/acme/variable/app/password?check=true&privilege=execute", 204)
}

// benchmarkServed is the same with net/http around it, over a connection in memory.
func benchmarkServed(b *testing.B, target string, want int) {
	handler, header := benchServer(b)
	l := &pipes{made: make(chan net.Conn, 1), closed: make(chan struct{})}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(l) }() // it ends with the benchmark
	defer server.Close()
	client, conn := net.Pipe()
	defer client.Close()
	l.made <- conn
	request := []byte("GET " + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: " + header.Get("Authorization") + "\r\n\r\n")
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(request); err != nil {
			b.Fatal(err)
		}
		n, err := client.Read(answer)
		if err != nil || !bytes.HasPrefix(answer[:n], fmt.Appendf(nil, "HTTP/1.1 %d ", want)) {
			b.Fatalf("%v, %s", err, answer[:n])
		}
	}
}

// pipes is a listener of connections in memory.
type pipes struct {
	made   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.made:
		return peer{c}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

// peer is a connection that says that it comes from loopback.
type peer struct{ net.Conn }

func (peer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1234} }

func BenchmarkServedReadSecret(b *testing.B) {
	benchmarkServed(b, "/secrets/acme/variable/app/password", 200)
}

func BenchmarkServedCheck(b *testing.B) {
	benchmarkServed(b, "/resources/acme/variable/app/password?check=true&privilege=execute", 204)
}
