package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Given four nodes: two that are strict, one that may answer with what is three seconds
// old, and a read-only one beside a standby. All but the second strict one are cut off in
// the middle of their work, without a word. Then
//   - the strict one answers 503 in time instead of hanging, with what it remembers unsaid;
//   - the bounded one answers until its bound and not a moment longer, and a change there
//     ends as well;
//   - the read-only one goes on, and says how old its answers are;
//   - the one that was not cut off goes on;
//   - and all of them come back by themselves.
func TestNodesThatAreCutOff(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	const bound = 3 * time.Second
	primary := newHubDatabase(t, "wal_sender_timeout=3s")
	url := primary.Database(t)
	name := primary.Name(url)
	k := newScatteredCluster(t, url, 2)
	admin := k.admin(t)
	keys := admin[0].load(t, "POST", "root", "- !variable v\n- !host reader\n- !group readers\n- !grant {role: !group readers, member: !host reader}\n"+
		"- !permit {role: !group readers, privileges: [read, execute], resource: !variable v}\n")
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/v", "one")
	token := newClient(k.nodes[0].url).as(t, "host/reader", keys["host/reader"]).token
	at := func(url, token string) *client {
		return &client{url: url, token: token, http: &http.Client{Timeout: 2 * time.Minute}}
	}

	third, fourth := newPlace(t, 3), newPlace(t, 4)
	bounded := nodeIn(t, third, sibling(t, k.nodes[0].dir), "--database-url", url, "--consistency", "bounded:"+bound.String())
	standby, err := primary.StandbyBy(func(c *exec.Cmd) error { return fourth.start(c) }, "standby", "wal_receiver_timeout=2s", "wal_retrieve_retry_interval=200ms")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	follower := nodeIn(t, fourth, sibling(t, k.nodes[0].dir), "--database-url", standby.URL(name), "--read-only", "--consistency", "bounded:1h")
	reads := func(url, body string) func() bool {
		c := at(url, token)
		return func() bool {
			got, err := c.send("GET", "/secrets/demo/variable/v", nil)
			return err == nil && got.status == 200 && got.body == body
		}
	}
	nodes := []struct{ name, url string }{{"strict", k.nodes[0].url}, {"other", k.nodes[1].url}, {"bounded", bounded.url}, {"read-only", follower.url}}
	for _, n := range nodes {
		eventually(t, recovery, reads(n.url, "one"))
	}
	time.Sleep(1200 * time.Millisecond) // no connection was used a moment ago

	mends := []func(){k.places[0].cut(t, answers), third.cut(t, questions), fourth.cut(t, cable)}
	cutOff := time.Now()
	gone := func() time.Duration { return time.Since(cutOff).Round(time.Millisecond) }
	var group sync.WaitGroup
	refused := func(what string, within time.Duration, c *client, method, path, body string) {
		group.Go(func() {
			begun := time.Now()
			got, err := c.send(method, path, []byte(body))
			took := time.Since(begun).Round(time.Millisecond)
			if err != nil || got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"message"`) || took > within {
				t.Errorf("%s, after %s: %v, %v", what, took, got, err)
				return
			}
			t.Logf("%s is answered 503 after %s", what, took)
		})
	}
	refused("a read at the strict node", 12*time.Second, at(k.nodes[0].url, token), "GET", "/secrets/demo/variable/v", "")
	refused("a change at the strict node", 12*time.Second, at(k.nodes[0].url, admin[0].token), "POST", "/secrets/demo/variable/v", "lost")
	refused("a change at the bounded node", 40*time.Second, at(bounded.url, admin[0].token), "POST", "/secrets/demo/variable/v", "lost")
	group.Go(func() { // who is locked out stays in there for as long as the bound, and not longer
		c, last := at(bounded.url, token), time.Duration(0)
		for time.Since(cutOff) < 2*bound {
			begun := time.Now()
			got, err := c.send("GET", "/secrets/demo/variable/v", nil)
			switch late := begun.Sub(cutOff) > bound; {
			case err != nil, late && got.status != 503, !late && got.status != 200 && got.status != 503:
				t.Errorf("the bounded node after %s: %v, %v", begun.Sub(cutOff), got, err)
				return
			case got.status == 200:
				last = begun.Sub(cutOff)
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("the bounded node has let in for %s, and may for %s", last.Round(time.Millisecond), bound)
		if last < bound/4 {
			t.Error("it has not gone on until its bound")
		}
	})
	begun := time.Now()
	admin[1].must(t, 201, "POST", "/secrets/demo/variable/v", "two")
	t.Logf("a change at the node that was not cut off took %s", time.Since(begun).Round(time.Millisecond))
	admin[1].load(t, "PATCH", "root", "- !revoke {role: !group readers, member: !host reader}\n")
	group.Go(func() {
		for time.Since(cutOff) < 5*time.Second {
			if !reads(follower.url, "one")() {
				t.Errorf("the read-only node does not answer as before, after %s", gone())
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		at(follower.url, "").as(t, "host/reader", keys["host/reader"])
		if age := at(follower.url, token).health(t, 200).Age; age < 4 || age > gone().Seconds()+3 {
			t.Errorf("the read-only node is cut off for %s, and says that its answers are %.1f s old", gone(), age)
		}
	})
	group.Wait()
	for i, status := range []int{503, 200, 503, 200} { // by which a load balancer goes
		at(nodes[i].url, "").health(t, status)
	}

	for _, mend := range mends {
		mend()
	}
	mended, after := time.Now(), gone()
	for _, n := range nodes {
		group.Go(func() {
			c := at(n.url, admin[1].token)
			for time.Since(mended) < recovery {
				got, err := at(n.url, token).send("GET", "/secrets/demo/variable/v", nil)
				if err != nil || got.status != http.StatusNotFound { // who was locked out elsewhere
					time.Sleep(20 * time.Millisecond)
					continue
				}
				if n.name != "read-only" {
					got, err = c.send("POST", "/secrets/demo/variable/v", []byte("three"))
				}
				t.Logf("the %s node knows what is new %s after the network was back, which it was not for %s (%d)",
					n.name, time.Since(mended).Round(time.Millisecond), after, got.status)
				if n.name != "read-only" && (err != nil || got.status != 201) {
					t.Errorf("the %s node: %v, %v", n.name, got, err)
				}
				at(n.url, "").health(t, 200)
				return
			}
			t.Errorf("the %s node has not recovered within %s", n.name, recovery)
		})
	}
	group.Wait()
}

// nodeIn is node in a place.
func nodeIn(t *testing.T, p *place, dir string, flags ...string) *server {
	t.Helper()
	s, err := spawnIn(p, binary, dir, flags...)
	if err == nil {
		t.Cleanup(func() {
			s.kill()
			if defect := crashes.FindString(s.stderr.String()); defect != "" {
				t.Errorf("the server's log has %q:\n%s", defect, s.stderr.String())
			}
		})
		err = s.ready()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}
