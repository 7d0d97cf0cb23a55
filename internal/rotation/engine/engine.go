// Package engine is the shell around the state machine of rotation: it looks for what
// is due, and contacts targets, many at once but not too many, each call within its
// time, so that one that hangs or panics harms no other.
//
// It promises: what is due is begun within a second, unless there is so much of it that
// it is spread on purpose; it costs next to nothing while nothing is due; what it was
// doing when it died is found again by the next engine, from the rows. It imports core,
// target, metrics and ident.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/metrics"
)

// Options are how much an engine may do at once.
type Options struct {
	Workers   int           // rotations at once
	PerTarget int           // of these, on one address
	StepTime  time.Duration // for one call of a target; over twice as much is the lease of core's limits
	Rate      float64       // rotations that begin in a second because their time has come
	Spread    time.Duration // over which those are spread that are overdue after a standstill, or over as long as it lasted
	Pause     time.Duration // of a rotation that could not be worked on for reasons of our own
	Log       *slog.Logger
	Metrics   *metrics.Metrics // may be nil
}

// Default are the usual options.
func Default(log *slog.Logger) Options {
	return Options{Workers: 32, PerTarget: 4, StepTime: 30 * time.Second, Rate: 200, Spread: 10 * time.Minute, Pause: 5 * time.Second, Log: log}
}

// Engine rotates what is due. Its Run does the work.
type Engine struct {
	core *core.Core
	o    Options
	pace pace
	last time.Time // for steps of the clock

	mu      sync.Mutex
	busy    map[ident.ID]bool     // not to be begun now
	running int                   // workers
	calls   map[string]int        // calls under way, hanging ones too, by address
	parked  map[string][]ident.ID // that wait for an address
	free    chan struct{}         // holds one signal: there may be room for more
	workers sync.WaitGroup        // not those that hang
}

// New makes an engine for a core.
func New(c *core.Core, o Options) *Engine {
	return &Engine{core: c, o: o, last: time.Now(), busy: map[ident.ID]bool{}, calls: map[string]int{}, parked: map[string][]ident.ID{}, free: make(chan struct{}, 1)}
}

// longestSleep bounds how late a step of the clock is noticed.
const longestSleep = time.Minute

// Run rotates until ctx ends, and waits until the steps under way are recorded.
func (e *Engine) Run(ctx context.Context) {
	e.spread()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			e.workers.Wait()
			return
		case <-timer.C:
		case <-e.core.RotationsChanged():
		case <-e.free:
		}
		e.followClock()
		timer.Reset(min(e.dispatch(ctx), longestSleep))
	}
}

// followClock derives the due list anew if the clock has stepped.
func (e *Engine) followClock() {
	now := time.Now()
	step := now.Round(0).Sub(e.last.Round(0)) - now.Sub(e.last)
	if e.last = now; step.Abs() > 2*time.Second {
		e.o.Log.Warn("the clock has stepped; the rotations are scheduled anew", "by", step)
		e.core.RescheduleRotations()
		e.spread()
	}
}

// spread sets the pace by what should have been begun before.
func (e *Engine) spread() {
	overdue, oldest := e.core.RotationBacklog(true)
	e.pace.start(overdue, oldest, e.o)
}

// dispatch begins what is due and there is room for, and tells when to look again.
func (e *Engine) dispatch(ctx context.Context) time.Duration {
	var begin []ident.ID
	wait := longestSleep
	e.mu.Lock()
	for _, scheduled := range [...]bool{false, true} {
		full := false
		next := e.core.DueRotations(scheduled, func(d core.DueRotation) bool {
			if e.busy[d.Variable] {
				return true
			}
			if e.running >= e.o.Workers {
				full = true // whoever ends gives a signal
				return false
			}
			if scheduled {
				if w := e.pace.wait(time.Now()); w > 0 {
					wait, full = min(wait, w), true
					return false
				}
			}
			e.busy[d.Variable] = true
			e.running++
			begin = append(begin, d.Variable)
			return true
		})
		if next >= 0 && !full {
			wait = min(wait, next)
		}
		if scheduled && !full {
			e.pace.start(0, 0, e.o) // what was overdue has begun
		}
	}
	e.mu.Unlock()
	for _, id := range begin {
		e.workers.Go(func() { e.work(ctx, id) })
	}
	return max(wait, time.Millisecond)
}

// taken is how long it takes until we look again at what somebody else was faster to
// claim or to change.
const taken = 50 * time.Millisecond

// work takes one rotation as far as it goes now.
func (e *Engine) work(ctx context.Context, id ident.ID) {
	defer e.o.Metrics.RotationBegins()()
	err := e.advance(ctx, id)
	e.mu.Lock()
	e.running--
	switch {
	case err == nil:
		delete(e.busy, id)
	case errors.Is(err, errParked):
	default:
		pause := e.o.Pause
		if errors.Is(err, core.ErrRotationTaken) {
			pause = min(pause, taken)
		}
		time.AfterFunc(pause, func() {
			e.mu.Lock()
			delete(e.busy, id)
			e.mu.Unlock()
			e.signal()
		})
	}
	e.mu.Unlock()
	if err != nil && ctx.Err() == nil && !errors.Is(err, core.ErrRotationTaken) && !errors.Is(err, errParked) {
		e.o.Log.Error("a rotation cannot go on", "variable", string(id), "error", err)
	}
	e.signal()
}

func (e *Engine) signal() {
	select {
	case e.free <- struct{}{}:
	default: // there is a signal already
	}
}

// advance runs a rotation until there is nothing left to do. When the engine ends, what
// the target may have heard of already is finished, if it does not take too long, since
// readers have the old value until then; the rest is left to the next engine.
func (e *Engine) advance(ctx context.Context, id ident.ID) error {
	durable := context.WithoutCancel(ctx)
	run, err := e.core.OpenRotation(durable, id)
	if err != nil {
		return err
	}
	address := run.Address()
	if !e.enter(address, id) {
		return errParked
	}
	leave := func() { e.leave(address) }
	defer func() { leave() }()
	if err := run.Begin(durable); err != nil {
		return err
	}
	var ending time.Time
	for {
		if ctx.Err() != nil {
			if ending.IsZero() {
				ending = time.Now()
			}
			if !run.Exposed() || time.Since(ending) > e.o.StepTime {
				return nil
			}
		}
		call, err := run.Call(durable)
		if call == nil || err != nil {
			return err
		}
		// If the lease ends, or has ended while this process stood still or waited for the
		// answer of a store that it was cut off from, another one may be at the target.
		within := min(e.o.StepTime, run.Lease()-e.o.overtime())
		if within <= 0 {
			return core.ErrRotationTaken
		}
		result, hangs := e.guard(ctx, within, call, leave)
		if hangs {
			leave = func() {} // when the call returns, it leaves
		}
		if err := run.Done(durable, result.made, result.err); err != nil {
			return err
		}
	}
}
