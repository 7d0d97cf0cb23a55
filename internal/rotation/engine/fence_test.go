package engine_test

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
)

// muted is a shared store whose answer to one transaction does not get through for as long
// as its process is cut off: the one by which it says that the target is to hear of a value.
type muted struct {
	store.Shared
	stored chan struct{} // closed when it is
	mended chan struct{} // closed when the answer gets through
	once   sync.Once
}

func (m *muted) CommitAt(during context.Context, mark [16]byte, sets []*row.Set) ([]error, store.Position, error) {
	results, at, err := m.Shared.CommitAt(during, mark, sets)
	for i, set := range sets {
		for _, c := range set.Changes {
			if w, ok := c.Row.(row.Rotation); ok && w.Sent && !w.Acked && err == nil && results[i] == nil {
				m.once.Do(func() {
					close(m.stored)
					<-m.mended
				})
			}
		}
	}
	return results, at, err
}

// Given a target on which an administrator sets passwords, and a node that is cut off from
// the database when it has just stored that the target is to get one: when another node
// has taken its lease over and has gone on, and the first one gets its answer, it leaves the
// target alone.
func TestANodeThatWasCutOffDoesNotActOnALostLease(t *testing.T) {
	url := postgrestest.Started(t, "fsync=off").Database(t)
	cut := &muted{stored: make(chan struct{}), mended: make(chan struct{})}
	first := newWorld(t)
	nodes := []*world{}
	for i := range 2 {
		w := &world{TB: t, model: first.model, kinds: first.kinds, dir: t.TempDir(), root: first.root, limits: rotation.DefaultLimits(), audit: &trail{},
			keep: func() (store.Store, error) { return postgres.Open(ctx, url) }, starts: 100 * i, options: engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))}
		w.limits.Lease, w.options.StepTime, w.options.Pause = 1500*time.Millisecond, 500*time.Millisecond, 10*time.Millisecond
		if i == 0 {
			w.wrap = func(s store.Store) store.Store { cut.Shared = s.(store.Shared); return cut }
		}
		w.open()
		t.Cleanup(func() { w.close() })
		nodes = append(nodes, w)
	}
	mend := sync.OnceFunc(func() { close(cut.mended) })
	t.Cleanup(mend)
	a, b := nodes[0], nodes[1]
	_, err := b.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	b.declare(map[string][]string{"v": {"rotation/ttl: P365D", "rotation/model/mode: admin"}})
	b.handOver("v", "one")
	must(t, a.CatchUp(ctx))
	a.start()
	select {
	case <-cut.stored:
	case <-time.After(20 * time.Second):
		t.Fatal("the first node does not begin")
	}
	b.start()
	b.settles("v", rotation.Idle, 2)
	must(t, b.RotateNow(ctx, core.Operator(), variable("v")))
	b.settles("v", rotation.Idle, 3)
	applies := func() int {
		first.model.mu.Lock()
		defer first.model.mu.Unlock()
		return first.model.accounts["v"].applies
	}
	before := applies()
	mend()
	time.Sleep(300 * time.Millisecond)
	must(t, a.CatchUp(ctx))
	a.halt()
	late := applies() - before
	if value := b.value("v"); late != 0 || !first.model.works("v", value) {
		t.Errorf("the target has heard of %d passwords of the node that had lost its lease; the published one works: %v", late, first.model.works("v", value))
	}
}
