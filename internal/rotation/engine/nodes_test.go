package engine_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
)

// Given three engines that share a database, and people who ask each of them for
// rotations of the same variables, while one of the engines ends and begins again: at no
// moment do two of them work on one account of a target, and every published value works.
func TestTwoEnginesNeverWorkOnOneTarget(t *testing.T) {
	const nodes, variables, rounds = 3, 6, 25
	url := postgrestest.Started(t, "fsync=off").Database(t)
	keep := func() (store.Store, error) { return postgres.Open(ctx, url) }
	first := newWorld(t)
	all := []*world{}
	for i := range nodes {
		w := &world{TB: t, model: first.model, kinds: first.kinds, dir: t.TempDir(), root: first.root, limits: rotation.DefaultLimits(), audit: &trail{}, keep: keep,
			starts: 100 * i, options: engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))}
		w.limits.BackoffBase, w.limits.Lease, w.options.StepTime = 20*time.Millisecond, 3*time.Second, time.Second
		w.options.Pause, w.options.Rate = 10*time.Millisecond, 100_000
		w.open()
		t.Cleanup(func() { w.close() })
		all = append(all, w)
	}
	_, err := all[0].CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	names, declared := []string{}, map[string][]string{}
	for i := range variables {
		name := fmt.Sprint("v", i)
		names, declared[name] = append(names, name), []string{"rotation/ttl: P365D"}
	}
	all[0].declare(declared)

	var mu sync.Mutex
	inside, byNode, overlaps := map[string]int{}, 0, 0
	first.model.gate = func(call, account string) error {
		mu.Lock()
		if inside[account]++; inside[account] > 1 {
			overlaps++
		}
		byNode++
		mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		inside[account]--
		mu.Unlock()
		return nil
	}
	for _, name := range names {
		all[0].handOver(name, "first-"+name)
	}
	for _, w := range all {
		must(t, w.CatchUp(ctx))
		w.start()
	}
	random := rand.New(rand.NewPCG(5, 5))
	for round := range rounds {
		for _, name := range names {
			w := all[random.IntN(nodes)]
			must(t, w.CatchUp(ctx))
			must(t, w.RotateNow(ctx, core.Operator(), variable(name)))
		}
		if round%5 == 4 {
			w := all[random.IntN(nodes)]
			w.halt()
			w.start()
		}
		time.Sleep(20 * time.Millisecond)
	}
	at := all[1]
	for _, name := range names {
		at.eventually(name+" is idle", func() bool {
			must(t, at.CatchUp(ctx))
			s := at.status(name)
			return s.State == rotation.Idle && s.Holder == "" && s.RequestedAt.IsZero()
		})
		value := at.value(name)
		if value == "first-"+name || !first.model.works(name, value) {
			t.Errorf("the published value of %s does not work, or was never rotated", name)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d calls of targets", byNode)
	if overlaps > 0 || byNode < variables*rounds {
		t.Errorf("%d of %d calls overlap on one account", overlaps, byNode)
	}
}
