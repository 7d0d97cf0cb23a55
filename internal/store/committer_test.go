package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

var ctx = context.Background()

// gate is a real store whose commits the test lets through one by one: each says on
// begun what it is about to store, and waits for an error or nil on let.
type gate struct {
	store.Store
	begun chan []*row.Set
	let   chan error
}

func (g *gate) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	g.begun <- slices.Clone(sets)
	if err := <-g.let; err != nil {
		return nil, err
	}
	return g.Store.Commit(ctx, sets)
}

// rig is a committer on a gated SQLite store, and what was applied.
type rig struct {
	*testing.T
	*gate
	committer *store.Committer

	mu      sync.Mutex
	applied []*row.Set
}

func newRig(t *testing.T) *rig {
	s, err := sqlite.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, gate: &gate{Store: s, begun: make(chan []*row.Set), let: make(chan error)}}
	r.committer = store.NewCommitter(r.gate, func(sets []*row.Set) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.applied = append(r.applied, sets...)
	})
	t.Cleanup(func() {
		if err := errors.Join(r.committer.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// submit submits in the background; the channel gets the outcome.
func (r *rig) submit(ctx context.Context, s *row.Set) <-chan error {
	outcome := make(chan error, 1)
	go func() { outcome <- r.committer.Submit(ctx, s) }()
	return outcome
}

// submitInTurn submits while a transaction is under way and returns when the set is
// in the queue.
func (r *rig) submitInTurn(ctx context.Context, s *row.Set) <-chan error {
	before := store.Queued(r.committer)
	outcome := r.submit(ctx, s)
	for store.Queued(r.committer) == before {
	}
	return outcome
}

func (r *rig) wasApplied(want ...*row.Set) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.applied, want) {
		r.Errorf("applied %v, want %v", names(r.applied), names(want))
	}
}

func (r *rig) isStored(want ...*row.Set) {
	r.Helper()
	var roles, wanted []string
	if err := r.Load(ctx, func(r row.Row) error { roles = append(roles, string(r.(row.Role).ID)); return nil }); err != nil {
		r.Fatal(err)
	}
	for _, s := range want {
		for _, change := range s.Changes {
			wanted = append(wanted, string(change.Row.(row.Role).ID))
		}
	}
	slices.Sort(wanted)
	if !slices.Equal(roles, wanted) {
		r.Errorf("stored %v, want %v", roles, wanted)
	}
}

func names(sets []*row.Set) (names []string) {
	for _, s := range sets {
		names = append(names, string(s.Changes[0].Row.(row.Role).ID))
	}
	return names
}

// user is a set of n roles.
func users(name string, n int) *row.Set {
	s := &row.Set{}
	for i := range n {
		s.Add(row.Insert, row.Role{ID: ident.New("acme", "user", fmt.Sprintf("%s%d", name, i))})
	}
	return s
}

func TestSubmitsDuringATransactionShareTheNext(t *testing.T) {
	r := newRig(t)
	a, b, c := users("a", 1), users("b", 1), users("c", 1)
	first := r.submit(ctx, a)
	if got := <-r.begun; !slices.Equal(got, []*row.Set{a}) {
		t.Errorf("an uncontended set commits with %v", names(got))
	}
	second, third := r.submitInTurn(ctx, b), r.submitInTurn(ctx, c)
	r.wasApplied()
	r.let <- nil
	if err := <-first; err != nil {
		t.Error(err)
	}
	r.wasApplied(a)
	if got := <-r.begun; !slices.Equal(got, []*row.Set{b, c}) {
		t.Errorf("the next transaction has %v", names(got))
	}
	r.let <- nil
	if err := errors.Join(<-second, <-third); err != nil {
		t.Error(err)
	}
	r.wasApplied(a, b, c)
	r.isStored(a, b, c)
}

func TestARefusedSetIsNotAppliedAndHarmsNoOther(t *testing.T) {
	r := newRig(t)
	a, twice, b := users("a", 1), users("a", 1), users("b", 1)
	first := r.submit(ctx, a)
	<-r.begun
	second, third := r.submitInTurn(ctx, twice), r.submitInTurn(ctx, b)
	r.let <- nil
	<-r.begun
	r.let <- nil
	if err := <-second; !errors.Is(err, store.ErrChanged) {
		t.Errorf("the refused set: %v", err)
	}
	if err := errors.Join(<-first, <-third); err != nil {
		t.Error(err)
	}
	r.wasApplied(a, b)
}

func TestAFailedTransactionFailsAllItsSets(t *testing.T) {
	r := newRig(t)
	a, b, c := users("a", 1), users("b", 1), users("c", 1)
	first := r.submit(ctx, a)
	<-r.begun
	second, third := r.submitInTurn(ctx, b), r.submitInTurn(ctx, c)
	r.let <- nil
	<-r.begun
	broken := errors.New("the disk is gone")
	r.let <- broken
	if err2, err3 := <-second, <-third; err2 != broken || err3 != broken {
		t.Errorf("got %v and %v", err2, err3)
	}
	again := r.submit(ctx, b)
	<-r.begun
	r.let <- nil
	if err := errors.Join(<-first, <-again); err != nil {
		t.Error(err)
	}
	r.wasApplied(a, b)
	r.isStored(a, b)
}

func TestAContextEndsTheWaitOnlyInTheQueue(t *testing.T) {
	r := newRig(t)
	a, b, c := users("a", 1), users("b", 1), users("c", 1)
	taken, cancelTaken := context.WithCancel(ctx)
	queued, cancelQueued := context.WithCancel(ctx)
	first := r.submit(taken, a)
	<-r.begun
	second, third := r.submitInTurn(queued, b), r.submitInTurn(ctx, c)

	cancelQueued()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the queued set: %v", err)
	}
	cancelTaken()
	select {
	case err := <-first:
		t.Errorf("told %v before the outcome was known", err)
	default:
	}
	r.let <- nil
	if err := <-first; err != nil {
		t.Errorf("the stored set: %v", err)
	}
	if got := <-r.begun; !slices.Equal(got, []*row.Set{c}) {
		t.Errorf("the next transaction has %v", names(got))
	}
	r.let <- nil
	if err := <-third; err != nil {
		t.Error(err)
	}
	if err := r.committer.Submit(queued, b); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended before: %v", err)
	}
	r.wasApplied(a, c)
	r.isStored(a, c)
}

func TestAHugeSetGoesAloneAndSmallOnesOvertakeItOnce(t *testing.T) {
	r := newRig(t)
	a, b, huge, c, d := users("a", 1), users("b", 1), users("h", 5000), users("c", 1), users("d", 1)
	outcomes := []<-chan error{r.submit(ctx, a)}
	<-r.begun
	for _, s := range []*row.Set{b, huge, c} {
		outcomes = append(outcomes, r.submitInTurn(ctx, s))
	}
	for _, want := range [][]*row.Set{{b, c}, {huge}, {d}} {
		r.let <- nil
		if got := <-r.begun; !slices.Equal(got, want) {
			t.Errorf("a transaction of %v, want %v", names(got), names(want))
		}
		if want[0] == b {
			outcomes = append(outcomes, r.submitInTurn(ctx, d))
		}
	}
	r.let <- nil
	for _, outcome := range outcomes {
		if err := <-outcome; err != nil {
			t.Error(err)
		}
	}
	r.wasApplied(a, b, c, huge, d)
}

func TestCloseDrains(t *testing.T) {
	r := newRig(t)
	a, b := users("a", 1), users("b", 1)
	first := r.submit(ctx, a)
	<-r.begun
	second := r.submitInTurn(ctx, b)
	closed := make(chan error, 1)
	go func() { closed <- r.committer.Close() }()
	for !store.Closed(r.committer) {
	}
	if err := r.committer.Submit(ctx, users("late", 1)); err != store.ErrClosed {
		t.Errorf("a late set: %v", err)
	}
	r.let <- nil
	<-r.begun
	select {
	case <-closed:
		t.Error("Close did not wait for the queue")
	default:
	}
	r.let <- nil
	if err := errors.Join(<-first, <-second, <-closed); err != nil {
		t.Error(err)
	}
	r.isStored(a, b)
}

// TestAPanicOfApplyEndsTheProcess runs itself in a child process, whose submitter
// recovers everything, as HTTP handlers do.
func TestAPanicOfApplyEndsTheProcess(t *testing.T) {
	if dir := os.Getenv("REKEY_TEST_PANIC_DIR"); dir != "" {
		s, err := sqlite.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := store.NewCommitter(s, func([]*row.Set) { panic("memory is not what is durable") })
		func() {
			defer func() { recover() }()
			err = c.Submit(ctx, users("a", 1))
		}()
		fmt.Println("went on with", err)
		os.Exit(0)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestAPanicOfApplyEndsTheProcess$")
	child.Env = append(os.Environ(), "REKEY_TEST_PANIC_DIR="+t.TempDir())
	output, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "panic: memory is not what is durable") {
		t.Errorf("the child ended with %v:\n%s", err, output)
	}
}

func TestManySubmitters(t *testing.T) {
	s, err := sqlite.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	memory := map[row.Row]int{} // written by the committer alone, read after Close
	c := store.NewCommitter(s, func(sets []*row.Set) {
		for _, set := range sets {
			memory[set.Changes[0].Row]++
		}
	})
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for i := range 16 {
		wg.Go(func() {
			for j := range 100 {
				set := users(fmt.Sprintf("%d-", (i*7+j)%800), 1) // each name is submitted twice
				ctx, cancel := context.WithCancel(ctx)
				if j%10 == 0 {
					go cancel()
				}
				switch err := c.Submit(ctx, set); {
				case err == nil:
					mu.Lock()
					accepted++
					mu.Unlock()
				case !errors.Is(err, store.ErrChanged) && !errors.Is(err, context.Canceled):
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	stored := 0
	if err := s.Load(ctx, func(r row.Row) error {
		stored++
		if memory[r] != 1 {
			t.Errorf("%v was stored, but applied %d times", r, memory[r])
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if stored != accepted || stored != len(memory) {
		t.Errorf("%d stored, %d acknowledged, %d in memory", stored, accepted, len(memory))
	}
}

func BenchmarkSubmitWithoutDisk(b *testing.B) {
	for _, submitters := range []int{1, 16} {
		b.Run(fmt.Sprint(submitters), func(b *testing.B) {
			c := store.NewCommitter(nothing{}, func([]*row.Set) {})
			defer c.Close()
			set := users("a", 1)
			b.SetParallelism(submitters)
			if submitters == 1 {
				for b.Loop() {
					c.Submit(ctx, set)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.Submit(ctx, set)
				}
			})
		})
	}
}

// nothing accepts everything.
type nothing struct{ store.Store }

func (nothing) Commit(_ context.Context, sets []*row.Set) ([]error, error) {
	return make([]error, len(sets)), nil
}
