package store

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"sync"
	"time"

	"rekey/internal/fault"
	"rekey/internal/row"
)

// Memory is what a process keeps in memory of a Shared store.
type Memory struct {
	// Apply takes in the next transaction of the history. It is called for one after the
	// other, and ends the process if it panics.
	Apply func(Entry)
	// Reload replaces the memory by what LoadAt returns, because the log does not reach
	// back far enough.
	Reload func(context.Context) (Position, error)
}

// NewFollowing starts a committer for a store that other processes write to as well.
// at is the position that the memory is at. What this process stores and what the others
// store goes into the memory in the one order that the store has for it.
func NewFollowing(s Shared, at Position, memory Memory) *Committer {
	c := &Committer{store: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.follower = &follower{store: s, memory: memory, at: at, fresh: time.Now()}
	go c.run()
	return c
}

// CatchUp returns when the memory has everything that was acknowledged, by any process,
// before it was called. Those who wait share a query that begins after they came. For a
// store that is not shared there is nothing to do.
func (c *Committer) CatchUp(ctx context.Context) error {
	if c.follower == nil {
		return nil
	}
	return c.follower.catchUp(ctx)
}

// Fresh is the moment up to which the memory is known to have everything that was
// acknowledged; for a store that is not shared it is now.
func (c *Committer) Fresh() time.Time {
	if c.follower == nil {
		return time.Now()
	}
	c.follower.mu.Lock()
	defer c.follower.mu.Unlock()
	return c.follower.fresh
}

// follower keeps a memory up to date with a shared store.
type follower struct {
	store  Shared
	memory Memory

	applying sync.Mutex // held while the memory is changed
	at       Position   // of the memory

	mu      sync.Mutex
	own     *own   // transaction of this process that is under way; nil if none is
	waiting *query // who waits for the query that has not begun yet; nil if nobody does
	running bool
	fresh   time.Time
	queries sync.WaitGroup
}

// own is a transaction of this process. Others may read in the log that it was stored
// before this process has its answer.
type own struct {
	mark  [16]byte
	known chan struct{} // closed when the outcome is known
	sets  []*row.Set    // that it has stored; nil if that did not become known
}

// begin says that a transaction is under way.
func (f *follower) begin(mark [16]byte) *own {
	o := &own{mark: mark, known: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own = o
	return o
}

// commit stores sets.
func (f *follower) commit(sets []*row.Set) ([]error, Position, error) {
	var mark [16]byte
	if _, err := rand.Read(mark[:]); err != nil {
		return nil, Position{}, err
	}
	o := f.begin(mark)
	defer close(o.known)
	results, at, err := f.store.CommitAt(context.Background(), mark, sets)
	if err == nil {
		for i, set := range sets {
			if results[i] == nil {
				o.sets = append(o.sets, set)
			}
		}
	}
	return results, at, err
}

// answerPatience is how long who has read of a transaction waits for its answer.
const answerPatience = time.Second

// recognize returns an entry with the very sets that this process has stored, if it is
// of a transaction under way whose answer comes soon.
func (f *follower) recognize(e Entry) Entry {
	f.mu.Lock()
	o := f.own
	f.mu.Unlock()
	if o != nil && o.mark == e.At.Mark {
		select {
		case <-o.known:
			if o.sets != nil {
				e.Sets = o.sets
			}
		case <-time.After(answerPatience):
		}
	}
	return e
}

// query is one look at the log that several wait for. err is set before done is closed.
type query struct {
	done chan struct{}
	err  error
}

func (f *follower) catchUp(ctx context.Context) error {
	f.mu.Lock()
	if f.waiting == nil {
		f.waiting = &query{done: make(chan struct{})}
		if !f.running {
			f.running = true
			f.queries.Go(f.run)
		}
	}
	q := f.waiting
	f.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is a goroutine of its own while anybody waits, so that a panic of Apply ends the
// process.
func (f *follower) run() {
	for {
		runtime.Gosched() // those who are about to wait share this query
		f.mu.Lock()
		q := f.waiting
		f.waiting, f.running = nil, q != nil
		f.mu.Unlock()
		if q == nil {
			return
		}
		q.err = f.look()
		close(q.done)
	}
}

// look brings the memory up to what is stored now, and notes of when that is.
func (f *follower) look() error {
	current, err := f.store.Current(context.Background())
	if err != nil {
		return err
	}
	if err := f.pull(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fresh = current
	return nil
}

// pull brings the memory up to what is stored now.
func (f *follower) pull() error {
	for {
		f.applying.Lock()
		at := f.at
		f.applying.Unlock()
		entries, more, err := f.store.Follow(context.Background(), at)
		if errors.Is(err, ErrBehind) {
			if err := f.reload(at); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			f.advance(f.recognize(e))
		}
		if !more {
			return nil
		}
	}
}

// advance takes in an entry if it is the next one. It returns whether the memory has it
// now.
func (f *follower) advance(e Entry) bool {
	f.applying.Lock()
	defer f.applying.Unlock()
	if e.At.Number == f.at.Number+1 {
		f.memory.Apply(e)
		f.at = e.At
	}
	return e.At.Number <= f.at.Number
}

// reload loads everything again, unless somebody has moved on from a position meanwhile.
func (f *follower) reload(from Position) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	if f.at != from {
		return nil
	}
	at, err := f.memory.Reload(context.Background())
	if err == nil {
		f.at = at
	}
	return err
}

// settlePatience is how long the log is waited for after a transaction was stored.
const settlePatience = time.Minute

// settle takes in a transaction of this process, and what others have stored before it.
func (f *follower) settle(e Entry, look bool) error {
	if e.At.Number == 0 && !look || e.At.Number > 0 && f.advance(e) && !look {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
	defer cancel()
	for {
		err := f.catchUp(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return &fault.Error{Kind: fault.Unavailable, Cause: err, Log: err.Error(),
				Message: "the change was stored, but this server cannot read what was stored before it",
				Advice:  "look what is there before you try again"}
		}
		time.Sleep(100 * time.Millisecond) // the store has waited already
	}
}

// end waits for a query that is under way.
func (f *follower) end() { f.queries.Wait() }
