package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

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
	hit   bool          // it has failed
	dead  bool          // the node has crashed: nothing of it has an effect any more
	late  time.Duration // how long something hangs: longer than a step may take

	calls sync.WaitGroup // of targets that are under way, also those that nobody waits for
}

// ways are those in which a moment can fail. A call is made twice, or a set stored twice, at
// the one before it. A store that fails has stored nothing, so there is no error after a
// commit; that nobody is told of one is the crash.
func ways(name string) []string {
	switch {
	case strings.HasPrefix(name, "before "):
		return []string{"crash", "error", "hang", "twice"}
	case strings.HasPrefix(name, "after commit "):
		return []string{"crash", "hang"}
	}
	return []string{"crash", "error", "hang"}
}

// enter counts a call of a target until it is left.
func (f *failpoints) enter() (leave func()) {
	f.calls.Add(1)
	return f.calls.Done
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
	f.hit = true
	if f.how == "crash" {
		f.dead = true
		return "crash", errGone
	}
	return f.how, nil
}

func (f *failpoints) arm(at int, how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.at, f.how, f.count, f.names, f.hit, f.dead = true, at, how, 0, nil, false, false
}

// disarm ends the counting, and gives what was met: the moments, and whether one failed.
func (f *failpoints) disarm() (names []string, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.names, f.hit
}

func (f *failpoints) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

func (f *failpoints) crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *failpoints) revive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.dead = false, false
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

// errTwice makes a target's call happen a second time.
var errTwice = errors.New("twice")
