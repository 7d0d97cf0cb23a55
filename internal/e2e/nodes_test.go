package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/store/postgres/postgrestest"
)

// database is the PostgreSQL server of the tests with several nodes.
var database struct {
	sync.Mutex
	server *postgrestest.Server
	dir    string
}

// newDatabase is an empty database.
func newDatabase(t testing.TB) string {
	t.Helper()
	database.Lock()
	defer database.Unlock()
	if database.server == nil {
		dir, err := targettest.Dir()
		if err != nil {
			t.Fatal(err)
		}
		s, err := postgrestest.New(dir, "data", "")
		if err == nil {
			err = s.Start("max_connections=200")
		}
		if err != nil {
			t.Fatal(err)
		}
		database.server, database.dir = s, dir
	}
	return database.server.Database(t)
}

func stopDatabase() {
	if database.server != nil {
		database.server.Stop()
		os.RemoveAll(database.dir)
	}
}

// cluster is some servers that share a database and a root key.
type cluster struct {
	nodes  []*server
	places []*place // of the nodes; nil if they are all here
	flags  []string
	key    string // API key of the account's admin
}

// newCluster starts n nodes at once on an empty database.
func newCluster(t testing.TB, n int, flags ...string) *cluster {
	t.Helper()
	return newClusterOn(t, newDatabase(t), n, flags...)
}

func newClusterOn(t testing.TB, url string, n int, flags ...string) *cluster {
	t.Helper()
	k := &cluster{flags: append([]string{"--database-url", url}, flags...)}
	k.begin(t, n)
	return k
}

// begin starts n nodes at once.
func (k *cluster) begin(t testing.TB, n int) {
	t.Helper()
	k.nodes = make([]*server, n)
	first := newDir(t)
	var wg sync.WaitGroup
	for i := range n {
		dir := first
		if i > 0 {
			dir = newDir(t)
			copyKey(t, first, dir)
		}
		s, err := k.spawn(i, dir)
		if err != nil {
			t.Fatal(err)
		}
		k.nodes[i] = s
		t.Cleanup(func() {
			s.kill()
			if defect := crashes.FindString(s.stderr.String()); defect != "" {
				t.Errorf("the server's log has %q:\n%s", defect, s.stderr.String())
			}
		})
		wg.Go(func() {
			if err := k.nodes[i].ready(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, s := range k.nodes {
		if match := keyLine.FindStringSubmatch(s.stdout.String()); match != nil {
			if k.key != "" {
				t.Fatal("two nodes have made the account")
			}
			k.key = match[1]
		}
	}
	if k.key == "" {
		t.Fatal("no node has made the account")
	}
}

func (k *cluster) spawn(i int, dir string) (*server, error) {
	var p *place
	if k.places != nil {
		p = k.places[i]
	}
	return spawnIn(p, binary, dir, append(k.flags, "--audit", "file:"+filepath.Join(dir, "audit"))...)
}

func copyKey(t testing.TB, from, to string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(to, "root.key"), []byte(read(t, filepath.Join(from, "root.key"))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// crashes are what a log never has, not even that of a server without a database.
var crashes = regexp.MustCompile(`(?m)^WARNING: DATA RACE|^panic: |^fatal error: |msg=defect`)

// restart kills a node and starts it again.
func (k *cluster) restart(t testing.TB, i int) error {
	k.nodes[i].kill()
	s, err := k.spawn(i, k.nodes[i].dir)
	if err != nil {
		return err
	}
	t.Cleanup(s.kill)
	k.nodes[i] = s
	return s.ready()
}

// admin is a client of each node as the account's admin.
func (k *cluster) admin(t testing.TB) (list []*client) {
	t.Helper()
	for _, s := range k.nodes {
		list = append(list, newClient(s.url).as(t, "admin", k.key))
	}
	return list
}

func (s *server) signal(t testing.TB, what syscall.Signal) {
	if err := s.cmd.Process.Signal(what); err != nil {
		t.Error(err)
	}
}

// What was acknowledged by one node counts on all others for requests that begin after.
func TestChangesCountAtOnceOnAllNodes(t *testing.T) {
	const rounds = 60
	k := newCluster(t, 3)
	admin := k.admin(t)
	keys := admin[0].load(t, "POST", "root", "- !variable v\n- !host reader\n- !group readers\n- !permit {role: !group readers, privileges: [read, execute], resource: !variable v}\n")
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/v", "value 0")
	current := keys["host/reader"]
	var reader []*client
	for _, s := range k.nodes {
		reader = append(reader, newClient(s.url).as(t, "host/reader", current))
	}
	everywhere := func(what string, want int, body string, ask func(*client) (answer, error)) {
		t.Helper()
		var wg sync.WaitGroup
		for i, c := range reader {
			wg.Go(func() {
				if got, err := ask(c); err != nil || got.status != want || body != "" && got.body != body {
					t.Errorf("%s, node %d: %v, %v, want %d %s", what, i, got, err, want, body)
				}
			})
		}
		wg.Wait()
	}
	get := func(c *client) (answer, error) { return c.send("GET", "/secrets/demo/variable/v", nil) }
	login := func(key string) func(*client) (answer, error) {
		return func(c *client) (answer, error) { return c.authenticate("host/reader", key) }
	}
	var denials durations
	for n := 1; n <= rounds && !t.Failed(); n++ {
		at := admin[n%3]
		at.load(t, "POST", "root", "- !grant {role: !group readers, member: !host reader}\n")
		everywhere("granted", 200, fmt.Sprintf("value %d", n-1), get)
		at.must(t, 201, "POST", "/secrets/demo/variable/v", fmt.Sprintf("value %d", n))
		everywhere("written", 200, fmt.Sprintf("value %d", n), get)
		denials.time(func() {
			at.load(t, "PATCH", "root", "- !revoke {role: !group readers, member: !host reader}\n")
			if got, err := get(reader[(n+1)%3]); err != nil || got.status != 404 {
				t.Errorf("revoked on another node: %v, %v", got, err)
			}
		})
		everywhere("revoked", 404, "", get)
		fresh := at.must(t, 200, "PUT", "/authn/demo/api_key?role=demo:host:reader", "").body
		everywhere("replaced key", 401, "", login(current))
		everywhere("new key", 200, "", login(fresh))
		current = fresh
	}
	t.Logf("from a revocation's request on one node to the denial on another: %s", &denials)
	admin[1].load(t, "PATCH", "root", "- !delete {record: !host reader}\n")
	everywhere("deleted", 401, "", func(c *client) (answer, error) { return c.send("GET", "/whoami", nil) })

	// A variable that another node has made anew has none of the old one's values.
	admin[0].load(t, "PATCH", "root", "- !delete {record: !variable v}\n")
	admin[1].load(t, "POST", "root", "- !variable v\n")
	for i, c := range admin {
		if got := c.must(t, 404, "GET", "/secrets/demo/variable/v", ""); got.status != 404 {
			t.Errorf("node %d: %v", i, got)
		}
	}
	admin[2].must(t, 201, "POST", "/secrets/demo/variable/v", "of the new one")
	for i, c := range admin {
		if got := c.must(t, 200, "GET", "/secrets/demo/variable/v", ""); got.body != "of the new one" {
			t.Errorf("node %d: %v", i, got)
		}
	}
}

// A node follows what the others do to keys, and who waits at it is told.
func TestNodesFollowEachOther(t *testing.T) {
	k := newCluster(t, 3)
	admin := k.admin(t)
	admin[0].load(t, "POST", "root", "- !variable v\n")
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/v", "one")
	for i := range 4 {
		if _, err := k.nodes[i%3].command("signing-key", "rotate", account); err != nil {
			t.Fatal(err)
		}
		for j, s := range k.nodes {
			admin[(j+1)%3].must(t, 200, "GET", "/whoami", "") // by a token of an older key
			c := newClient(s.url).as(t, "admin", k.key)
			c.url = k.nodes[(j+1)%3].url
			c.must(t, 200, "GET", "/whoami", "") // by a token that another node has just issued
		}
	}

	tag := admin[1].must(t, 200, "GET", "/secrets/demo/variable/v", "").header.Get("ETag")
	waited := make(chan answer, 1)
	go func() {
		got, err := admin[1].send("GET", "/secrets/demo/variable/v?wait=20s", nil, "If-None-Match", tag)
		if err != nil {
			t.Error(err)
		}
		waited <- got
	}()
	time.Sleep(200 * time.Millisecond)
	admin[2].must(t, 201, "POST", "/secrets/demo/variable/v", "two")
	begun := time.Now()
	if got := <-waited; got.body != "two" {
		t.Errorf("who waits at another node gets %v", got)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("and after %s", took)
	}
}

// A node that was away for longer than the log reaches, and one whose database has lost
// what the node has seen, load everything again.
func TestANodeThatCannotFollowLoadsAgain(t *testing.T) {
	k := newCluster(t, 2)
	admin := k.admin(t)
	admin[0].load(t, "POST", "root", "- !variable v\n- !variable w\n")
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/v", "one")
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/w", "one")
	admin[1].must(t, 200, "GET", "/secrets/demo/variable/v", "")
	name := database.server.Name(k.flags[1])

	k.nodes[1].signal(t, syscall.SIGSTOP)
	for i := range 20 {
		admin[0].must(t, 201, "POST", "/secrets/demo/variable/v", fmt.Sprint("value ", i))
	}
	admin[0].load(t, "PATCH", "root", "- !delete {record: !variable w}\n")
	admin[0].load(t, "POST", "root", "- !variable w\n")
	if err := database.server.RunIn(name, "DELETE FROM rekey.log WHERE number < (SELECT number FROM rekey.log_head)"); err != nil {
		t.Fatal(err)
	}
	k.nodes[1].signal(t, syscall.SIGCONT)
	if got := admin[1].must(t, 200, "GET", "/secrets/demo/variable/v", ""); got.body != "value 19" {
		t.Errorf("after the log was trimmed: %v", got)
	}
	admin[1].must(t, 404, "GET", "/secrets/demo/variable/w", "")
	if !strings.Contains(k.nodes[1].stderr.String(), "loads everything again") {
		t.Error("the node does not say so")
	}
	unchanged(t, admin[0].listing(t), admin[1].listing(t))

	// As if a standby had taken over that had not got the last change.
	if err := database.server.RunIn(name, `
		DELETE FROM rekey.secrets WHERE version = 21;
		UPDATE rekey.log_head SET number = number - 1;
		DELETE FROM rekey.log;
		INSERT INTO rekey.log SELECT number, '\x0102030405060708090a0b0c0d0e0f10', 1, '\x010000' FROM rekey.log_head;`); err != nil {
		t.Fatal(err)
	}
	for i, c := range admin {
		if got := c.must(t, 200, "GET", "/secrets/demo/variable/v", ""); got.body != "value 18" {
			t.Errorf("node %d after the database has gone back: %v", i, got)
		}
	}
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/v", "on")
	if got := admin[1].must(t, 200, "GET", "/secrets/demo/variable/v", ""); got.body != "on" {
		t.Errorf("and then: %v", got)
	}
}

// Policies that are loaded on all nodes at once are all loaded.
func TestNoPolicyLoadIsLost(t *testing.T) {
	const each = 25
	k := newCluster(t, 3)
	admin := k.admin(t)
	admin[0].load(t, "POST", "root", "- !group all\n")
	var busy atomic.Int64
	var wg sync.WaitGroup
	for i := range admin {
		for worker := range 2 {
			wg.Go(func() {
				c := newClient(k.nodes[i].url)
				c.token = admin[i].token
				for n := range each {
					name := fmt.Sprintf("h-%d-%d-%d", i, worker, n)
					text := fmt.Sprintf("- !host %s\n- !grant {role: !group all, member: !host %[1]s}\n", name)
					for {
						got, err := c.send("POST", "/policies/demo/policy/root", []byte(text))
						if err != nil || got.status != 201 && got.status != 409 {
							t.Errorf("%s: %v, %v", name, got, err)
							return
						}
						if got.status == 201 {
							break
						}
						busy.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	versions := map[string]bool{}
	for i, c := range admin {
		members := c.must(t, 200, "GET", "/roles/demo/group/all?members&count=true", "").body
		if want := fmt.Sprintf(`{"count":%d}`, 3*2*each+1); members != want {
			t.Errorf("node %d has %s members, want %s", i, members, want)
		}
		versions[c.listing(t)] = true
	}
	if len(versions) != 1 {
		t.Errorf("the nodes show %d different accounts", len(versions))
	}
	t.Logf("%d loads, %d answered 409", 3*2*each, busy.Load())
}
