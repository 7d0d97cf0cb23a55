package rbac

import (
	"sync"
	"testing"
)

// The discipline of a graph is that of a map: questions under a shared lock, changes
// and plans under an exclusive one. The race detector watches this test.
func TestManyReadersAndOneWriter(t *testing.T) {
	const readers, changes, questions = 4, 200, 2000
	var lock sync.RWMutex
	w := newWorld(1)
	g, o := New(), newOracle()
	g.limits = limits{small: 3, walk: 4, scan: 1, many: 1, few: 4}
	steps := 0
	for range 20 { // something to ask about
		o = w.planned(t, g, o, &steps)
		w.change(t, g, o)
	}
	o.view() // readers share it
	var reading sync.WaitGroup
	defer reading.Wait()
	for seed := range int64(readers) {
		reading.Go(func() {
			r := newWorld(seed)
			r.ids = w.ids
			for i := range questions {
				lock.RLock()
				err := r.ask(g, o)
				if i%100 == 0 {
					g.NewSearch()
				}
				lock.RUnlock()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range changes {
		func() {
			lock.Lock()
			defer lock.Unlock()
			o = w.planned(t, g, o, &steps)
			w.change(t, g, o)
			o.view()
		}()
	}
}
