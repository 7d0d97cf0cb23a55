package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/rotation"
)

// drill is a server with something of everything, while clients write and passwords of a
// PostgreSQL server rotate every second.
type drill struct {
	world
	target  postgres
	keys    map[string]string // API keys, by login
	staged  string            // of host/static/h-0
	token   string            // of the host factory
	rotated []*rotated
	works   map[*rotated][2]string // user and password that the target accepts at last

	written atomic.Int64 // rounds of the writer that are over
}

const (
	drillHosts    = 12
	drillValues   = 8
	drillVersions = 5
)

func newDrill(t *testing.T, number int, target postgres, flags ...string) *drill {
	d := &drill{target: target, works: map[*rotated][2]string{}, world: world{t: t, dir: newDir(t)}}
	d.server = serve(t, d.dir, flags...)
	d.adminKey = d.server.adminKey(t)
	d.admin = newClient(d.server.url).as(t, "admin", d.adminKey)
	policy := "- !policy\n  id: static\n  annotations: { description: the-planted-policy-text }\n  body:\n  - !group readers\n  - !layer web\n  - !host-factory { id: factory, layers: [ !layer web ] }\n  - !user alice\n" +
		"  - !grant { role: !group readers, member: !layer web }\n"
	for i := range drillHosts {
		policy += fmt.Sprintf("  - !host h-%d\n  - !grant { role: !layer web, member: !host h-%[1]d }\n", i)
	}
	for i := range drillValues {
		policy += fmt.Sprintf("  - !variable v-%d\n  - !permit { role: !group readers, privileges: [ read, execute ], resource: !variable v-%[1]d }\n", i)
	}
	policy += "- !policy { id: dba, body: [ !variable username, !variable password ] }\n- !policy { id: moving, body: [ !variable a, !variable b ] }\n"
	for _, mode := range []string{"self", "admin", "turns"} {
		v := &rotated{name: "moving-" + mode, mode: mode}
		v.users = []string{fmt.Sprintf("drill-%d-%s", number, mode)}
		if mode == "turns" {
			v.users = append(v.users, v.users[0]+"-b")
		}
		for _, user := range v.users {
			if err := target.exec("dba", "dba-Password-1", fmt.Sprintf(`CREATE ROLE "%s" LOGIN PASSWORD 'first-Password-1'`, user)); err != nil {
				t.Fatal(err)
			}
		}
		policy += v.policy()
		d.rotated = append(d.rotated, v)
	}
	d.keys = d.admin.load(t, "POST", "root", policy)
	d.keys["admin"] = d.adminKey
	d.admin.load(t, "POST", "root", "# the second planted text\n- !host static/late\n")
	for n := range drillVersions {
		for i := range drillValues {
			d.set(fmt.Sprintf("static/v-%d", i), fmt.Sprintf("planted-value-%d-%d", i, n))
		}
	}
	nobody := newClient(d.server.url)
	nobody.must(t, 204, "PUT", "/authn/demo/password", "Planted-PassWord-1", "Authorization", basic("alice@static", d.keys["alice@static"]))
	d.staged = nobody.must(t, 200, "PUT", "/authn/demo/api_key?staged", "", "Authorization", basic("host/static/h-0", d.keys["host/static/h-0"])).body
	var tokens []struct{ Token string }
	if err := json.Unmarshal([]byte(d.admin.must(t, 200, "POST", "/host_factory_tokens", "host_factory=demo:host_factory:static/factory&expiration=2099-01-01T00:00:00Z",
		"Content-Type", "application/x-www-form-urlencoded").body), &tokens); err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	d.token = tokens[0].Token
	d.set("dba/username", "dba")
	d.set("dba/password", "dba-Password-1")
	for _, v := range d.rotated {
		d.set(v.name+"/url", fmt.Sprintf("127.0.0.1:%d/postgres?sslmode=disable", target.port))
		d.set(v.name+"/username", v.users[0])
		d.set(v.name+"/password", "first-Password-1")
	}
	return d
}

func (d *drill) set(variable, value string) {
	d.admin.must(d.t, 201, "POST", "/secrets/demo/variable/"+url.PathEscape(variable), value)
}

// write writes the same number into one variable after the other, and loads policies,
// until it is stopped.
func (d *drill) write(stop <-chan struct{}) {
	for n := int64(1); ; n++ {
		for _, name := range []string{"a", "b"} {
			if got, err := d.admin.send("POST", "/secrets/demo/variable/moving%2F"+name, []byte(strconv.FormatInt(n, 10))); err != nil || got.status != 201 {
				d.t.Errorf("writing: %v, %v", got, err)
				return
			}
		}
		if got, err := d.admin.send("POST", "/policies/demo/policy/moving", fmt.Appendf(nil, "- !host moving-%d\n", n%50)); err != nil || got.status != 201 {
			d.t.Errorf("loading: %v, %v", got, err)
			return
		}
		d.written.Store(n)
		select {
		case <-stop:
			return
		default:
		}
	}
}

// rotate waits until each password has been rotated some more times.
func (d *drill) rotate(times int) {
	d.t.Helper()
	for _, v := range d.rotated {
		from := d.status(d.admin, v).Version
		eventually(d.t, time.Minute, func() bool { return d.status(d.admin, v).Version >= from+times })
	}
}

// rest pauses a rotation, waits until it has come to rest, and takes note of what works.
func (d *drill) rest(c *client, v *rotated) {
	d.t.Helper()
	c.must(d.t, 204, "POST", "/rotations/demo/variable/"+v.path()+"?pause", "")
	eventually(d.t, time.Minute, func() bool { return d.status(c, v).State == rotation.Idle })
	get := func(name string) string {
		return c.must(d.t, 200, "GET", "/secrets/demo/variable/"+v.name+"%2F"+name, "").body
	}
	d.works[v] = [2]string{get("username"), get("password")}
}

type heldStatus struct {
	State   string
	Version int
	Due     *string
	Paused  *struct{ Reason string }
}

func (d *drill) status(c *client, v *rotated) (s heldStatus) {
	d.t.Helper()
	got := c.must(d.t, 200, "GET", "/rotations/demo/variable/"+v.path(), "")
	if err := json.Unmarshal([]byte(got.body), &s); err != nil {
		d.t.Fatalf("%v in %v", err, got)
	}
	return s
}

// still is a listing without what moves.
func still(t testing.TB, c *client) string {
	var kept []string
	for line := range strings.Lines(c.listing(t)) {
		if !strings.Contains(line, "moving") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// rekey runs a command of the program, without the race detector: the tests of the commands
// have it.
func rekey(args ...string) (string, error) {
	text, err := exec.Command(plain, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("rekey %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return string(text), err
}

// A backup that is taken while everything moves is one moment of it, has everything, and
// can be restored into either engine; what was restored leaves the targets alone until it
// is told to go on.
func TestRestoreDrill(t *testing.T) {
	t.Parallel()
	target := newPostgres(t)
	if err := target.exec("boss", bossPassword, "CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'dba-Password-1'"); err != nil {
		t.Fatal(err)
	}
	for i, engine := range []string{"sqlite", "postgres"} {
		t.Run("from "+engine, func(t *testing.T) {
			var flags []string
			if engine == "postgres" {
				flags = []string{"--database-url", newDatabase(t)}
			}
			d := newDrill(t, i, target, flags...)
			before := still(t, d.admin)
			stop := make(chan struct{})
			var writers sync.WaitGroup
			writers.Go(func() { d.write(stop) })
			d.rotate(2)
			eventually(t, time.Minute, func() bool { return d.written.Load() > 20 })
			file := filepath.Join(t.TempDir(), "backup")
			least := d.written.Load()
			if _, err := d.server.command("backup", file); err != nil {
				t.Fatal(err)
			}
			most := d.written.Load() + 1
			d.rotate(2) // the targets move on
			close(stop)
			writers.Wait()
			for _, v := range d.rotated {
				d.rest(d.admin, v)
			}
			stopped := filepath.Join(t.TempDir(), "backup")
			d.server.terminate(t)
			if _, err := d.server.command(append([]string{"backup", stopped}, flags...)...); err != nil {
				t.Fatal(err)
			}
			archive := []byte(read(t, file))
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
				t.Errorf("the archive has mode %v, %v", info.Mode(), err)
			}
			for _, word := range []string{"demo", "variable", "readers", "planted", "moving", "dba", "sealed", "roles", d.keys["admin"], d.token, "first-Password"} {
				if bytes.Contains(archive, []byte(word)) {
					t.Errorf("the archive has %q in it", word)
				}
			}
			for _, into := range []string{"sqlite", "postgres"} {
				t.Run("into "+into, func(t *testing.T) {
					dir := newDir(t)
					copyKey(t, d.dir, dir)
					var flags []string
					if into == "postgres" {
						flags = []string{"--database-url", newDatabase(t)}
					}
					said, err := rekey(append([]string{"restore", file, "--data-dir", dir}, flags...)...)
					if err != nil {
						t.Fatal(err)
					}
					if check, err := rekey("restore", file, "--check", "--data-dir", dir); err != nil || digestOf(check) != digestOf(said) || digestOf(said) == "" {
						t.Errorf("the digests differ: %s, %s, %v", said, check, err)
					}
					d.compare(t, serve(t, dir, flags...), before, least, most)
				})
			}
		})
	}
}

func digestOf(said string) string {
	_, after, _ := strings.Cut(said, "Digest ")
	digest, _, _ := strings.Cut(after, "\n")
	return digest
}

// compare wants a restored server to be what the drill's was.
func (d *drill) compare(t *testing.T, s *server, before string, least, most int64) {
	admin := newClient(s.url).as(t, "admin", d.adminKey)
	unchanged(t, before, still(t, admin))
	for n := range drillVersions {
		for i := range drillValues {
			got := admin.must(t, 200, "GET", fmt.Sprintf("/secrets/demo/variable/static%%2Fv-%d?version=%d", i, n+1), "")
			if want := fmt.Sprintf("planted-value-%d-%d", i, n); got.body != want {
				t.Errorf("version %d of v-%d: %v", n+1, i, got)
			}
		}
	}
	for login, key := range d.keys {
		newClient(s.url).as(t, login, key)
	}
	reader := newClient(s.url).as(t, "host/static/h-1", d.keys["host/static/h-1"])
	reader.must(t, 200, "GET", "/secrets/demo/variable/static%2Fv-0", "")
	reader.must(t, 404, "GET", "/secrets/demo/variable/dba%2Fpassword", "")
	newClient(s.url).as(t, "host/static/h-0", d.staged)
	nobody := newClient(s.url)
	nobody.must(t, 200, "GET", "/authn/demo/login", "", "Authorization", basic("alice@static", "Planted-PassWord-1"))
	nobody.must(t, 201, "POST", "/host_factories/hosts", "id=auto-1", "Authorization", `Token token="`+d.token+`"`, "Content-Type", "application/x-www-form-urlencoded")
	for _, text := range []string{"the-planted-policy-text", "the second planted text"} {
		if got := admin.must(t, 200, "GET", "/resources/demo/policy/root", ""); !strings.Contains(got.body, text) {
			t.Errorf("no version of the policy has %q", text)
		}
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(admin.must(t, 200, "GET", "/secrets/demo/variable/moving%2F"+name, "").body, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b := number("a"), number("b"); b > a || a > b+1 || b < least || a > most {
		t.Errorf("the backup has %d and %d, written one after the other; it was taken between %d and %d", a, b, least, most)
	}

	// Nothing moves by itself.
	versions := map[*rotated]int{}
	for _, v := range d.rotated {
		versions[v] = d.status(admin, v).Version
	}
	time.Sleep(3 * time.Second) // three times as long as their ttl
	for _, v := range d.rotated {
		s := d.status(admin, v)
		if s.Version != versions[v] || s.State != rotation.Suspended || s.Due != nil || s.Paused == nil || !strings.HasPrefix(s.Paused.Reason, "restored from the backup of ") {
			t.Errorf("%s: %+v", v.name, s)
		}
		if works := d.works[v]; !d.target.accepts(t, works[0], works[1]) {
			t.Errorf("%s: the password that worked when the server stopped does not any more", v.name)
		}
	}
	// And goes on when it is told to: the privileged account knows how.
	v := d.rotated[1]
	admin.must(t, 204, "POST", "/rotations/demo/variable/"+v.path()+"?resume", "")
	eventually(t, time.Minute, func() bool { return d.status(admin, v).Version > versions[v] })
	if d.rest(admin, v); !d.target.accepts(t, d.works[v][0], d.works[v][1]) {
		t.Errorf("%s: the password does not work after the rotation has gone on", v.name)
	}
}
