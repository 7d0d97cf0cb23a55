package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// An answer reflects every change that was acknowledged before the request began. So
// after each change a hundred requests on as many connections, of which some are kept
// busy all the time, must all see it.
func TestChangesCountAtOnceOnAllConnections(t *testing.T) {
	t.Parallel()
	const connections, rounds = 24, 12
	s, key := start(t, "--audit", "file:"+t.TempDir()+"/audit")
	admin := newClient(s.url).as(t, "admin", key)
	keys := admin.load(t, "POST", "root", "- !variable v\n- !host reader\n- !group readers\n- !permit {role: !group readers, privileges: [read, execute], resource: !variable v}\n")
	admin.must(t, 201, "POST", "/secrets/demo/variable/v", "value 0")
	current := keys["host/reader"]
	reader := newClient(s.url).as(t, "host/reader", current)

	clients := make([]*client, connections)
	for i := range clients {
		clients[i] = newClient(s.url)
		clients[i].token = reader.token
	}
	// The noise: requests that began before a change may see either state, and none
	// may leave anything behind that a later request meets.
	var stop atomic.Bool
	var noise sync.WaitGroup
	t.Cleanup(func() { stop.Store(true); noise.Wait() })
	for i := range 4 {
		c := newClient(s.url)
		c.token = reader.token
		noise.Go(func() {
			for !stop.Load() {
				var got answer
				var err error
				if i%2 == 0 {
					got, err = c.send("GET", "/secrets/demo/variable/v", nil)
				} else {
					got, err = c.authenticate("host/reader", keys["host/reader"])
				}
				if err != nil || got.status >= 500 {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	// everywhere wants the same answer on all connections.
	everywhere := func(what string, want int, ask func(c *client) (answer, error), body string) {
		t.Helper()
		var group sync.WaitGroup
		for i, c := range clients {
			group.Go(func() {
				got, err := ask(c)
				if err != nil || got.status != want || body != "" && got.body != body {
					t.Errorf("%s, connection %d: %v, %v, want %d %s", what, i, got, err, want, body)
				}
			})
		}
		group.Wait()
	}
	read := func(c *client) (answer, error) { return c.send("GET", "/secrets/demo/variable/v", nil) }
	login := func(key string) func(c *client) (answer, error) {
		return func(c *client) (answer, error) { return c.authenticate("host/reader", key) }
	}
	const grant = "- !grant {role: !group readers, member: !host reader}\n"
	const revoke = "- !revoke {role: !group readers, member: !host reader}\n"
	for n := 1; n <= rounds && !t.Failed(); n++ {
		admin.load(t, "POST", "root", grant)
		everywhere("granted", http.StatusOK, read, fmt.Sprintf("value %d", n-1))
		value := fmt.Sprintf("value %d", n)
		admin.must(t, 201, "POST", "/secrets/demo/variable/v", value)
		everywhere("written", http.StatusOK, read, value)
		admin.load(t, "PATCH", "root", revoke)
		everywhere("revoked", http.StatusNotFound, read, "")

		fresh := admin.must(t, 200, "PUT", "/authn/demo/api_key?role=demo:host:reader", "").body
		everywhere("replaced key", http.StatusUnauthorized, login(current), "")
		everywhere("new key", http.StatusOK, login(fresh), "")
		current = admin.must(t, 200, "PUT", "/authn/demo/api_key", "", "Authorization", basic("host/reader", fresh)).body
		everywhere("replaced by itself", http.StatusUnauthorized, login(fresh), "")
		everywhere("its own new key", http.StatusOK, login(current), "")
	}
	// The token of a role that is gone is worth nothing.
	admin.load(t, "PATCH", "root", "- !delete {record: !host reader}\n")
	everywhere("deleted", http.StatusUnauthorized, func(c *client) (answer, error) { return c.send("GET", "/whoami", nil) }, "")
}
