package redis

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// The part of the Redis serialization protocol, version 2, that is needed here. A
// general client would repeat a command whose answer is lost; here it must be told.

var errMalformed = errors.New("malformed answer")

// serverError is an answer that begins with a code. It may quote the command.
type serverError string

func (e serverError) Error() string { return "error " + e.code() }

func (e serverError) code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

type wire struct {
	conn   net.Conn
	reader *bufio.Reader
}

func connect(ctx context.Context, conn net.Conn, config *tls.Config) (*wire, error) {
	if config != nil {
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	return &wire{conn, bufio.NewReader(conn)}, nil
}

// command tells whether the answer is something, other than nil. What it is does not
// matter here.
func (w *wire) command(words ...string) (bool, error) {
	if err := w.send(words); err != nil {
		return false, err
	}
	return w.answer(0)
}

// agreed tells whether the answer is a status, such as OK, rather than a text.
func (w *wire) agreed(words ...string) (bool, error) {
	if err := w.send(words); err != nil {
		return false, err
	}
	first, err := w.reader.Peek(1)
	if err != nil {
		return false, err
	}
	status := first[0] == '+'
	_, err = w.answer(0)
	return status, err
}

func (w *wire) send(words []string) error {
	request := "*" + strconv.Itoa(len(words)) + "\r\n"
	for _, word := range words {
		request += "$" + strconv.Itoa(len(word)) + "\r\n" + word + "\r\n"
	}
	_, err := io.WriteString(w.conn, request)
	return err
}

const (
	maxDepth = 4
	maxSize  = 1 << 16
)

func (w *wire) answer(depth int) (bool, error) {
	line, err := w.reader.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || depth > maxDepth {
		return false, errMalformed
	} else if err != nil {
		return false, err
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok || text == "" {
		return false, errMalformed
	}
	rest := text[1:]
	switch text[0] {
	case '+', ':':
		return true, nil
	case '-':
		return false, serverError(rest)
	case '$', '*':
	default:
		return false, errMalformed
	}
	size, err := strconv.Atoi(rest)
	switch {
	case err != nil || size < -1 || size > maxSize:
		return false, errMalformed
	case size == -1:
		return false, nil
	case text[0] == '$':
		_, err := w.reader.Discard(size + len("\r\n"))
		return err == nil, err
	}
	for range size {
		if _, err := w.answer(depth + 1); err != nil {
			return false, err
		}
	}
	return true, nil
}
