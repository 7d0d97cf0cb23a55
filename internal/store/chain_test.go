package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

func chained(s *row.Set) *row.Set {
	s.Chained = true
	return s
}

func (r *rig) outcome(p *store.Pending) error { return p.Wait(ctx) }

// Given a chain of sets, the ones that build on a refused one are not stored, whether
// they share its transaction, wait in the queue or come later; a chain that begins
// anew is.
func TestWhatBuildsOnARefusedSetIsNotStored(t *testing.T) {
	r := newRig(t)
	first := r.submit(ctx, users("busy", 1))
	<-r.begun
	a, twice, same := chained(users("a", 1)), chained(users("a", 1)), chained(users("b", 1))
	one := r.committer.Enqueue(a, nil)
	two := r.committer.Enqueue(twice, one)
	three := r.committer.Enqueue(same, two)
	r.let <- nil
	if got := <-r.begun; !slices.Equal(got, []*row.Set{a, twice, same}) {
		t.Errorf("a chain is stored as %v", names(got))
	}
	waiting := r.committer.Enqueue(chained(users("c", 1)), three)
	r.let <- nil
	for _, p := range []*store.Pending{two, three, waiting} {
		if err := r.outcome(p); !errors.Is(err, store.ErrChanged) {
			t.Errorf("got %v", err)
		}
	}
	if err := r.outcome(r.committer.Enqueue(chained(users("d", 1)), waiting)); !errors.Is(err, store.ErrChanged) {
		t.Errorf("a set that builds on one that is known to be lost: %v", err)
	}
	fresh := chained(users("e", 1))
	last := r.committer.Enqueue(fresh, nil)
	<-r.begun
	r.let <- nil
	if err := errors.Join(<-first, r.outcome(one), r.outcome(last)); err != nil {
		t.Error(err)
	}
	r.isStored(users("busy", 1), a, fresh)
}

func TestAChainKeepsItsOrderAroundAHugeSet(t *testing.T) {
	r := newRig(t)
	first := r.submit(ctx, users("busy", 1))
	<-r.begun
	a, huge, b, alone := chained(users("a", 1)), chained(users("h", 5000)), chained(users("b", 1)), users("x", 1)
	one := r.committer.Enqueue(a, nil)
	two := r.committer.Enqueue(huge, one)
	three := r.committer.Enqueue(b, two)
	other := r.submitInTurn(ctx, alone)
	for _, want := range [][]*row.Set{{a, alone}, {huge}, {b}} {
		r.let <- nil
		if got := <-r.begun; !slices.Equal(got, want) {
			t.Errorf("a transaction of %v, want %v", names(got), names(want))
		}
	}
	r.let <- nil
	if err := errors.Join(<-first, r.outcome(one), r.outcome(two), r.outcome(three), <-other); err != nil {
		t.Error(err)
	}
}

func TestWhatBuildsOnAWithdrawnSetIsNotStored(t *testing.T) {
	r := newRig(t)
	first := r.submit(ctx, users("busy", 1))
	<-r.begun
	gone, cancel := context.WithCancel(ctx)
	cancel()
	one := r.committer.Enqueue(chained(users("a", 1)), nil)
	two := r.committer.Enqueue(chained(users("b", 1)), one)
	if err := one.Wait(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("the withdrawn set: %v", err)
	}
	r.let <- nil
	if err := r.outcome(two); !errors.Is(err, store.ErrChanged) {
		t.Errorf("the one that builds on it: %v", err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	r.isStored(users("busy", 1))
}

func TestAFailedTransactionBreaksItsChain(t *testing.T) {
	r := newRig(t)
	one := r.committer.Enqueue(chained(users("a", 1)), nil)
	<-r.begun
	two := r.committer.Enqueue(chained(users("b", 1)), one)
	broken := errors.New("the disk is full")
	r.let <- broken
	if err := r.outcome(one); err != broken {
		t.Errorf("got %v", err)
	}
	if err := r.outcome(two); !errors.Is(err, store.ErrChanged) {
		t.Errorf("got %v", err)
	}
	r.isStored()
}

// Given random chains on a real store, in which some sets fail and some are withdrawn:
// each chain is stored up to its first failure, and nothing of it after that.
func TestChainsAreStoredUpToTheirFirstFailure(t *testing.T) {
	s, err := sqlite.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := store.NewCommitter(s, func([]*row.Set) {})
	random := rand.New(rand.NewPCG(3, 3))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	cut := 0
	for chain := range 100 {
		var all []*store.Pending
		var last *store.Pending
		for i := range 1 + random.IntN(12) {
			size := 1
			if random.IntN(10) == 0 {
				size = 1500
			}
			set := chained(users(fmt.Sprintf("%d-%d-", chain, i), size))
			if random.IntN(12) == 0 {
				set.Require = append(set.Require, row.RoleExists{Role: "acme:user:none"})
			}
			last = c.Enqueue(set, last)
			all = append(all, last)
			if random.IntN(20) == 0 {
				_ = last.Wait(gone) // whether it came in time is seen below
			}
		}
		failed := false
		for i, p := range all {
			err := p.Wait(ctx)
			if failed && err == nil {
				t.Fatalf("chain %d: set %d was stored though one before it was not", chain, i)
			}
			failed = failed || err != nil
		}
		if failed {
			cut++
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Enqueue(users("late", 1), nil).Wait(ctx); err != store.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if cut < 10 || cut > 90 {
		t.Errorf("%d of 100 chains failed: too tame or too wild", cut)
	}
}
