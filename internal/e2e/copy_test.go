package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Everything can move from a data directory into a database and back, while nobody serves
// it. A copy that is killed again and again goes on where it was, and nobody can use what
// is not complete.
func TestStoresAreCopiedBothWays(t *testing.T) {
	t.Parallel()
	s, key := start(t)
	admin := newClient(s.url).as(t, "admin", key)
	const hosts = 2500 // and several rows of each
	var policy strings.Builder
	policy.WriteString("- !variable v\n- !host h\n- !permit { role: !host h, privileges: [ read, execute ], resource: !variable v }\n")
	for i := range hosts {
		fmt.Fprintf(&policy, "- !host h%d\n", i)
	}
	host := admin.load(t, "POST", "root", policy.String())["host/h"]
	for _, value := range []string{"one", "two"} {
		admin.must(t, 201, "POST", "/secrets/demo/variable/v", value)
	}
	url, back := newDatabase(t), filepath.Join(t.TempDir(), "back")
	key64 := filepath.Join(s.dir, "root.key")
	c := &copier{key: key64, random: rand.New(rand.NewPCG(setting(t, seedVariable, uint64(time.Now().UnixNano())), 0))}
	refused := func(from, to, want string) {
		t.Helper()
		if said, err := c.copy(from, to); err == nil || !strings.Contains(said, want) {
			t.Errorf("from %s to %s: %v", from, to, err)
		}
	}
	refused(s.dir, url, "is in use by process")
	before := admin.must(t, 200, "GET", "/resources/demo?limit=100", "").body
	s.terminate(t)
	refused(filepath.Join(t.TempDir(), "none"), url, "there is nothing to copy")

	there := c.untilThrough(t, s.dir, url, "--database-url", url)
	again := c.untilThrough(t, url, back)
	if digestOf(again) != digestOf(there) || digestOf(there) == "" {
		t.Fatalf("the digests differ: %s, %s", there, again)
	}
	if said, err := c.copy(s.dir, url); err != nil || !strings.Contains(said, "is there already") || digestOf(said) != digestOf(there) {
		t.Errorf("once more: %s, %v", said, err)
	}
	dir := newDir(t)
	copyKey(t, s.dir, dir)
	copyKey(t, s.dir, back)
	for _, served := range []*server{serve(t, dir, "--database-url", url), serve(t, back)} {
		admin := newClient(served.url).as(t, "admin", key)
		if after := admin.must(t, 200, "GET", "/resources/demo?limit=100", "").body; after != before {
			t.Error("the listing is another one")
		}
		got := newClient(served.url).as(t, "host/h", host).must(t, 200, "GET", "/secrets/demo/variable/v?version=1", "")
		if got.body != "one" {
			t.Errorf("got %v", got)
		}
		admin.must(t, 201, "POST", "/secrets/demo/variable/v", "three")
		served.terminate(t)
	}
	refused(s.dir, url, "the store is not empty")
	refused(s.dir, back, "the store is not empty")
}

// copier copies by the command.
type copier struct {
	key    string
	random *rand.Rand
}

func (c *copier) command(from, to string) *exec.Cmd {
	return exec.Command(binary, "store", "copy", "--from", from, "--to", to, "--data-key-file", c.key)
}

func (c *copier) copy(from, to string) (string, error) {
	said, err := c.command(from, to).CombinedOutput()
	return string(said), err
}

// untilThrough copies, and kills the process at random moments: first after its start, then
// after it has said that something is stored, and later if the last one came no farther;
// until one is not killed in time. It returns what that one said.
func (c *copier) untilThrough(t *testing.T, from, to string, flags ...string) string {
	t.Helper()
	served, farthest, instants := false, 0, 0
	early, late := 50*time.Millisecond, 10*time.Millisecond
	for {
		cmd := c.command(from, to)
		within := func(d time.Duration) time.Duration { return time.Duration(c.random.Int64N(int64(d))) }
		kill := time.AfterFunc(time.Hour, func() { cmd.Process.Kill() })
		said := &noted{first: func() {}}
		if instants >= 3 {
			after := within(late)
			said.first = func() { kill.Reset(after) }
		}
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if instants < 3 {
			early += early / 4
			kill.Reset(early/2 + within(early/2))
		}
		err := cmd.Wait()
		kill.Stop()
		first, of := 0, 0 // what was there when it went on
		line, _, _ := strings.Cut(said.String(), "\n")
		if n, _ := fmt.Sscanf(line, "%d of %d rows", &first, &of); n == 2 {
			if first < farthest {
				t.Errorf("%d rows were there, and now %d", farthest, first)
			}
			if instants++; first == farthest {
				late += late / 4
			}
			farthest = first
		}
		if err == nil {
			t.Logf("to %.8s: through at attempt %d of those that stored something, after %d of %d rows", to, instants, first, of)
			return said.String()
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("%v: %s", err, said.String())
		}
		if first > 0 && first < of && !served {
			served = true
			c.unserved(t, to, flags)
		}
	}
}

// noted is output whose beginning somebody wants to know of.
type noted struct {
	output
	once  sync.Once
	first func()
}

func (n *noted) Write(text []byte) (int, error) {
	n.once.Do(n.first)
	return n.output.Write(text)
}

// unserved: no server starts on a part of everything.
func (c *copier) unserved(t *testing.T, to string, flags []string) {
	t.Helper()
	dir := to
	if len(flags) > 0 {
		dir = newDir(t)
	}
	copyKey(t, filepath.Dir(c.key), dir)
	s, err := spawn(dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	select {
	case err := <-s.exited:
		if err == nil || !strings.Contains(s.stderr.String(), "has only a part of everything") {
			t.Errorf("%v, %s", err, s.stderr.String())
		}
	case <-time.After(time.Minute):
		t.Error("it serves a part of everything")
	}
}
