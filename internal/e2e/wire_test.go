package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wire is a connection on which any bytes may be sent.
type wire struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

func newWire(t testing.TB, s *server) *wire {
	w := &wire{address: strings.TrimPrefix(s.url, "http://")}
	t.Cleanup(w.close)
	return w
}

func (w *wire) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// open connects unless the connection is open. Nothing may take longer than a minute.
func (w *wire) open() error {
	if w.conn != nil {
		return nil
	}
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		return err
	}
	w.conn, w.reader = conn, bufio.NewReader(conn)
	return conn.SetDeadline(time.Now().Add(time.Minute))
}

// request sends a request whose target and headers are taken as they are.
func (w *wire) request(method, target, token string, headers []string, body string) (answer, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: x\r\n", method, target)
	if token != "" {
		fmt.Fprintf(&text, "Authorization: %s\r\n", token)
	}
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&text, "%s: %s\r\n", headers[i], headers[i+1])
	}
	fmt.Fprintf(&text, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return w.send(text.String(), method)
}

// send sends bytes and reads the answer, on a new connection if the last answer was
// the last one of its connection.
func (w *wire) send(text, method string) (answer, error) {
	if err := w.open(); err != nil {
		return answer{}, err
	}
	// A server that refuses early may answer and close before it has read everything.
	_, written := io.WriteString(w.conn, text)
	return w.receive(method, written)
}

// sendLast is send, after which the client says nothing more.
func (w *wire) sendLast(text string) (answer, error) {
	if err := w.open(); err != nil {
		return answer{}, err
	}
	_, written := io.WriteString(w.conn, text)
	if err := w.conn.(*net.TCPConn).CloseWrite(); err != nil {
		return answer{}, err
	}
	return w.receive("POST", written)
}

func (w *wire) receive(method string, written error) (answer, error) {
	response, err := http.ReadResponse(w.reader, &http.Request{Method: method})
	if err != nil {
		w.close()
		if written != nil {
			err = written
		}
		return answer{}, err
	}
	if method != http.MethodHead && response.Header.Get("Content-Type") == "text/event-stream" {
		defer w.close() // a stream has no end
		begin := make([]byte, 512)
		n, err := response.Body.Read(begin)
		return answer{response.StatusCode, response.Header, string(begin[:n])}, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Close || written != nil {
		w.close()
	}
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// memory is what the server's process has in memory now and at most so far, in bytes.
func (s *server) memory(t testing.TB) (now, most int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) int {
		match := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
		if match == nil {
			t.Fatalf("no %s in\n%s", name, text)
		}
		n, err := strconv.Atoi(string(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		return n << 10
	}
	return read("VmRSS"), read("VmHWM")
}
