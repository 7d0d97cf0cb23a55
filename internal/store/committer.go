package store

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"rekey/internal/row"
)

// maxBatch bounds the changes and conditions of the sets that share a transaction,
// so that none waits long for the others. A larger set goes alone.
const maxBatch = 2048

// Committer is the way to write to a Store: it gathers the sets that arrive while a
// transaction is being made durable into the next one. Nobody waits for a timer.
type Committer struct {
	store    Store
	apply    func([]*row.Set)
	follower *follower // nil unless the store is shared

	mu     sync.Mutex
	queue  []*submission
	closed bool

	wake chan struct{} // holds one signal: the queue or closed has changed
	done chan struct{} // closed when the last set has been stored after Close
}

// submission is a set on its way. err is set before done is closed.
type submission struct {
	set  *row.Set
	err  error
	done chan struct{}
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

// Submit returns nil when set is durable and applied. Otherwise nothing of it was
// stored, and the error is the set's own (see Store.Commit), that of the whole
// transaction, ErrClosed, or ctx's if ctx ended before the set's turn came. Once it
// has come, Submit waits for the outcome however long that takes. The set must not
// be changed afterwards.
func (c *Committer) Submit(ctx context.Context, set *row.Set) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sub := &submission{set: set, done: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.queue = append(c.queue, sub)
	c.mu.Unlock()
	c.signal()

	select {
	case <-sub.done:
		return sub.err
	case <-ctx.Done():
	}
	if c.withdraw(sub) {
		return ctx.Err()
	}
	<-sub.done
	return sub.err
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

// withdraw takes a submission out of the queue, if it is still there.
func (c *Committer) withdraw(sub *submission) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queue, sub)
	if i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
	}
	return i >= 0
}

// run is a goroutine of its own rather than the work of the first submitter,
// because a panic of apply in a submitter could be recovered, and go unnoticed.
func (c *Committer) run() {
	defer close(c.done)
	for {
		batch, closed := c.take()
		switch {
		case len(batch) > 0:
			c.commit(batch)
			// Those that were just woken, and others that are ready to run, may submit
			// before the next batch is taken; otherwise the first alone would be it.
			runtime.Gosched()
		case closed:
			return
		default:
			<-c.wake
		}
	}
}

// take removes the next batch from the queue: the first submission and all others
// that fit in beside it, so that small ones overtake a huge one, but only once.
func (c *Committer) take() (batch []*submission, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size, rest := 0, c.queue[:0]
	for i, sub := range c.queue {
		n := len(sub.set.Changes) + len(sub.set.Require)
		if i > 0 && size+n > maxBatch {
			rest = append(rest, sub)
			continue
		}
		batch, size = append(batch, sub), size+n
	}
	clear(c.queue[len(rest):])
	c.queue = rest
	return batch, c.closed
}

func (c *Committer) commit(batch []*submission) {
	sets := make([]*row.Set, len(batch))
	for i, sub := range batch {
		sets[i] = sub.set
	}
	results, at, err := c.transact(sets)
	accepted := sets[:0]
	for i, sub := range batch {
		switch {
		case err != nil:
			sub.err = err
		case results[i] != nil:
			sub.err = results[i]
		default:
			accepted = append(accepted, sub.set)
		}
	}
	switch {
	case c.follower != nil:
		// Whoever was refused looks again, at what others have stored meanwhile.
		if failed := c.follower.settle(Entry{at, accepted}, slices.ContainsFunc(results, refused)); failed != nil && err == nil {
			for _, sub := range batch {
				if sub.err == nil {
					sub.err = failed
				}
			}
		}
	case len(accepted) > 0:
		c.apply(accepted)
	}
	for _, sub := range batch {
		close(sub.done)
	}
}

func refused(err error) bool { return errors.Is(err, ErrChanged) }

// transact stores sets. They are several callers', so no context of one of them applies.
func (c *Committer) transact(sets []*row.Set) (results []error, at Position, err error) {
	if c.follower != nil {
		return c.follower.store.CommitAt(context.Background(), sets)
	}
	results, err = c.store.Commit(context.Background(), sets)
	return results, at, err
}
