package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// readResponse reads one HTTP/1.1 response (RFC 9112) and returns its status and body. The body is read into buf, grown
// when needed, and is good until the next call. Only what a keep-alive benchmark needs is understood: a body must have
// a Content-Length; a chunked one, or a server that closes the connection, is an error.
func readResponse(r *bufio.Reader, buf []byte) (status int, body []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, buf[:0], fmt.Errorf("read the status line: %w", err)
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, buf[:0], fmt.Errorf("not a status line of HTTP/1.1: %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, buf[:0], fmt.Errorf("status line %q: %w", line, err)
	}
	length, err := readHeaders(r)
	if err != nil {
		return status, buf[:0], err
	}
	if status == 204 || status == 304 {
		return status, buf[:0], nil
	}
	if length < 0 {
		return status, buf[:0], fmt.Errorf("response %d has no Content-Length", status)
	}
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	buf = buf[:length]
	if _, err := io.ReadFull(r, buf); err != nil {
		return status, buf[:0], fmt.Errorf("read a body of %d bytes: %w", length, err)
	}
	return status, buf, nil
}

// readHeaders reads header lines up to the empty one and returns the Content-Length, -1 when there is none.
func readHeaders(r *bufio.Reader) (length int, err error) {
	length = -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("read a header line: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, nil
		}
		switch name, value, _ := bytes.Cut(line, []byte(":")); {
		case isHeader(name, "content-length"):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || length < 0 {
				return 0, fmt.Errorf("header line %q: not a length", line)
			}
		case isHeader(name, "transfer-encoding"):
			return 0, errors.New("the response is sent with Transfer-Encoding, a Content-Length was expected")
		case isHeader(name, "connection") && bytes.EqualFold(bytes.TrimSpace(value), []byte("close")):
			return 0, errors.New("the server closes the connection, keep-alive was expected")
		}
	}
}

func isHeader(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}
