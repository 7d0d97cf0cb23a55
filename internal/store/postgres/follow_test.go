package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
)

// replica is a process as the store sees it: a committer and a memory, which here is all
// that was applied, in its order.
type replica struct {
	*store.Committer
	counted *counted

	mu      sync.Mutex
	applied []store.Entry
	reloads int
}

// counted is a store that counts looks at the log, and can be made slow.
type counted struct {
	*postgres.Store
	looks atomic.Int64
	slow  time.Duration
}

func (c *counted) Follow(ctx context.Context, after store.Position) ([]store.Entry, bool, error) {
	c.looks.Add(1)
	entries, more, err := c.Store.Follow(ctx, after)
	time.Sleep(c.slow)
	return entries, more, err
}

func newReplica(t *testing.T, url string) *replica {
	t.Helper()
	r := &replica{counted: &counted{Store: open(t, url)}}
	at, err := r.counted.LoadAt(ctx, func(row.Row) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	r.Committer = store.NewFollowing(r.counted, at, store.Memory{
		Apply: func(e store.Entry) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.applied = append(r.applied, e)
		},
		Reload: func(ctx context.Context) (store.Position, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reloads++
			return r.counted.LoadAt(ctx, func(row.Row) error { return nil })
		},
	})
	t.Cleanup(func() {
		if err := errors.Join(r.Close(), r.counted.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *replica) has(id row.Role) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.applied {
		for _, s := range e.Sets {
			if s.Changes[0].Row == row.Row(id) {
				return true
			}
		}
	}
	return false
}

// Given replicas that write and catch up all the time: after each acknowledgement every
// other one has the change when it has caught up, all apply the same history, each entry
// once, and a replica's own sets are the very ones that were submitted.
func TestReplicasApplyOneHistory(t *testing.T) {
	const replicas, each = 3, 60
	url := server.Database(t)
	var all []*replica
	for range replicas {
		all = append(all, newReplica(t, url))
	}
	var mu sync.Mutex
	submitted := map[*row.Set]int{} // by whom
	var wg sync.WaitGroup
	for i, r := range all {
		for w := range 2 {
			wg.Go(func() {
				for n := range each {
					u := user(fmt.Sprintf("%d-%d-%d", i, w, n))
					s := inserts(u)
					mu.Lock()
					submitted[s] = i
					mu.Unlock()
					if err := r.Submit(ctx, s); err != nil {
						t.Error(err)
						return
					}
					other := all[(i+1+n%2)%replicas]
					if err := other.CatchUp(ctx); err != nil {
						t.Error(err)
					}
					if !other.has(u) {
						t.Errorf("%s was acknowledged, and another replica does not have it", u.ID)
					}
				}
			})
		}
	}
	wg.Wait()
	recognized := make([]int, replicas)
	for i, r := range all {
		if err := r.CatchUp(ctx); err != nil {
			t.Fatal(err)
		}
		sets := 0
		for n, e := range r.applied {
			if e.At.Number != int64(n+1) || e.At != all[0].applied[n].At {
				t.Fatalf("replica %d: entry %d is %v", i, n, e.At)
			}
			sets += len(e.Sets)
			for _, s := range e.Sets {
				if by, mine := submitted[s]; mine && by == i {
					recognized[i]++
				}
			}
		}
		if sets != replicas*2*each {
			t.Errorf("replica %d has applied %d sets", i, sets)
		}
		if recognized[i] != 2*each {
			t.Errorf("replica %d has recognized %d of its %d sets", i, recognized[i], 2*each)
		}
	}
}

// Who comes while a look at the log is under way waits for the next one, which all share.
func TestThoseWhoWaitShareALookThatBeginsAfterThey(t *testing.T) {
	url := server.Database(t)
	a, b := newReplica(t, url), newReplica(t, url)
	a.counted.slow = 100 * time.Millisecond
	first := make(chan error, 1)
	go func() { first <- a.CatchUp(ctx) }()
	for a.counted.looks.Load() == 0 {
	}
	time.Sleep(50 * time.Millisecond) // the look has seen the log by now
	late := user("late")
	if err := b.Submit(ctx, inserts(late)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := a.CatchUp(ctx); err != nil || !a.has(late) {
				t.Errorf("%v, has the change: %v", err, a.has(late))
			}
		})
	}
	wg.Wait()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := a.counted.looks.Load(); n > 4 {
		t.Errorf("%d looks for 51 who waited", n)
	}
}

func TestAReplicaThatCannotFollowReloads(t *testing.T) {
	url := server.Database(t)
	a, b := newReplica(t, url), newReplica(t, url)
	for i := range 20 {
		if err := b.Submit(ctx, inserts(user(fmt.Sprint(i)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := postgres.TrimTo(b.counted.Store, 1, 1, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := a.CatchUp(ctx); err != nil || a.reloads != 1 {
		t.Errorf("%v, %d reloads", err, a.reloads)
	}
	if err := b.Submit(ctx, inserts(user("more"))); err != nil {
		t.Fatal(err)
	}
	if err := a.CatchUp(ctx); err != nil || a.reloads != 1 || !a.has(user("more")) {
		t.Errorf("and then: %v, %d reloads", err, a.reloads)
	}
	// What a refused set was computed on is there when it is looked at again.
	refused := inserts(user("more"))
	if err := a.Submit(ctx, inserts(user("x"))); err != nil {
		t.Fatal(err)
	}
	if err := b.Submit(ctx, inserts(user("y"))); err != nil {
		t.Fatal(err)
	}
	if err := a.Submit(ctx, refused); !errors.Is(err, store.ErrChanged) || !a.has(user("y")) {
		t.Errorf("%v, has what others have stored: %v", err, a.has(user("y")))
	}
	// Nobody has seen more than there is, unless a failover has lost it.
	ahead := inserts(user("z"))
	ahead.Chained, ahead.Base = true, 1000
	if err := a.Submit(ctx, ahead); !errors.Is(err, store.ErrChanged) {
		t.Errorf("a set that was computed on what is lost: %v", err)
	}
}
