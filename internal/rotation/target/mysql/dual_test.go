package mysql_test

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/targettest"
)

// dual speaks as much of MySQL's protocol as a login and a statement without result need,
// and keeps two passwords as MySQL 8 documents it, since there is no MySQL to be had where
// the tests run.
type dual struct {
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

func startDual(t *testing.T, version string) *dual {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := &dual{port: l.Addr().(*net.TCPAddr).Port, version: version, users: map[string]*dualUser{
		"rk admin": {passwords: []string{"admin-Password-1"}, admin: true}, "rk weak": {passwords: []string{"admin-Password-1"}},
	}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); d.talk(conn) }()
		}
	}()
	return d
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

func (d *dual) talk(conn net.Conn) {
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

func (d *dual) admits(name, proof, salt string) bool {
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

func (d *dual) execute(by, statement string) string {
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

func (d *dual) account(_ *testing.T, ask targettest.Ask) targettest.Account {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, user := range ask.Users {
		d.users[user] = &dualUser{passwords: []string{ask.Password}, keepsItsOn: true}
	}
	a := targettest.Account{
		Annotations: map[string]string{"rotation/grace": "PT1H"},
		Values:      map[string]string{"url": fmt.Sprintf("localhost:%d?sslmode=disable", d.port), "username": ask.Users[0]},
	}
	if ask.Mode != targettest.Self {
		a.Annotations[prefix+"admin-username"], a.Annotations[prefix+"admin-password"] = "admin-username", "admin-password"
		a.Values["admin-username"], a.Values["admin-password"] = "rk admin", "admin-Password-1"
		if ask.Weak {
			a.Values["admin-username"] = "rk weak"
		}
	}
	return a
}

// Given a MySQL that can, and a grace, then the old password goes on until it is retired.
func TestMySQLKeepsTheOldPasswordForTheGrace(t *testing.T) {
	d := startDual(t, "8.0.14")
	targettest.Suite{
		Kind: mysql.Kind(), Modes: []targettest.Mode{targettest.Self, targettest.Admin}, Keeps: true, Account: d.account,
		Login: func(t *testing.T, user, password string) bool {
			return client("SELECT 1", []string{"MYSQL_PWD=" + password}, "--protocol=tcp", "-h", "127.0.0.1", "-P", fmt.Sprint(d.port), "--user="+user) == nil
		},
		Users:     []string{`Robert'); DROP USER root; --`, `"quoted" \`},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, "Größe-Ключ-鍵-1"},
	}.Run(t)
}

// Given a server that cannot, or no grace, or users who take turns, then nothing is kept, and
// nothing that works is ended.
func TestNothingIsKeptWhereItCannotBe(t *testing.T) {
	for _, test := range []struct {
		name, version, grace string
		keeps                bool
	}{
		{"a version that can", "8.4.3-cloud", "PT1H", true}, {"a newer one", "9.1.0", "PT1H", true}, {"no grace", "8.4.3", "", false},
		{"an older version", "8.0.13", "PT1H", false}, {"a much older one", "5.7.44-log", "PT1H", false}, {"a version that is none", "new.est", "PT1H", false},
	} {
		d := startDual(t, test.version)
		d.users["app"] = &dualUser{passwords: []string{"old-Password-1"}, keepsItsOn: true}
		annotations := map[string]string{}
		if test.grace != "" {
			annotations["rotation/grace"] = test.grace
		}
		made := bind(t, annotations, map[string]string{"url": fmt.Sprintf("localhost:%d?sslmode=disable", d.port), "username": "app"})
		old, next := credential("old-Password-1"), credential("new-Password-1")
		if _, err := made.Apply(within(t, 5*time.Second), old, next); err != nil {
			t.Fatal(err)
		}
		if err := made.Probe(within(t, 5*time.Second), old); (err == nil) != test.keeps {
			t.Errorf("%s: the old one: %v, said %v", test.name, err, d.said)
		}
		if err := made.Retire(within(t, 5*time.Second), next, old); err != nil || made.Probe(within(t, 5*time.Second), next) != nil || made.Probe(within(t, 5*time.Second), old) == nil {
			t.Errorf("%s: retired: %v", test.name, err)
		}
	}
}

func TestAUserWhoMayNotKeepTheOldPasswordIsTold(t *testing.T) {
	d := startDual(t, "8.4.3")
	d.users["app"] = &dualUser{passwords: []string{"old-Password-1"}}
	made := bind(t, map[string]string{"rotation/grace": "PT1H"}, map[string]string{"url": fmt.Sprintf("localhost:%d?sslmode=disable", d.port), "username": "app"})
	_, err := made.Apply(within(t, 5*time.Second), credential("old-Password-1"), credential("new-Password-1"))
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "APPLICATION_PASSWORD_ADMIN") {
		t.Error(err)
	}
}

// MariaDB has one password for an account, grace or not: a password that somebody has set
// back is not ended in the name of the old one.
func TestAMariaDBKeepsNothing(t *testing.T) {
	plain.create(t, "graceful", "old-Password-1")
	annotations := map[string]string{"rotation/grace": "PT1H", prefix + "admin-username": "au", prefix + "admin-password": "ap"}
	made := bind(t, annotations, map[string]string{"url": plain.url("?sslmode=disable"), "username": "graceful", "au": "rk admin", "ap": "admin-Password-1"})
	old, next := credential("old-Password-1"), credential("new-Password-1")
	for _, c := range []target.Credential{next, old} {
		if _, err := made.Apply(within(t, 10*time.Second), nil, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := made.Retire(within(t, 10*time.Second), next, old); err != nil || plain.login("graceful", "old-Password-1") != nil {
		t.Errorf("retired: %v", err)
	}
}
