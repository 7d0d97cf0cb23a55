package mssql_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"rekey/internal/rotation/target/targettest"
)

// fake speaks as much of TDS (MS-TDS) as the official driver needs to log in and to change
// passwords: PRELOGIN, TLS within it, LOGIN7 and batches.
type fake struct {
	port   int
	config *tls.Config // nil: it has no TLS

	mu    sync.Mutex
	users map[string]*login
	fails int32 // error of the next change; 0 for none
}

type login struct {
	password string
	admin    bool // ALTER ANY LOGIN
}

func (f *fake) create(user, password string, admin bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users[user] = &login{password, admin}
}

func (f *fake) accepts(user, password string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[user]
	return u != nil && u.password == password
}

func (f *fake) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.port = l.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); _ = f.talk(conn) }() // the client tells
		}
	}()
	return l, nil
}

// wrapped carries TLS in packets until it is established.
type wrapped struct {
	net.Conn
	open bool
	left int
}

func (w *wrapped) Read(b []byte) (int, error) {
	if w.open {
		return w.Conn.Read(b)
	}
	if w.left == 0 {
		header := make([]byte, 8)
		if _, err := io.ReadFull(w.Conn, header); err != nil {
			return 0, err
		}
		w.left = int(binary.BigEndian.Uint16(header[2:])) - 8
	}
	n, err := w.Conn.Read(b[:min(len(b), w.left)])
	w.left -= n
	return n, err
}

func (w *wrapped) Write(b []byte) (int, error) {
	if w.open {
		return w.Conn.Write(b)
	}
	return len(b), send(w.Conn, 0x12, b)
}

func send(to io.Writer, kind byte, payload []byte) error {
	header := []byte{kind, 1, 0, 0, 0, 0, 1, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(8+len(payload)))
	_, err := to.Write(append(header, payload...))
	return err
}

func receive(from io.Reader) (byte, []byte, error) {
	var all []byte
	for {
		header := make([]byte, 8)
		if _, err := io.ReadFull(from, header); err != nil {
			return 0, nil, err
		}
		size := int(binary.BigEndian.Uint16(header[2:])) - 8
		if size < 0 {
			return 0, nil, errors.New("not a packet")
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(from, payload); err != nil {
			return 0, nil, err
		}
		if all = append(all, payload...); header[1]&1 != 0 {
			return header[0], all, nil
		}
	}
}

func (f *fake) talk(conn net.Conn) error {
	if kind, _, err := receive(conn); err != nil || kind != 0x12 {
		return err
	}
	encryption := byte(3) // required
	if f.config == nil {
		encryption = 2 // not supported
	}
	if err := send(conn, 4, append([]byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff}, 16, 0, 0, 0, 0, 0, encryption)); err != nil || f.config == nil {
		return err
	}
	inside := &wrapped{Conn: conn}
	secure := tls.Server(inside, f.config)
	if err := secure.Handshake(); err != nil {
		return err
	}
	inside.open = true
	kind, hello, err := receive(secure)
	if err != nil || kind != 0x10 || len(hello) < 48 {
		return err
	}
	user, err := field(hello, 40)
	if err != nil {
		return err
	}
	mangled, err := field(hello, 44)
	if err != nil {
		return err
	}
	for i, c := range mangled {
		c ^= 0xA5
		mangled[i] = c<<4 | c>>4
	}
	who := text(user)
	if !f.accepts(who, text(mangled)) {
		return send(secure, 4, failure(18456))
	}
	name := ucs2("fake")
	ack := append([]byte{1, 0x74, 0, 0, 4, byte(len(name) / 2)}, append(name, 16, 0, 0, 0)...)
	if err := send(secure, 4, append(append([]byte{0xAD, byte(len(ack)), 0}, ack...), done(0)...)); err != nil {
		return err
	}
	for {
		kind, batch, err := receive(secure)
		if err != nil || kind != 1 || len(batch) < 4 || int(binary.LittleEndian.Uint32(batch)) > len(batch) {
			return err
		}
		answer := done(0)
		if number := f.execute(who, text(batch[binary.LittleEndian.Uint32(batch):])); number != 0 {
			answer = failure(number)
		}
		if err := send(secure, 4, answer); err != nil {
			return err
		}
	}
}

// field is what a pair of offset and length says.
func field(b []byte, at int) ([]byte, error) {
	from, size := int(binary.LittleEndian.Uint16(b[at:])), 2*int(binary.LittleEndian.Uint16(b[at+2:]))
	if from+size > len(b) {
		return nil, errors.New("not a login")
	}
	return bytes.Clone(b[from : from+size]), nil
}

func text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

func ucs2(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func done(status byte) []byte { return append([]byte{0xFD, status}, make([]byte, 11)...) }

func failure(number int32) []byte {
	words := ucs2("in words with the statement")
	body := binary.LittleEndian.AppendUint32(nil, uint32(number))
	body = append(body, 1, 14, byte(len(words)/2), 0)
	body = append(append(body, words...), 0, 0, 0, 0, 0, 0)
	return append(append([]byte{0xAA, byte(len(body)), 0}, body...), done(2)...)
}

var alter = regexp.MustCompile(`(?s)^ALTER LOGIN \[((?:[^\]]|\]\])*)\] WITH PASSWORD = N'((?:[^']|'')*)'(?: OLD_PASSWORD = N'((?:[^']|'')*)')?$`)

// execute gives the number of an error, or 0.
func (f *fake) execute(by, statement string) int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := alter.FindStringSubmatch(statement)
	if m == nil {
		return 102
	}
	if f.fails != 0 {
		return f.fails
	}
	name, next, old := strings.ReplaceAll(m[1], "]]", "]"), strings.ReplaceAll(m[2], "''", "'"), strings.ReplaceAll(m[3], "''", "'")
	u := f.users[name]
	switch {
	case u == nil || !f.users[by].admin && (name != by || old != u.password):
		return 15151
	case len(next) < 8:
		return 15116
	}
	u.password = next
	return 0
}

// The servers of these tests.
var (
	strict, plain *fake
	authority     *targettest.Authority
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := targettest.Dir()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if authority, err = targettest.NewAuthority(); err != nil {
		return 0, err
	}
	if err := authority.Issue(dir, "localhost"); err != nil {
		return 0, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		return 0, err
	}
	// Within TDS 7 there is TLS up to 1.2.
	strict = &fake{users: map[string]*login{}, config: &tls.Config{Certificates: []tls.Certificate{certificate}, MaxVersion: tls.VersionTLS12}}
	plain = &fake{users: map[string]*login{}}
	for _, f := range []*fake{strict, plain} {
		l, err := f.listen()
		if err != nil {
			return 0, err
		}
		defer l.Close()
	}
	return m.Run(), nil
}
