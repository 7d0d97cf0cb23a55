package engine

import (
	"context"
	"errors"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rotation/target"
)

// errParked says that a rotation waits for its target.
var errParked = errors.New("there are enough calls of this target")

// enter takes a place at an address; without one the rotation waits for it.
func (e *Engine) enter(address string, id ident.ID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if address != "" && e.calls[address] >= e.o.PerTarget {
		e.parked[address] = append(e.parked[address], id)
		return false
	}
	e.calls[address]++
	return true
}

// leave gives a place back, and wakes those that wait for it.
func (e *Engine) leave(address string) {
	e.mu.Lock()
	if e.calls[address]--; e.calls[address] == 0 {
		delete(e.calls, address)
	}
	if waiting := e.parked[address]; len(waiting) > 0 {
		delete(e.busy, waiting[0])
		if e.parked[address] = waiting[1:]; len(waiting) == 1 {
			delete(e.parked, address)
		}
	}
	e.mu.Unlock()
	e.signal()
}

type result struct {
	made target.Credential
	err  error
}

// overtime is how long a call may go on after its context has ended.
func (o *Options) overtime() time.Duration { return min(time.Second, o.StepTime/2) }

// guard makes a call within its time. A panic is a failure of which it is not known what
// it left behind, as is a call that does not come back; the latter keeps its place at
// the target until it does.
func (e *Engine) guard(ctx context.Context, within time.Duration, call func(context.Context) (target.Credential, error), leave func()) (r result, hangs bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r = result{err: target.Errorf(target.Uncertain, nil, "the rotator has a defect: it panicked (%T)", p)}
			}
			done <- r
		}()
		r.made, r.err = call(ctx)
	}()
	timer := time.NewTimer(within + e.o.overtime())
	defer timer.Stop()
	select {
	case r := <-done:
		return r, false
	case <-timer.C:
		go func() {
			<-done
			leave()
		}()
		return result{err: target.Errorf(target.Uncertain, nil, "the rotator did not come back within %s", within.Round(time.Millisecond))}, true
	}
}

// pace spreads the beginnings of rotations that nobody waits for.
type pace struct {
	interval time.Duration
	next     time.Time
}

// burst is how long what was not used of the pace may be used later.
const burst = time.Second / 10

// start sets the pace for what is overdue: over the time in which it is to be spread, or
// that in which it has piled up if that is shorter, but not slower than one a second, nor
// faster than the rate.
func (p *pace) start(overdue int, oldest time.Duration, o Options) {
	fastest := time.Duration(float64(time.Second) / o.Rate)
	p.interval = fastest
	if overdue > 0 {
		p.interval = max(fastest, min(min(o.Spread, oldest)/time.Duration(overdue), time.Second))
	}
}

// wait is how long the next one has to wait; if it has not to, it is counted.
func (p *pace) wait(now time.Time) time.Duration {
	if w := p.next.Sub(now); w > 0 {
		return w
	}
	if oldest := now.Add(-burst); p.next.Before(oldest) {
		p.next = oldest
	}
	p.next = p.next.Add(p.interval)
	return 0
}
