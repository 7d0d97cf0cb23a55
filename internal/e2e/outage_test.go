package e2e

import (
	"testing"
	"time"

	"rekey/internal/store/postgres/postgrestest"
)

// Given a database that goes away and comes back: a strict node does not answer from what
// it remembers; one with a bound does for as long as that; both go on by themselves.
func TestNodesWithoutTheirDatabase(t *testing.T) {
	own := postgrestest.Started(t)
	url := own.Database(t)
	home := newDir(t)
	strict := node(t, home, "--database-url", url)
	key := strict.adminKey(t)
	home2 := newDir(t)
	copyKey(t, home, home2)
	bounded := node(t, home2, "--database-url", url, "--consistency", "bounded:3s")
	a := newClient(strict.url).as(t, "admin", key)
	a.load(t, "POST", "root", "- !variable v\n")
	a.must(t, 201, "POST", "/secrets/demo/variable/v", "one")
	b := newClient(bounded.url)
	b.token = a.token
	eventually(t, 5*time.Second, func() bool {
		got, err := b.send("GET", "/secrets/demo/variable/v", nil)
		return err == nil && got.body == "one"
	})

	own.Stop()
	gone := time.Now()
	b.must(t, 200, "GET", "/secrets/demo/variable/v", "")
	a.must(t, 503, "GET", "/secrets/demo/variable/v", "")
	nobody := newClient(strict.url) // such as a load balancer
	nobody.must(t, 503, "GET", "/whoami", "")
	t.Logf("the strict node answers 503 after %s", time.Since(gone).Round(time.Millisecond))
	time.Sleep(time.Until(gone.Add(4500 * time.Millisecond)))
	b.must(t, 503, "GET", "/secrets/demo/variable/v", "")
	a.must(t, 200, "GET", "/heartbeat", "")

	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	a.must(t, 200, "GET", "/secrets/demo/variable/v", "")
	nobody.must(t, 401, "GET", "/whoami", "")
	t.Logf("and answers again after %s", time.Since(back).Round(time.Millisecond))
	a.must(t, 201, "POST", "/secrets/demo/variable/v", "two")
	eventually(t, 10*time.Second, func() bool {
		got, err := b.send("GET", "/secrets/demo/variable/v", nil)
		return err == nil && got.body == "two"
	})
}

// node is a server whose log may have errors.
func node(t *testing.T, dir string, flags ...string) *server {
	t.Helper()
	s, err := spawn(dir, flags...)
	if err == nil {
		t.Cleanup(s.kill)
		err = s.ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func eventually(t *testing.T, within time.Duration, holds func() bool) {
	t.Helper()
	for begun := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > within {
			t.Fatalf("not within %s", within)
		}
	}
}
