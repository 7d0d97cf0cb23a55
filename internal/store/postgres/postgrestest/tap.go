package postgrestest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
)

// Tap stands between clients and a server, and understands what the clients say: it notes
// all statements, can make transactions serializable whatever they ask for, as some engines
// that speak PostgreSQL's protocol do, and can let statements fail.
type Tap struct {
	Port int

	// Serializable makes all transactions so. It is set before the first connection.
	Serializable bool

	mu      sync.Mutex
	said    map[string]bool
	failing func(sql string) (code string, after bool)
	conns   []net.Conn
}

// NewTap starts a tap for a server's port, until the test ends.
func NewTap(t testing.TB, port int) *Tap {
	t.Helper()
	p := &Tap{said: map[string]bool{}}
	t.Cleanup(p.end)
	p.Port = between(t, port, p.serve)
	return p
}

func (p *Tap) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close() // may be closed already
	}
}

// Said are the texts of all statements so far, sorted.
func (p *Tap) Said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for sql := range p.said {
		all = append(all, sql)
	}
	slices.Sort(all)
	return all
}

// Fail makes statements fail with a SQLSTATE, before they are run or after that: f is asked
// for each; an empty code lets it pass. nil lets all pass.
func (p *Tap) Fail(f func(sql string) (code string, after bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = f
}

// FailNth makes the nth statement from now on fail, counted from 0, and returns whether it
// has come.
func (p *Tap) FailNth(n int, code string) (came func() bool) {
	seen := 0
	p.Fail(func(string) (string, bool) {
		if seen++; seen == n+1 {
			return code, false
		}
		return "", false
	})
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return seen > n
	}
}

func (p *Tap) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	go func() {
		_, _ = io.Copy(client, server) // whichever ends first
		_ = client.Close()
	}()
	m, err := message(client, nil) // the first one has no type
	for late := ""; err == nil; {
		if _, err = server.Write(m); err != nil {
			return
		}
		kind := make([]byte, 1)
		if _, err = io.ReadFull(client, kind); err == nil {
			if m, err = message(client, kind); err == nil {
				m = p.pass(m, &late)
			}
		}
	}
}

// message reads a message whose type has been read.
func message(from io.Reader, kind []byte) ([]byte, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(from, size); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size)
	if n < 4 || n > 1<<30 {
		return nil, errors.New("a message makes no sense")
	}
	whole := append(slices.Clone(kind), size...)
	whole = append(whole, make([]byte, n-4)...)
	_, err := io.ReadFull(from, whole[len(kind)+4:])
	return whole, err
}

// pass is what the server gets of a message. late is how the statement that was parsed
// last fails after it was run.
func (p *Tap) pass(m []byte, late *string) []byte {
	body := m[5:]
	switch m[0] {
	case 'P':
		_, body, _ = bytes.Cut(body, []byte{0}) // after its name
	case 'Q':
	case 'E':
		if *late != "" {
			m = append(m, failure(*late)...)
			*late = ""
		}
		return m
	default:
		return m
	}
	text, _, _ := bytes.Cut(body, []byte{0})
	sql := string(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said[sql] = true
	code, after := "", false
	if p.failing != nil {
		code, after = p.failing(sql)
	}
	if p.Serializable {
		for _, level := range []string{"READ COMMITTED", "REPEATABLE READ"} {
			as := fmt.Sprintf("%-*s", len(level), "SERIALIZABLE") // the length stays
			copy(text, bytes.Replace(text, []byte("ISOLATION LEVEL "+level), []byte("ISOLATION LEVEL "+as), 1))
		}
	}
	switch {
	case code == "":
		return m
	case m[0] == 'Q':
		return framed('Q', raise(code)+"\x00")
	case after:
		*late = code
		return m
	}
	return append(failure(code), m...)
}

func raise(code string) string {
	return "DO $$ BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '" + code + "'; END $$"
}

// failure are the messages of a statement that fails.
func failure(code string) []byte {
	m := framed('P', "\x00"+raise(code)+"\x00\x00\x00")
	m = append(m, framed('B', "\x00\x00\x00\x00\x00\x00\x00\x00")...)
	return append(m, framed('E', "\x00\x00\x00\x00\x00")...)
}

func framed(kind byte, body string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
	return append(m, body...)
}
