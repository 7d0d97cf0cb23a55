package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/row"
	"rekey/internal/store"
)

// failpoints are the moments of a rotation at which something can go wrong: before and
// after each commit of a step, and before and after each effect on the target. They are
// counted from the beginning of the rotation.
type failpoints struct {
	mu    sync.Mutex
	armed bool
	at    int    // the one that fails; 0: none
	how   string // crash, error, hang or twice
	count int
	names []string
	dead  bool          // the node has crashed: nothing of it has an effect any more
	late  time.Duration // how long something hangs: longer than a step may take
}

var errFault = errors.New("injected")

// pass is a moment. It returns how it fails, if it is the one.
func (f *failpoints) pass(name string) (how string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return "crash", errGone
	}
	if !f.armed {
		return "", nil
	}
	f.count++
	f.names = append(f.names, name)
	if f.count != f.at {
		return "", nil
	}
	if f.how == "crash" {
		f.dead = true
		return "crash", errGone
	}
	return f.how, nil
}

func (f *failpoints) arm(at int, how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.at, f.how, f.count, f.names, f.dead = true, at, how, 0, nil, false
}

func (f *failpoints) revive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = false
}

// failing is a store with failpoints around the commits of rotations.
type failing struct {
	store.Store
	f *failpoints
}

func (s failing) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	step := ""
	for _, set := range sets {
		for _, change := range set.Changes {
			if r, ok := change.Row.(row.Rotation); ok {
				step = "commit of " + r.State
			}
		}
	}
	if step == "" {
		return s.Store.Commit(ctx, sets)
	}
	switch how, err := s.f.pass("before " + step); how {
	case "crash":
		return nil, err
	case "error":
		return nil, errFault
	case "hang":
		time.Sleep(s.f.late)
	case "twice":
		results, err := s.Store.Commit(ctx, sets)
		if err == nil { // the same set again: its conditions keep it out
			if again, err := s.Store.Commit(ctx, sets); err == nil && again[0] == nil {
				panic("a set was stored twice")
			}
		}
		return results, err
	}
	results, err := s.Store.Commit(ctx, sets)
	if err != nil {
		return results, err
	}
	switch how, failed := s.f.pass("after " + step); how {
	case "crash":
		return nil, failed // it is durable, and nobody is told
	case "hang":
		time.Sleep(s.f.late)
	}
	return results, nil
}

// hang is longer than a step may take.
const hang = 60 * time.Millisecond

// meet is a moment before or after a call of a target, whose failure it returns.
func (f *failpoints) meet(moment string) error {
	switch how, err := f.pass(moment); how {
	case "crash":
		return err
	case "error":
		return errFault // not classified, so it is not known what has happened
	case "hang":
		time.Sleep(f.late) // and then it goes on all the same, late
	case "twice":
		return errTwice
	}
	return nil
}

// calls puts failpoints around the calls of the target.
func (f *failpoints) calls(m *model) {
	m.gate = func(call, _ string) error { return f.meet("before " + call) }
	m.after = func(call, _ string) error { return f.meet("after " + call) }
}

// errTwice makes a target's call happen a second time.
var errTwice = errors.New("twice")

// TestEachFailpoint runs a rotation for each failpoint and each way in which it can fail. Until
// the end, some credential that is kept works on the target; the published one had worked
// before it was published; and everything comes to rest with a published one that works.
func TestEachFailpoint(t *testing.T) {
	for _, mode := range []string{"self", "admin", "issue", "survey", "mark"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			total, names := sweepOne(t, mode, 0, "")
			if total < 14 {
				t.Fatalf("only %d failpoints: %v", total, names)
			}
			swept := 0
			for at := 1; at <= total; at++ {
				for _, how := range []string{"crash", "error", "hang", "twice"} {
					passed, _ := sweepOne(t, mode, at, how)
					if t.Failed() || passed < at {
						t.Fatalf("failpoint %d (%s), %s: %d were passed", at, names[at-1], how, passed)
					}
					swept++
				}
			}
			t.Logf("%d failpoints in 4 ways each: %d of %d swept", total, swept, 4*total)
		})
	}
}

func sweepOne(t *testing.T, mode string, at int, how string) (int, []string) {
	w := newWorld(t)
	defer func() { w.close(); w.close = func() {} }()
	f := &failpoints{late: 2 * hang}
	w.wrap = func(s store.Store) store.Store { return failing{s, f} }
	w.options.StepTime = hang
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/mode: " + mode}})
	w.close()
	w.open()
	f.calls(w.model)
	w.handOver("password", "first")
	works := func(value string) bool { return w.model.works("password", value) }
	count, names := w.endure(f, at, how, func(when string) { w.kept(when, works) })
	published := w.value("password")
	w.model.mu.Lock()
	proved := w.model.account("password").logins[published]
	if left := len(w.model.account("password").keys); (mode == "survey" || mode == "mark") && how != "twice" && how != "hang" && left > 1 {
		t.Errorf("%d keys are left, and only one is known", left) // what happens late or twice is beyond what an intent can tell
	}
	w.model.mu.Unlock()
	if !w.model.works("password", published) || !proved {
		events, err := w.RotationHistory(ctx, core.Operator(), variable("password"))
		t.Errorf("%s, %s at %d: the published value works: %v, had worked: %v; %+v\n%+v %v\n%v", mode, how, at, w.model.works("password", published), proved, w.status("password"), events, err, names)
	}
	return count, names
}

// endure runs a rotation in which a failpoint fails, with a new node after a crash, and
// returns the failpoints that were passed. kept is asked now and then.
func (w *world) endure(f *failpoints, at int, how string, kept func(when string)) (int, []string) {
	w.Helper()
	f.arm(at, how)
	w.start()
	if how == "crash" {
		w.eventually("the node is dead", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.dead })
		w.close()
		f.mu.Lock()
		f.armed = false
		f.mu.Unlock()
		f.revive()
		w.open()
		kept("after the crash")
		w.start()
	}
	w.eventually(fmt.Sprintf("the rotation comes to rest after %s at %d", how, at), func() bool {
		kept("on the way")
		s := w.status("password")
		return s.State == rotation.Idle && s.Holder == "" && s.Rotation.Version >= 2
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.count, f.names
}

// kept tells whether the target accepts a credential that is durable.
func (w *world) kept(when string, works func(value string) bool) {
	w.Helper()
	// The candidate becomes current between two reads only if it works then: so look twice.
	for range 10 {
		for _, value := range w.credentials("password") {
			if works(value) {
				return
			}
		}
	}
	w.Errorf("%s, no credential that is kept works", when)
}
