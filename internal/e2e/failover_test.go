package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"rekey/internal/store/postgres/postgrestest"
)

// Given a database with a synchronous standby, and clients that write on three nodes: when
// the database dies and the standby takes over, no acknowledged write is lost, and the
// nodes go on by themselves.
func TestNoAcknowledgedWriteIsLostInAFailover(t *testing.T) {
	const clients = 6
	primary := postgrestest.Started(t)
	standby, err := primary.Standby("standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()", "CREATE DATABASE ha"} {
		if err := primary.Run(sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 10*time.Second, func() bool {
		return primary.Run("DO $$ BEGIN ASSERT (SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'); END $$") == nil
	})
	url := fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d,127.0.0.1:%d/ha?sslmode=disable&target_session_attrs=read-write",
		postgrestest.User, postgrestest.Password, primary.Port, standby.Port)
	k := newClusterOn(t, url, 3)
	admin := k.admin(t)
	var policy string
	for i := range clients {
		policy += fmt.Sprintf("- !variable v%d\n", i)
	}
	admin[0].load(t, "POST", "root", policy)

	var mu sync.Mutex
	last := make([]int, clients) // newest acknowledged value of each client's variable
	var moments []time.Time      // of acknowledgements
	refused := 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range clients {
		c := &client{url: k.nodes[i%3].url, token: admin[0].token, http: &http.Client{Timeout: 30 * time.Second}}
		wg.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				got, err := c.send("POST", fmt.Sprintf("/secrets/demo/variable/v%d", i), []byte(fmt.Sprint(n)))
				mu.Lock()
				if err == nil && got.status == 201 {
					last[i] = n
					moments = append(moments, time.Now())
				} else {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	time.Sleep(2 * time.Second)
	primary.Stop()
	died := time.Now()
	if err := standby.Run("SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	promoted := time.Since(died)
	time.Sleep(6 * time.Second)
	close(stop)
	wg.Wait()

	var before, after int
	var gap time.Duration
	for i, at := range moments {
		if at.Before(died) {
			before++
		} else {
			after++
		}
		if i > 0 {
			gap = max(gap, at.Sub(moments[i-1]))
		}
	}
	for i := range clients {
		for _, c := range admin {
			var n int
			got := c.must(t, 200, "GET", fmt.Sprintf("/secrets/demo/variable/v%d", i), "")
			if _, err := fmt.Sscan(got.body, &n); err != nil || n < last[i] {
				t.Errorf("variable %d has %q, but %d was acknowledged", i, got.body, last[i])
			}
		}
	}
	t.Logf("%d writes acknowledged before, %d after, %d refused; promoted after %s, longest pause %s",
		before, after, refused, promoted.Round(time.Millisecond), gap.Round(time.Millisecond))
	if before < 50 || after < 50 {
		t.Error("too few writes")
	}
}
