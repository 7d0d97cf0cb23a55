package mysqltest

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rekey/internal/rotation/target/targettest"
)

// Dual speaks as much of MySQL's protocol as a login and a statement without result need,
// and keeps two passwords as MySQL 8 documents it, since there is no MySQL to be had where
// the tests run. Under TLS it asks for caching_sha2_password, which is MySQL's default: a
// password that it has not seen since the account was last changed it wants to see; one
// that it has seen is proved by a hash.
type Dual struct {
	port    int
	version string
	site    *targettest.Site
	config  *tls.Config // nil: no TLS, and mysql_native_password

	mu    sync.Mutex
	users map[string]*dualUser
	said  []string
	shown int
}

type dualUser struct {
	passwords  []string        // the one that was set last, and the one before
	cached     map[string]bool // those that were seen
	admin      bool            // CREATE USER
	keepsItsOn bool            // APPLICATION_PASSWORD_ADMIN
}

// StartDual starts one of a version.
func StartDual(site *targettest.Site, version string) (*Dual, error) {
	config, err := site.TLS()
	if err != nil {
		return nil, err
	}
	return startDual(site, version, config)
}

// StartPlainDual starts one without TLS.
func StartPlainDual(site *targettest.Site, version string) (*Dual, error) {
	return startDual(site, version, nil)
}

func startDual(site *targettest.Site, version string, config *tls.Config) (*Dual, error) {
	d := &Dual{version: version, site: site, config: config, users: map[string]*dualUser{
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

// Shown is how often a password was shown to it.
func (d *Dual) Shown() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown
}

// URL is that of the server, with parameters that begin with "?" if there are any.
func (d *Dual) URL(parameters string) string {
	return fmt.Sprintf("localhost:%d%s", d.port, parameters)
}

// Login tells whether MariaDB's own client gets in.
func (d *Dual) Login(t *testing.T, user, password string) bool {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(ca, []byte(d.site.Authority.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	return client("SELECT 1", []string{"MYSQL_PWD=" + password}, "--protocol=tcp", "-h", "localhost", "-P", strconv.Itoa(d.port),
		"--ssl-ca="+ca, "--ssl-verify-server-cert", "--user="+user) == nil
}

// Account makes the users of an account with a grace.
func (d *Dual) Account(_ *testing.T, ask targettest.Ask) targettest.Account {
	for _, user := range ask.Users {
		d.Create(user, ask.Password, !ask.Weak)
	}
	a := targettest.Reached{Kind: "mysql/password", Annotations: map[string]string{"ca": "ca"}, Admin: "rk admin", Weak: "rk weak",
		Values: map[string]string{"url": d.URL(""), "ca": d.site.Authority.PEM}}.Account(ask)
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

const (
	salt      = "saltsalt" + "pepperpepper"
	wantsTLS  = 1 << 11
	native    = "mysql_native_password"
	caching   = "caching_sha2_password"
	isKnown   = "\x01\x03"
	showIt    = "\x01\x04"
	sslLength = 32 // of the request to begin TLS
)

func (d *Dual) talk(conn net.Conn) {
	plugin, flags := native, "\xff\xf7"
	if d.config != nil {
		plugin, flags = caching, "\xff\xff"
	}
	packet(conn, 0, "\x0a"+d.version+"\x00\x01\x00\x00\x00saltsalt\x00"+flags+"\x2d\x02\x00\xff\xdf\x15"+strings.Repeat("\x00", 10)+"pepperpepper\x00"+plugin+"\x00")
	next, hello, err := receive(conn)
	if err == nil && d.config != nil && len(hello) == sslLength && binary.LittleEndian.Uint32([]byte(hello))&wantsTLS != 0 {
		conn = tls.Server(conn, d.config)
		next, hello, err = receive(conn)
	}
	if err != nil || len(hello) < sslLength+2 {
		return
	}
	name, rest, _ := strings.Cut(hello[sslLength:], "\x00")
	if len(rest) == 0 || len(rest) <= int(rest[0]) {
		return
	}
	proof := rest[1 : 1+int(rest[0])]
	if plugin == caching && len(proof) != sha256.Size { // of the other plugin
		packet(conn, next, "\xfe"+caching+"\x00"+salt+"\x00")
		if next, proof, err = receive(conn); err != nil {
			return
		}
	}
	_, secure := conn.(*tls.Conn)
	admitted := plugin == native && d.knows(name, func(p string) bool { return proof == nativeProof(p) })
	if plugin == caching {
		if admitted = d.remembers(name, proof); admitted {
			packet(conn, next, isKnown)
			next++
		} else if secure {
			packet(conn, next, showIt)
			var p string
			if next, p, err = receive(conn); err != nil {
				return
			}
			admitted = d.sees(name, strings.TrimSuffix(p, "\x00"))
		}
	}
	if !admitted {
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

func nativeProof(p string) string {
	one := sha1.Sum([]byte(p))
	two := sha1.Sum(one[:])
	mask := sha1.Sum(append([]byte(salt), two[:]...))
	subtle.XORBytes(mask[:], mask[:], one[:])
	return string(mask[:])
}

func cachingProof(p string) string {
	one := sha256.Sum256([]byte(p))
	two := sha256.Sum256(one[:])
	mask := sha256.Sum256(append(two[:], salt...))
	subtle.XORBytes(mask[:], mask[:], one[:])
	return string(mask[:])
}

func (d *Dual) knows(name string, proved func(string) bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.users[name]
	return u != nil && slices.ContainsFunc(u.passwords, proved)
}

// remembers tells whether a proof is that of a password that was seen.
func (d *Dual) remembers(name, proof string) bool {
	return d.knows(name, func(p string) bool { return d.users[name].cached[p] && proof == cachingProof(p) })
}

// sees tells whether a password that is shown works.
func (d *Dual) sees(name, password string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown++
	u := d.users[name]
	if u == nil || !slices.Contains(u.passwords, password) {
		return false
	}
	if u.cached == nil {
		u.cached = map[string]bool{}
	}
	u.cached[password] = true
	return true
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
	case !discards && len(unquote(m[3])) < 8:
		return refuse(1819, "HY000")
	}
	u.cached = nil
	switch {
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
