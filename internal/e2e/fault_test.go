package e2e

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// REKEY_FAULTS is how often TestHistoriesAreLinearizable disturbs nodes at least, in
// histories of sixteen times each; REKEY_SEED is the seed of its choices.
const (
	faultsVariable = "REKEY_FAULTS"
	defaultFaults  = 16
	faultsAtOnce   = 2 // of three nodes

	// recovery is how long a node may take until it answers again, after the network is
	// there again or it was woken up. It takes a second or less, but not where eight
	// programs share a core.
	recovery = 15 * time.Second
)

// Given three nodes, each in a network of its own, of which one or two at a time are
// killed, stopped and woken up, or cut off from the database or from clients, in one
// direction or both, and clients that write and read on all of them: the history is
// linearizable, and each node answers again by itself.
//
// The long form: REKEY_FAULTS=2000 go test -run HistoriesAreLinearizable -timeout 2h
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	faults := int(setting(t, faultsVariable, defaultFaults))
	seed := setting(t, seedVariable, uint64(time.Now().UnixNano()))
	t.Logf("%s=%d %s=%d repeats the choices of this run", faultsVariable, faults, seedVariable, seed)
	k := newScatteredCluster(t, newHubDatabase(t, "fsync=off").Database(t), 3)
	for ; faults > 0 && !t.Failed(); faults -= defaultFaults { // the checker's work grows faster than a history
		h := newHistory(t, k)
		h.begin(16, seed) // many of them wait for a node that does not answer
		y := disturb(t, k, h, seed)
		h.end()
		t.Log(y)
		h.check(t)
		seed++
	}
}

// disturb disturbs nodes, some at a time.
func disturb(t *testing.T, k *cluster, h *history, seed uint64) *tally {
	kinds := []string{"killed", "stopped", string(cable), string(answers), string(questions), string(visitors)}
	var y tally
	var slowest sync.Map
	whole := make(chan int, len(k.nodes)) // nodes that nobody disturbs
	for i := range k.nodes {
		whole <- i
	}
	plan := make(chan string, defaultFaults)
	random := rand.New(rand.NewPCG(seed, 1<<32))
	for i := range defaultFaults {
		if i < len(kinds) {
			plan <- kinds[i]
			continue
		}
		plan <- kinds[random.IntN(len(kinds))]
	}
	close(plan)
	var mu sync.Mutex // guards random
	upTo := func(most int) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.IntN(most)) * time.Millisecond
	}
	var group sync.WaitGroup
	for range faultsAtOnce {
		group.Go(func() {
			for kind := range plan {
				if t.Failed() {
					return
				}
				at := <-whole
				switch kind {
				case "killed":
					if err := k.restart(t, at); err != nil {
						t.Error(err)
						return
					}
					h.moved(at, k.nodes[at].url)
				case "stopped":
					k.nodes[at].signal(t, syscall.SIGSTOP)
					time.Sleep(300*time.Millisecond + upTo(1200))
					k.nodes[at].signal(t, syscall.SIGCONT)
				default:
					mend := k.places[at].cut(t, cut(kind))
					time.Sleep(300*time.Millisecond + upTo(1700))
					mend()
				}
				took := recovered(t, k.nodes[at].url, h.tokens["reader"])
				y.add(kind, 1)
				mu.Lock()
				if before, ok := slowest.Load(kind); !ok || before.(time.Duration) < took {
					slowest.Store(kind, took)
				}
				mu.Unlock()
				whole <- at
				time.Sleep(100*time.Millisecond + upTo(500))
			}
		})
	}
	group.Wait()
	slowest.Range(func(kind, took any) bool {
		t.Logf("the slowest node that was disturbed by %s answered after %s", kind, took.(time.Duration).Round(time.Millisecond))
		return true
	})
	return &y
}

// recovered waits until a node answers with a value, and tells how long it took.
func recovered(t *testing.T, url, token string) time.Duration {
	begun := time.Now()
	c := &client{url: url, token: token, http: &http.Client{Timeout: recovery, Transport: &http.Transport{DisableKeepAlives: true}}}
	for time.Since(begun) < recovery {
		if got, err := c.send("GET", "/secrets/demo/variable/v0", nil); err == nil && got.status == http.StatusOK {
			return time.Since(begun)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%s does not answer again within %s", url, recovery)
	return recovery
}
