package e2e

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/store/postgres/postgrestest"
)

// replicated is a primary with a standby, and a database in them.
func replicated(t *testing.T) (primary, standby *postgrestest.Server, database string) {
	t.Helper()
	primary = postgrestest.Started(t)
	standby, err := primary.Standby("standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	if err := primary.Run("CREATE DATABASE ha"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() bool { return standby.RunIn("ha", "SELECT 1") == nil })
	return primary, standby, "ha"
}

// health is what GET /health says of a read-only node, with a status.
type health struct {
	Status   string
	ReadOnly bool `json:"read_only"`
	Age      float64
}

func (c *client) health(t *testing.T, status int) (h health) {
	t.Helper()
	if err := json.Unmarshal([]byte(c.must(t, status, "GET", "/health", "").body), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// Given a node that writes to a primary, and a read-only node on its standby.
func TestReadOnlyNode(t *testing.T) {
	primary, standby, database := replicated(t)
	writer := newClusterOn(t, primary.URL(database), 1)
	leader := writer.admin(t)[0]
	keys := leader.load(t, "POST", "root", "- !variable v\n- !host reader\n- !host other\n- !group readers\n"+
		"- !grant {role: !group readers, member: !host reader}\n- !permit {role: !group readers, privileges: [read, execute, update], resource: !variable v}\n")
	leader.must(t, 201, "POST", "/secrets/demo/variable/v", "one")
	const within = 3 * time.Second // what is promised: a second, and what the standby is behind

	// Its user of the database may read, and nothing else.
	if err := primary.RunIn(database, "CREATE ROLE reader LOGIN PASSWORD 'reader-Password-1'; GRANT USAGE ON SCHEMA rekey TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA rekey TO reader"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() bool { return standby.RunAs("reader", "reader-Password-1", "SELECT 1") == nil })
	url := strings.Replace(standby.URL(database), postgrestest.User+":"+postgrestest.Password, "reader:reader-Password-1", 1)

	dir := newDir(t)
	copyKey(t, writer.nodes[0].dir, dir)
	flags := []string{"--database-url", url, "--read-only", "--consistency", "bounded:24h", "--leader-url", writer.nodes[0].url, "--audit", "file:" + dir + "/audit"}
	eventually(t, 10*time.Second, func() bool {
		return standby.RunIn(database, "DO $$ BEGIN ASSERT (SELECT count(*) > 0 FROM rekey.accounts); END $$") == nil
	})
	s := node(t, dir, flags...)
	reads := func(c *client, status int, body string) func() bool {
		return func() bool {
			got, err := c.send("GET", "/secrets/demo/variable/v", nil)
			return err == nil && got.status == status && (body == "" || got.body == body)
		}
	}

	// It lets in, and answers, with what the writer has stored a moment ago.
	eventually(t, within, func() bool {
		got, err := newClient(s.url).authenticate("host/reader", keys["host/reader"])
		return err == nil && got.status == 200
	})
	reader := newClient(s.url).as(t, "host/reader", keys["host/reader"])
	admin := newClient(s.url).as(t, "admin", writer.key)
	eventually(t, within, reads(reader, 200, "one"))
	leader.must(t, 201, "POST", "/secrets/demo/variable/v", "two")
	eventually(t, within, reads(reader, 200, "two"))
	admin.must(t, 200, "GET", "/resources/demo", "")

	// It changes nothing, and says who does.
	refused := func(method, path, body string, headers ...string) {
		t.Helper()
		got := admin.must(t, http.StatusServiceUnavailable, method, path, body, headers...)
		if !strings.Contains(got.body, "read-only") || !strings.Contains(got.body, writer.nodes[0].url) ||
			got.header.Get("Rekey-Leader") != writer.nodes[0].url || got.header.Get("Location") != "" || got.header.Get("Retry-After") != "" {
			t.Errorf("%s %s: %v %v", method, path, got, got.header)
		}
	}
	refused("POST", "/secrets/demo/variable/v", "three")
	refused("POST", "/policies/demo/policy/root", "- !variable w\n")
	refused("PUT", "/authn/demo/api_key?role=demo:host:reader", "")
	refused("PUT", "/authn/demo/password", "Another-Password-1", "Authorization", basic("admin", writer.key))
	v2 := admin.must(t, http.StatusServiceUnavailable, "POST", "/branches/demo", `{"name":"b","branch":"/"}`,
		"Accept", "application/x.secretsmgr.v2beta+json", "Content-Type", "application/json")
	if !strings.HasPrefix(v2.body, `{"code":"503","message":"this node is read-only`) {
		t.Errorf("v2: %v", v2)
	}
	reader.must(t, 404, "POST", "/secrets/demo/variable/none", "x") // who may not do it does not learn more
	if h := admin.health(t, 200); !h.ReadOnly || h.Status != "ok" || h.Age > within.Seconds() {
		t.Errorf("health %+v", h)
	}

	// A staged key cannot come into force here; the one before it goes on working.
	staged := newClient(writer.nodes[0].url).must(t, 200, "PUT", "/authn/demo/api_key?staged", "", "Authorization", basic("host/other", keys["host/other"])).body
	eventually(t, within, func() bool {
		got, err := newClient(s.url).authenticate("host/other", staged)
		return err == nil && got.status == http.StatusServiceUnavailable && got.header.Get("Rekey-Leader") != ""
	})
	newClient(s.url).as(t, "host/other", keys["host/other"])
	newClient(writer.nodes[0].url).as(t, "host/other", staged)
	eventually(t, within, func() bool {
		got, err := newClient(s.url).authenticate("host/other", staged)
		return err == nil && got.status == 200
	})

	// Whom the writer locks out is out here, too.
	revoked := time.Now()
	leader.load(t, "PATCH", "root", "- !revoke {role: !group readers, member: !host reader}\n")
	eventually(t, within, reads(reader, 404, ""))
	t.Logf("from a revocation's request on the writer to the denial on the read-only node: %s", time.Since(revoked).Round(time.Millisecond))
	leader.load(t, "POST", "root", "- !grant {role: !group readers, member: !host reader}\n")
	eventually(t, within, reads(reader, 200, "two"))

	// While nothing changes, it knows that nothing does.
	time.Sleep(within)
	if h := admin.health(t, 200); h.Age > within.Seconds() {
		t.Errorf("idle for %s, and the age is %+v", within, h)
	}

	// Without the primary it goes on, and starts again.
	primary.Stop()
	died := time.Now()
	time.Sleep(4 * time.Second)
	newClient(s.url).as(t, "host/reader", keys["host/reader"])
	reader.must(t, 200, "GET", "/secrets/demo/variable/v", "")
	if h, gone := admin.health(t, 200), time.Since(died).Seconds(); h.Age < gone || h.Age > gone+within.Seconds() {
		t.Errorf("the primary is gone for %.1f s, and the age is %+v", gone, h)
	}
	s.kill()
	s = node(t, dir, flags...)
	newClient(s.url).as(t, "host/reader", keys["host/reader"]).must(t, 200, "GET", "/secrets/demo/variable/v", "")

	// What the standby has can be saved: by the node that runs there, without one, and into
	// a store. Of these, the last knows nothing of nodes.
	carriedFrom(t, dir, url, writer.key)

	// With a shorter bound it does not: whoever was locked out meanwhile may ask.
	short := node(t, sibling(t, dir), "--database-url", standby.URL(database), "--read-only", "--consistency", "bounded:2s")
	stale := newClient(short.url)
	stale.token = reader.token
	stale.must(t, 503, "GET", "/secrets/demo/variable/v", "")
	if h := stale.health(t, 503); h.Status != "unavailable" {
		t.Errorf("health %+v", h)
	}

	// When the standby takes over, read-only nodes stay what they are, and follow who
	// writes to it now.
	if err := standby.Run("SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	next := newClient(node(t, sibling(t, dir), "--database-url", standby.URL(database)).url).as(t, "admin", writer.key)
	next.must(t, 201, "POST", "/secrets/demo/variable/v", "three")
	again := newClient(s.url)
	again.token = reader.token
	eventually(t, within, reads(again, 200, "three"))
	eventually(t, within, reads(stale, 200, "three"))
	again.must(t, 503, "POST", "/secrets/demo/variable/v", "four")
}

// carriedFrom saves what a standby has whose primary is gone, by a user who may only read,
// and serves what was saved.
func carriedFrom(t *testing.T, dir, url, key string) {
	t.Helper()
	alone := sibling(t, dir)
	var digests []string
	for _, args := range [][]string{
		{"backup", "--data-dir", dir, filepath.Join(dir, "running")},
		{"backup", "--data-dir", alone, "--database-url", url, filepath.Join(alone, "stopped")},
	} {
		said, err := rekey(args...)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digestOf(said))
	}
	copied := sibling(t, dir)
	said, err := rekey("store", "copy", "--from", strings.Replace(url, "=disable", "=prefer", 1), "--to", copied, "--data-key-file", filepath.Join(dir, "root.key"))
	if err != nil || !strings.Contains(said, "The source is a standby; the newest that it has is of ") {
		t.Fatalf("%s, %v", said, err)
	}
	digests = append(digests, digestOf(said))
	if len(slices.Compact(digests)) != 1 {
		t.Errorf("the digests differ: %v", digests)
	}
	restored := sibling(t, dir)
	if _, err := rekey("restore", "--data-dir", restored, filepath.Join(alone, "stopped")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{copied, restored} {
		s := serve(t, dir)
		if got := newClient(s.url).as(t, "admin", key).must(t, 200, "GET", "/secrets/demo/variable/v", ""); got.body != "two" {
			t.Errorf("got %v", got)
		}
		s.terminate(t)
	}
}

// sibling is another data directory with the same root key.
func sibling(t *testing.T, dir string) string {
	t.Helper()
	other := newDir(t)
	copyKey(t, dir, other)
	return other
}

// Given databases that a node cannot use as it is told to, it says so and ends.
func TestNodesThatCannotStart(t *testing.T) {
	primary, standby, database := replicated(t)
	for _, c := range []struct {
		name, url, want string
		flags           []string
	}{
		{"read-only before anybody has written", standby.URL(database), "start a node of this version that writes first", []string{"--read-only", "--consistency", "bounded:1h"}},
		{"writing to a standby", standby.URL(database), "set read_only", nil},
		{"read-only and strict", primary.URL(database), "cannot be strict", []string{"--read-only"}},
		{"writing with old answers", primary.URL(database), "only a read-only server", []string{"--consistency", "bounded:2h"}},
		{"writing and led", primary.URL(database), "takes changes itself", []string{"--leader-url", "https://rekey.example.com"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := spawn(newDir(t), append(c.flags, "--database-url", c.url)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.kill)
			select {
			case err := <-s.exited:
				if err == nil || !strings.Contains(s.stderr.String(), c.want) {
					t.Errorf("%v, %s, want %q", err, s.stderr.String(), c.want)
				}
			case <-time.After(40 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}
