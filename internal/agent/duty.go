package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rekey/internal/fault"
)

// duty is one thing that is done again and again.
type duty struct {
	name string
	// do does it once. next is when to do it again, if nothing wakes the duty before.
	do      func(ctx context.Context) (next time.Duration, err error)
	endless bool          // do goes on until something breaks
	wake    chan struct{} // full if it is to be done at once

	mutex sync.Mutex
	now   State
}

// State is how a duty stands.
type State struct {
	Name        string     `json:"name"`
	OK          bool       `json:"ok"` // the last attempt succeeded
	LastSuccess time.Time  `json:"last_success,omitzero"`
	Failures    int        `json:"failures,omitempty"` // since then
	Error       string     `json:"error,omitempty"`
	Next        time.Time  `json:"next,omitzero"`
	Failed      int        `json:"-"` // in all
	Kind        fault.Kind `json:"-"`
}

func newDuty(name string, do func(context.Context) (time.Duration, error)) *duty {
	return &duty{name: name, do: do, wake: make(chan struct{}, 1), now: State{Name: name}}
}

// rouse has the duty done at once.
func (d *duty) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *duty) state() State {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.now
}

// run does the duty until ctx is done, and calls after each time.
func (d *duty) run(ctx context.Context, log *slog.Logger, after func()) {
	for ctx.Err() == nil {
		next, err := d.do(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := d.note(next, err, log)
		after()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// note takes down how it went, and tells how long to wait.
func (d *duty) note(next time.Duration, err error, log *slog.Logger) time.Duration {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	s := &d.now
	if err == nil {
		if s.Failures > 0 {
			log.Info("a duty is done again", "duty", d.name, "failures", s.Failures)
		}
		*s = State{Name: d.name, OK: true, LastSuccess: time.Now(), Failed: s.Failed}
	} else {
		s.OK, s.Error, s.Kind = false, err.Error(), fault.KindOf(err)
		s.Failures++
		s.Failed++
		next = backoff(s.Failures, rand.Float64())
		log.Warn("a duty failed; what is there stays, and it is tried again", "duty", d.name, "failures", s.Failures,
			"error", err, "advice", advice(err), "again_in", next.Round(time.Millisecond))
	}
	next = max(next, shortest)
	s.Next = time.Now().Add(next)
	return next
}

func advice(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return known.Advice
	}
	return ""
}

const (
	firstBackoff   = 500 * time.Millisecond
	longestBackoff = 30 * time.Second
)

// backoff is how long to wait after a number of failures in a row: a random part of a
// time that doubles, so that many agents do not come back together. chance is in [0, 1).
func backoff(failures int, chance float64) time.Duration {
	most := longestBackoff
	if shift := failures - 1; shift < 16 {
		most = min(most, firstBackoff<<shift)
	}
	return time.Duration(chance * float64(most))
}
