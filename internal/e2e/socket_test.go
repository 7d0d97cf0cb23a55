package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// What is no HTTP, or HTTP that means two things, is refused or cut off.
func TestGarbageOnTheWire(t *testing.T) {
	t.Parallel()
	s := openShop(t, "--log-level", "debug")
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	before := admin.listing(t)
	write := "POST /secrets/demo/variable/shop%2Fdb%2Fusername HTTP/1.1\r\nHost: x\r\nAuthorization: " + admin.token + "\r\n"
	load := strings.Replace(write, "/secrets/demo/variable/shop%2Fdb%2Fusername", "/policies/demo/policy/root", 1)
	const bad = http.StatusBadRequest
	cases := []struct {
		name, text string
		status     int
		ends       bool // the client says no more after it
	}{
		{"bytes", "\x00\xff\x16\x03\x01 garbage\r\n\r\n", bad, false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", bad, false},
		{"another protocol", "SSH-2.0-x\r\n\r\n", bad, false},
		{"HTTP/9", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", http.StatusHTTPVersionNotSupported, false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", bad, false},
		{"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", bad, false},
		{"a header without a colon", "GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", bad, false},
		{"a header with NUL", "GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", bad, false},
		{"a blank before the colon", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", bad, false},
		{"a request line of 200 KB", "GET /" + strings.Repeat("x", 200<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge, false},
		{"headers of 200 KB", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 200<<10) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge, false},
		{"20000 headers", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: xxxx\r\n", 20000) + "\r\n", http.StatusRequestHeaderFieldsTooLarge, false},
		{"a malformed escape", "GET /secrets/demo/variable/%zz HTTP/1.1\r\nHost: x\r\n\r\n", bad, false},
		{"a negative length", write + "Content-Length: -1\r\n\r\nx", bad, false},
		{"a length that is no number", write + "Content-Length: 1x\r\n\r\nx", bad, false},
		{"a length beyond 64 bits", write + "Content-Length: 99999999999999999999\r\n\r\nx", bad, false},
		{"two lengths", write + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", bad, false},
		{"an unknown transfer encoding", write + "Transfer-Encoding: gzip\r\n\r\nx", http.StatusNotImplemented, false},
		{"a chunk of no size", write + "Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n", bad, false},
		{"a chunk of negative size", write + "Transfer-Encoding: chunked\r\n\r\n-5\r\nx\r\n0\r\n\r\n", bad, false},
		{"a chunk of huge size", write + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx\r\n0\r\n\r\n", bad, false},
		{"a chunk that is too short", write + "Transfer-Encoding: chunked\r\n\r\n5\r\nx\r\n0\r\n\r\n", bad, false},
		{"chunks without an end", write + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", bad, true},
		{"a long chunk extension", write + "Transfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 100<<10) + "\r\nhello\r\n0\r\n\r\n", bad, false},
		{"a body that ends early", write + "Content-Length: 500\r\n\r\nhello", bad, true},
		{"a large body that ends early", load + "Content-Length: 15000000\r\n\r\n- !variable half\n", bad, true},
		{"a length over the limit", load + "Content-Length: 999999999999\r\n\r\n", http.StatusRequestEntityTooLarge, false},
		{"chunks over the limit", write + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100000\r\n"+strings.Repeat("x", 1<<20)+"\r\n", 21) + "0\r\n\r\n", http.StatusRequestEntityTooLarge, false},
		{"a method that is none", "FOO / HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotImplemented, false},
		{"a proxy's request", "CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotImplemented, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, s.server)
			send := func() (answer, error) { return w.send(c.text, "GET") }
			if c.ends {
				send = func() (answer, error) { return w.sendLast(c.text) }
			}
			got, err := send()
			if err != nil || got.status != c.status {
				t.Errorf("%.300v, %v, want %d", got, err, c.status)
			}
		})
	}
	unchanged(t, before, admin.listing(t))
}

// Clients that begin and do not go on take a connection, and nothing from the others.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const each = 100
	s := openShop(t)
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	token := "Authorization: " + admin.token + "\r\n"
	var open []net.Conn
	t.Cleanup(func() {
		for _, conn := range open {
			conn.Close()
		}
	})
	for i := range each {
		for _, text := range []string{
			"GET /who", // half a request line
			"GET /whoami HTTP/1.1\r\nHost: x\r\nA: b", // half a header
			fmt.Sprintf("POST /authn/demo/admin/authenticate HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n%d", i), // half a key
			"POST /policies/demo/policy/root HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 16000000\r\n\r\n- ",  // much announced
			"PUT /policies/demo/policy/root HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\n\r\n3000000\r\n- !v",
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, conn)
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	// All others are served as if nothing was.
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			c := newClient(s.url)
			c.token = admin.token
			for range 50 {
				if got, err := c.send("GET", "/resources/demo/policy/shop", nil); err != nil || got.status != http.StatusOK {
					t.Errorf("%v, %v", got, err)
				}
			}
		})
	}
	group.Wait()
	admin.load(t, "POST", "root", "- !variable loaded-meanwhile\n")
	now, most := s.memory(t)
	t.Logf("with %d slow clients the server has %d MB in memory, at most %d MB", len(open), now>>20, most>>20)
	if most > slowMemory {
		t.Errorf("the server took %d MB: what is announced is not to be allocated", most>>20)
	}
}

// slowMemory is more than the server may have in memory, in bytes, with that many slow
// clients. What they have announced is many times as much.
const slowMemory = 200 << 20 * raceFactor
