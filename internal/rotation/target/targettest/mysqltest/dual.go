package mysqltest

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"rekey/internal/rotation/target/targettest"
)

// Dual speaks as much of MySQL's protocol as a login and a statement without result need,
// and keeps two passwords as MySQL 8 documents it, since there is no MySQL to be had where
// the tests run.
type Dual struct {
	port    int
	version string
	mu      sync.Mutex
	users   map[string]*dualUser
	said    []string
}

type dualUser struct {
	passwords  []string // the one that was set last, and the one before
	admin      bool     // CREATE USER
	keepsItsOn bool     // APPLICATION_PASSWORD_ADMIN
}

// StartDual starts one of a version.
func StartDual(site *targettest.Site, version string) (*Dual, error) {
	d := &Dual{version: version, users: map[string]*dualUser{
		"rk admin": {passwords: []string{targettest.AdminPassword}, admin: true}, "rk weak": {passwords: []string{targettest.AdminPassword}},
	}}
	var err error
	d.port, err = site.Listen(d.talk)
	return d, err
}

// Create makes a user, who may keep the old password beside a new one or not.
func (d *Dual) Create(user, password string, keeps bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[user] = &dualUser{passwords: []string{password}, keepsItsOn: keeps}
}

// Said are the statements that it was asked for, without their literals.
func (d *Dual) Said() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.said)
}

// URL is that of the server.
func (d *Dual) URL() string { return fmt.Sprintf("localhost:%d?sslmode=disable", d.port) }

// Login tells whether MariaDB's own client gets in.
func (d *Dual) Login(_ *testing.T, user, password string) bool { return login(d.port, user, password) }

// Account makes the users of an account with a grace.
func (d *Dual) Account(_ *testing.T, ask targettest.Ask) targettest.Account {
	for _, user := range ask.Users {
		d.Create(user, ask.Password, true)
	}
	a := targettest.Reached{Kind: "mysql/password", Admin: "rk admin", Weak: "rk weak", Values: map[string]string{"url": d.URL()}}.Account(ask)
	a.Annotations["rotation/grace"] = "PT1H"
	return a
}

func packet(conn net.Conn, sequence byte, payload string) {
	_, _ = io.WriteString(conn, string([]byte{byte(len(payload)), byte(len(payload) >> 8), 0, sequence})+payload) // the client tells
}

func receive(conn net.Conn) (byte, string, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(conn, header); err != nil {
		return 0, "", err
	}
	payload := make([]byte, int(header[0])|int(header[1])<<8)
	_, err := io.ReadFull(conn, payload)
	return header[3] + 1, string(payload), err
}

const fine = "\x00\x00\x00\x02\x00\x00\x00"

func refuse(code uint16, state string) string {
	return "\xff" + string(binary.LittleEndian.AppendUint16(nil, code)) + "#" + state + "in words with the statement"
}

func (d *Dual) talk(conn net.Conn) {
	const salt = "saltsalt" + "pepperpepper"
	packet(conn, 0, "\x0a"+d.version+"\x00\x01\x00\x00\x00saltsalt\x00\xff\xf7\x2d\x02\x00\xff\xdf\x15"+strings.Repeat("\x00", 10)+"pepperpepper\x00mysql_native_password\x00")
	next, hello, err := receive(conn)
	if err != nil || len(hello) < 34 {
		return
	}
	name, rest, _ := strings.Cut(hello[32:], "\x00")
	if len(rest) == 0 || len(rest) <= int(rest[0]) || !d.admits(name, rest[1:1+int(rest[0])], salt) {
		packet(conn, next, refuse(1045, "28000"))
		return
	}
	packet(conn, next, fine)
	for {
		next, command, err := receive(conn)
		if err != nil || command == "" || command[0] != 3 {
			return
		}
		packet(conn, next, d.execute(name, command[1:]))
	}
}

func (d *Dual) admits(name, proof, salt string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.users[name]; u != nil {
		for _, p := range u.passwords {
			one := sha1.Sum([]byte(p))
			two := sha1.Sum(one[:])
			mask := sha1.Sum(append([]byte(salt), two[:]...))
			subtle.XORBytes(mask[:], mask[:], one[:])
			if proof == string(mask[:]) {
				return true
			}
		}
	}
	return false
}

var literal = `'((?:[^'\\]|''|\\.)*)'`
var alter = regexp.MustCompile(`(?s)^ALTER USER (USER\(\)|` + literal + `@'%') (?:IDENTIFIED BY ` + literal + `( RETAIN CURRENT PASSWORD)?|DISCARD OLD PASSWORD)$`)

func unquote(s string) string {
	return strings.NewReplacer(`''`, `'`, `\\`, `\`).Replace(s)
}

func (d *Dual) execute(by, statement string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := alter.FindStringSubmatch(statement)
	if m == nil {
		if strings.HasPrefix(statement, "ALTER") {
			return refuse(1064, "42000")
		}
		return fine
	}
	d.said = append(d.said, regexp.MustCompile(literal).ReplaceAllString(statement, "?"))
	name, actor := by, d.users[by]
	if m[1] != "USER()" {
		name = unquote(m[2])
	}
	u, discards := d.users[name], strings.HasSuffix(statement, "DISCARD OLD PASSWORD")
	second := m[4] != "" || discards
	switch {
	case m[1] != "USER()" && !actor.admin, m[1] == "USER()" && second && !actor.keepsItsOn:
		return refuse(1227, "42000")
	case u == nil:
		return refuse(1396, "HY000")
	case discards:
		u.passwords = u.passwords[:1]
	case m[4] != "":
		u.passwords = []string{unquote(m[3]), u.passwords[0]}
	default:
		// The second one stays as it is: it is not what was set last.
		u.passwords = append([]string{unquote(m[3])}, u.passwords[1:]...)
	}
	return fine
}
