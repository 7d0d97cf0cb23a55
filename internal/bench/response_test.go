package bench

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadResponse(t *testing.T) {
	cases := []struct {
		name, text string
		status     int
		body, err  string
	}{
		{"a body of its length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", ""},
		{"header names in any case", "HTTP/1.1 201 Created\r\ncontent-LENGTH:2\r\nX: y\r\n\r\nab", 201, "ab", ""},
		{"an empty body", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "", ""},
		{"204 has no length", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", ""},
		{"a status without a reason", "HTTP/1.1 404\r\nContent-Length: 1\r\n\r\nx", 404, "x", ""},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "", "no Content-Length"},
		{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 200, "", "not a length"},
		{"a chunked body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", "Transfer-Encoding"},
		{"a server that closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, "", "closes the connection"},
		{"a cut body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 200, "", "read a body of 5 bytes"},
		{"a cut header", "HTTP/1.1 200 OK\r\nContent-", 200, "", "read a header line"},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n", 0, "", "not a status line"},
		{"nothing", "", 0, "", "read the status line"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, body, err := readResponse(bufio.NewReader(strings.NewReader(c.text)), nil)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil || status != c.status || string(body) != c.body {
				t.Fatalf("got %d %q %v, want %d %q", status, body, err, c.status, c.body)
			}
		})
	}
}

func TestReadResponseLeavesTheNextOne(t *testing.T) {
	in := bufio.NewReader(strings.NewReader(strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 2)))
	var buf []byte
	for range 2 {
		var err error
		if _, buf, err = readResponse(in, buf); err != nil || string(buf) != "abc" {
			t.Fatalf("got %q, %v", buf, err)
		}
	}
}
