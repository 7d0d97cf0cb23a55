// Package mssqltest starts servers for tests that speak SQL Server's protocol, since there is
// no SQL Server to be had where the tests run. It imports rotation/target/targettest.
package mssqltest

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"rekey/internal/rotation/target/targettest"
)

// Server speaks as much of TDS (MS-TDS) as the official driver needs to log in and to change
// passwords: PRELOGIN, TLS within it, LOGIN7 and batches.
type Server struct {
	Port int

	site   *targettest.Site
	config *tls.Config // nil: it has no TLS
	mu     sync.Mutex
	users  map[string]*login
	fails  int32 // error of the next change; 0 for none
}

type login struct {
	password string
	admin    bool // ALTER ANY LOGIN
}

// Start starts a server with TLS.
func Start(site *targettest.Site) (*Server, error) {
	config, err := site.TLS()
	if err != nil {
		return nil, err
	}
	config.MaxVersion = tls.VersionTLS12 // within TDS 7 there is no later one
	return start(site, config)
}

// StartPlain starts one without.
func StartPlain(site *targettest.Site) (*Server, error) { return start(site, nil) }

func start(site *targettest.Site, config *tls.Config) (s *Server, err error) {
	s = &Server{site: site, config: config, users: map[string]*login{}}
	s.Port, err = site.Listen(func(conn net.Conn) { _ = s.talk(conn) }) // the client tells
	return s, err
}

// Create makes a login.
func (s *Server) Create(user, password string) { s.create(user, password, false) }

func (s *Server) create(user, password string, admin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[user] = &login{password, admin}
}

// Fail makes all changes fail by the number of an error, or none by 0.
func (s *Server) Fail(number int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = number
}

// Login tells whether a password is the login's.
func (s *Server) Login(_ *testing.T, user, password string) bool { return s.accepts(user, password) }

func (s *Server) accepts(user, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[user]
	return u != nil && u.password == password
}

// URL is that of the server.
func (s *Server) URL() string { return fmt.Sprintf("sqlserver://localhost:%d", s.Port) }

// Account makes the logins of an account.
func (s *Server) Account(_ *testing.T, ask targettest.Ask) targettest.Account {
	for _, user := range ask.Users {
		s.create(user, ask.Password, false)
	}
	s.create("rk admin", targettest.AdminPassword, true)
	s.create("rk weak", targettest.AdminPassword, false)
	return targettest.Reached{Kind: "mssql/password", Annotations: map[string]string{"ca": "/pki/ca"}, Admin: "rk admin", Weak: "rk weak",
		Values: map[string]string{"url": s.URL(), "/pki/ca": s.site.Authority.PEM}}.Account(ask)
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

func (s *Server) talk(conn net.Conn) error {
	if kind, _, err := receive(conn); err != nil || kind != 0x12 {
		return err
	}
	encryption := byte(3) // required
	if s.config == nil {
		encryption = 2 // not supported
	}
	if err := send(conn, 4, append([]byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff}, 16, 0, 0, 0, 0, 0, encryption)); err != nil || s.config == nil {
		return err
	}
	inside := &wrapped{Conn: conn}
	secure := tls.Server(inside, s.config)
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
	if !s.accepts(who, text(mangled)) {
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
		if number := s.execute(who, text(batch[binary.LittleEndian.Uint32(batch):])); number != 0 {
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
func (s *Server) execute(by, statement string) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := alter.FindStringSubmatch(statement)
	if m == nil {
		return 102
	}
	if s.fails != 0 {
		return s.fails
	}
	name, next, old := strings.ReplaceAll(m[1], "]]", "]"), strings.ReplaceAll(m[2], "''", "'"), strings.ReplaceAll(m[3], "''", "'")
	u := s.users[name]
	switch {
	case u == nil || !s.users[by].admin && (name != by || old != u.password):
		return 15151
	case len(next) < 8:
		return 15116
	}
	u.password = next
	return 0
}
