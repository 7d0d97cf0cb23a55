package engine_test

import (
	"testing"
	"time"

	"rekey/internal/rotation"
	"rekey/internal/store"
)

// Given a process that dies in the middle of a rotation, with a lease of an hour, when the
// next one opens the store that nobody else can have, then it goes on at once; with a store
// that several processes share, it waits, because the other one may be alive.
func TestALeaseOutlivesItsProcessOnlyInASharedStore(t *testing.T) {
	for _, c := range []struct {
		name   string
		shared bool
	}{{"alone", false}, {"shared", true}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.limits.Lease = time.Hour
			f, known := &failpoints{}, &proofs{worked: map[string]bool{}}
			w.wrap = func(s store.Store) store.Store { return failing{s, f} }
			w.kinds[w.model.Name()] = exposed{w.model, f, known, false}
			w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
			w.close()
			w.open()
			w.handOver("password", "first")
			f.arm(6, "crash") // the target has the new value
			w.start()
			w.eventually("the node is dead", f.crashed)
			w.close()
			f.revive()
			if !c.shared {
				w.wrap = nil
			}
			w.open()
			w.start()
			if !c.shared {
				w.settles("password", rotation.Idle, 2)
				return
			}
			time.Sleep(100 * time.Millisecond)
			if s := w.status("password"); s.Holder != "node-2" || s.Rotation.Version != 1 {
				t.Errorf("the lease of another node was not honoured: %+v", s)
			}
			w.later(time.Hour)
			w.settles("password", rotation.Idle, 2)
		})
	}
}
