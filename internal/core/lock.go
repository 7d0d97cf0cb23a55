package core

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// gate lets one planner of the structure through at a time, until its changes are on
// their way, so that no two plans start from the same state.
type gate struct {
	turn     chan struct{} // full while somebody is inside
	patience time.Duration // how long a policy load waits for another one
}

func newGate() gate { return gate{turn: make(chan struct{}, 1), patience: 10 * time.Second} }

// enter waits its turn. Busy after too long a wait. leave must follow.
func (g gate) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return errGone(ctx)
	}
	select {
	case g.turn <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy()
	case <-ctx.Done():
		return errGone(ctx)
	}
}

func (g gate) leave() { <-g.turn }

func errBusy() error {
	return fault.New(fault.Busy, "Concurrent policy load in progress, please retry")
}

func errGone(ctx context.Context) error {
	return fault.Wrap(ctx.Err(), "the client has gone while its request waited for another policy load")
}

// locks keeps writers of the same row apart within this process; what other
// processes do is caught by the conditions of a set.
type locks [4096]sync.Mutex

var lockSeed = maphash.MakeSeed()

func (l *locks) lock(id ident.ID) (unlock func()) {
	m := &l[maphash.String(lockSeed, string(id))%uint64(len(l))]
	m.Lock()
	return m.Unlock
}
