package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"rekey/internal/row"
)

// maxBatch bounds the changes and conditions of the sets that share a transaction,
// so that none waits long for the others. A larger set goes alone.
const maxBatch = 2048

// Committer is the way to write to a Store: it gathers the sets that arrive while a
// transaction is being made durable into the next one. Where processes share the store,
// it waits a little for those who are about to come (see gather); elsewhere nobody waits
// for a timer.
type Committer struct {
	store    Store
	apply    func([]*row.Set)
	follower *follower // nil unless the store is shared
	observe  func(sets int, took time.Duration, err error)

	mu     sync.Mutex
	queue  []*Pending
	closed bool

	wake chan struct{} // holds one signal: the queue or closed has changed
	done chan struct{} // closed when the last set has been stored after Close
}

// Pending is a set on its way.
type Pending struct {
	c       *Committer
	set     *row.Set
	after   *Pending // that has to be stored before; nil if none has, or its outcome is known
	taken   bool
	settled chan struct{} // closed when the outcome is known
	err     error         // the outcome
}

// NewCommitter starts a committer for s, which stays the caller's to close. After
// each transaction apply gets the sets that it has stored, in their order, before
// any of the submitters returns: what they see in memory is what is durable. apply
// is called by one goroutine, once for each set. If it panics the process ends,
// because memory would no longer be what is durable.
func NewCommitter(s Store, apply func([]*row.Set)) *Committer {
	c := &Committer{store: s, apply: apply, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.run()
	return c
}

// Observe has f told of each transaction: how many sets it held, how long the store took,
// and how it failed as a whole. It is called before the first set is submitted.
func (c *Committer) Observe(f func(sets int, took time.Duration, err error)) { c.observe = f }

// Submit returns nil when set is durable and applied. Otherwise nothing of it was
// stored, and the error is the set's own (see Store.Commit), that of the whole
// transaction, ErrClosed, or ctx's if ctx ended before the set's turn came. Once it
// has come, Submit waits for the outcome however long that takes. The set must not
// be changed afterwards.
func (c *Committer) Submit(ctx context.Context, set *row.Set) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.Enqueue(set, nil).Wait(ctx)
}

// Enqueue is Submit for a chained set that was computed on top of another one, after,
// which may be on its way still: it is stored after that one, in the same transaction
// or a later one, and not at all if that one is not; then it is ErrChanged. after is
// nil for the first of a chain. Somebody has to Wait for the outcome.
func (c *Committer) Enqueue(set *row.Set, after *Pending) *Pending {
	sub := &Pending{c: c, set: set, after: after, settled: make(chan struct{})}
	c.mu.Lock()
	defer c.signal()
	defer c.mu.Unlock()
	if c.closed {
		sub.settle(ErrClosed)
		return sub
	}
	c.queue = append(c.queue, sub)
	return sub
}

// Wait returns the outcome, as Submit does. Whoever has enqueued the set calls it; it
// may withdraw the set.
func (p *Pending) Wait(ctx context.Context) error {
	select {
	case <-p.settled:
		return p.err
	case <-ctx.Done():
	}
	p.c.withdraw(p, ctx.Err())
	<-p.settled
	return p.err
}

// Settled is closed when the outcome is known, which Err returns from then on.
func (p *Pending) Settled() <-chan struct{} { return p.settled }

// Err is the outcome, when it is known.
func (p *Pending) Err() error { return p.err }

// settle makes the outcome known. The caller holds the committer's lock.
func (p *Pending) settle(err error) {
	p.err, p.after = err, nil
	close(p.settled)
}

// Close refuses new sets, waits until those that were submitted are stored, and
// ends the committer. It always returns nil.
func (c *Committer) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.done
	if c.follower != nil {
		c.follower.end()
	}
	return nil
}

func (c *Committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // there is a signal already
	}
}

// withdraw takes a set out of the queue, if it is still there.
func (c *Committer) withdraw(sub *Pending, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.queue, sub); i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
		sub.settle(err)
	}
}

// run is a goroutine of its own rather than the work of the first submitter,
// because a panic of apply in a submitter could be recovered, and go unnoticed.
func (c *Committer) run() {
	defer close(c.done)
	for {
		batch, closed := c.take()
		switch {
		case len(batch) > 0:
			took := c.commit(batch)
			// Those that were just woken, and others that are ready to run, may submit
			// before the next batch is taken; otherwise the first alone would be it.
			runtime.Gosched()
			if c.follower != nil {
				most := min(took, gatherLimit)
				came, _ := c.queued()
				c.gather(came+len(batch), most/2, most)
			}
		case closed:
			return
		default:
			<-c.wake
		}
	}
}

// gatherLimit is for how long a transaction of a shared store is put off at most, if the
// one before took longer than that.
const gatherLimit = 10 * time.Millisecond

// gather waits until there are enough: as many as were stored just now and have come
// meanwhile. A transaction of a shared store takes round trips, and all processes stand in
// one queue for it. So it is worth waiting for clients that have their answers now and soon
// write again, rather than to leave with the first of them and to make all others wait for
// the whole of that. Whoever is alone waits for nobody. It ends when nobody comes for a pause.
func (c *Committer) gather(enough int, pause, most time.Duration) {
	end := time.Now().Add(most)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		if n, closed := c.queued(); n >= enough || closed {
			return
		}
		select {
		case <-c.wake:
			timer.Reset(min(pause, time.Until(end)))
		case <-timer.C:
			return
		}
	}
}

func (c *Committer) queued() (n int, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue), c.closed
}

// errBroken settles what is chained to a set that was not stored.
var errBroken = fmt.Errorf("%w: a set that this one builds on was not stored", ErrChanged)

// take removes the next batch from the queue: the first set and all others that fit
// in beside it, so that small ones overtake a huge one, but only once. None overtakes
// one that it builds on.
func (c *Committer) take() (batch []*Pending, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size, rest := 0, c.queue[:0]
	for _, sub := range c.queue {
		n := len(sub.set.Changes) + len(sub.set.Require)
		switch before := sub.after; {
		case before != nil && before.failed():
			sub.settle(errBroken)
		case before != nil && !before.taken, len(batch) > 0 && size+n > maxBatch:
			rest = append(rest, sub)
		default:
			sub.taken = true
			batch, size = append(batch, sub), size+n
		}
	}
	clear(c.queue[len(rest):])
	c.queue = rest
	return batch, c.closed
}

// failed tells whether it is known that a set was not stored. The caller holds the
// committer's lock.
func (p *Pending) failed() bool {
	select {
	case <-p.settled:
		return p.err != nil
	default:
		return false
	}
}

// commit stores a batch and tells how long the store took.
func (c *Committer) commit(batch []*Pending) (took time.Duration) {
	sets := make([]*row.Set, len(batch))
	for i, sub := range batch {
		sets[i] = sub.set
	}
	began := time.Now()
	results, at, err := c.transact(sets)
	took = time.Since(began)
	if c.observe != nil {
		c.observe(len(sets), took, err)
	}
	if err != nil {
		results = slices.Repeat([]error{err}, len(batch))
	}
	accepted := sets[:0]
	for i, sub := range batch {
		if results[i] == nil {
			accepted = append(accepted, sub.set)
		}
	}
	switch {
	case c.follower != nil:
		// Whoever was refused looks again, at what others have stored meanwhile.
		failed := c.follower.settle(Entry{at, accepted}, slices.ContainsFunc(results, refused))
		for i := range results {
			if results[i] == nil {
				results[i] = failed
			}
		}
	case len(accepted) > 0:
		c.apply(accepted)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, sub := range batch {
		sub.settle(results[i])
	}
	return took
}

func refused(err error) bool { return errors.Is(err, ErrChanged) }

// transact stores sets. They are several callers', so no context of one of them applies.
func (c *Committer) transact(sets []*row.Set) (results []error, at Position, err error) {
	if c.follower != nil {
		return c.follower.commit(sets)
	}
	results, err = c.store.Commit(context.Background(), sets)
	return results, at, err
}
