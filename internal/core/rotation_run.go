package core

import (
	"context"
	"errors"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// RotationRun is one worker's work on a rotation. Its caller contacts the target, so
// that it can bound the time of that; everything else happens here. No transaction of
// the store is open meanwhile, and every step is durable before the next begins.
type RotationRun struct {
	c        *Core
	id       ident.ID
	actor    ident.ID // who asked for it; empty: nobody
	settings rotation.Settings
	names    map[string]ident.ID // of the credential's values; rotated variable's own under target.Main
	target   target.Target
	surveyor target.Surveyor // nil unless the target has to be surveyed
	identity string
	resets   bool
	problem  *target.Error
	current  target.Credential
	slots    map[row.Slot]target.Credential // as far as they are known
	run      rotation.Run
	do       rotation.Action
	started  time.Time
}

// ErrRotationTaken says that a rotation is not, or not any more, this worker's.
var ErrRotationTaken = errors.New("another worker has the rotation, or it is gone")

// OpenRotation reads what working on a rotation needs, and claims nothing yet.
// ErrRotationTaken if the variable does not rotate any more.
func (c *Core) OpenRotation(ctx context.Context, id ident.ID) (*RotationRun, error) {
	if err := c.committer.CatchUp(ctx); err != nil { // with what other nodes have declared
		return nil, unavailable(err, "catching up")
	}
	r := &RotationRun{c: c, id: id, slots: map[row.Slot]target.Credential{}, started: c.now()}
	err := r.bind(ctx)
	if fault.Is(err, fault.NotFound) {
		err = ErrRotationTaken
	}
	return r, err
}

// Exposed tells whether the target may have a candidate that is not published.
func (r *RotationRun) Exposed() bool { return r.run.Row.Sent }

// Lease is for how long no other worker may contact the target, by the clock on the wall,
// as leases go.
func (r *RotationRun) Lease() time.Duration {
	return r.run.Row.LeaseUntil.Round(0).Sub(r.c.now().Round(0))
}

// Address is that of the target, which must not be contacted too often at once.
func (r *RotationRun) Address() string {
	address, _, _ := strings.Cut(r.identity, " ")
	return address
}

// Begin claims the rotation, if there is something to do for it; else there is nothing
// to call. ErrRotationTaken if another worker was faster.
func (r *RotationRun) Begin(ctx context.Context) error {
	r.actor = r.run.Row.RequestedBy
	if err := r.record(ctx, rotation.Event{What: rotation.Begin}, nil); err != nil {
		return err
	}
	if r.do.Do == rotation.Rest {
		r.c.mu.Lock()
		r.c.schedule(r.id, r.c.now()) // a window may have been missed since it was put into the list
		r.c.mu.Unlock()
	}
	return r.proceed(ctx)
}

// Call is the next call of the target; nil if there is nothing left to do. It takes no
// part in the run's state, so that a call that never returns can be left behind.
func (r *RotationRun) Call(ctx context.Context) (func(context.Context) (target.Credential, error), error) {
	do, t := r.do, r.target
	var base, next target.Credential
	var err error
	if do.Do == rotation.Rest {
		return nil, nil
	}
	if do.Slot == "" {
		do.Slot = rotation.Current
	}
	if base, err = r.credential(ctx, do.Slot); err != nil {
		return nil, err
	}
	current := r.current
	if do.Do == rotation.Apply && r.run.Row.Candidate {
		if next, err = r.credential(ctx, row.Candidate); err != nil {
			return nil, err
		}
	}
	surveyor, intent := r.surveyor, do.Slot != rotation.Current && !issued(base)
	return func(ctx context.Context) (target.Credential, error) {
		switch do.Do {
		case rotation.Plan:
			return surveyor.Survey(ctx, current)
		case rotation.Apply:
			return t.Apply(ctx, base, next)
		case rotation.SetBack:
			return t.Apply(ctx, base, current)
		case rotation.Retire:
			if intent {
				return nil, nil
			}
			return nil, t.Retire(ctx, current, base)
		}
		if intent {
			return nil, target.Errorf(target.AuthFailed, nil, "no new credential has been received")
		}
		return nil, t.Probe(ctx, base)
	}, nil
}

// issued tells a credential from an intent, which no target can accept.
func issued(c target.Credential) bool { return c[target.Main].Len() > 0 }

// Done records how the call ended, and does what needs no target up to the next call.
func (r *RotationRun) Done(ctx context.Context, made target.Credential, failed error) error {
	e := rotation.Event{Slot: r.do.Slot, Err: classified(failed)}
	var filled target.Credential
	switch r.do.Do {
	case rotation.Plan:
		e.What = rotation.Planning
		if e.Err == nil {
			filled = made
		}
		e.Filled = filled != nil
	case rotation.Apply:
		e.What = rotation.Applied
		if e.Err == nil && !issued(made) {
			e.Err = target.Errorf(target.Uncertain, nil, "the rotator has issued no credential")
		}
		if e.Err == nil && !made.Equal(r.slots[row.Candidate]) {
			filled = made
		}
		e.Filled = filled != nil
	case rotation.SetBack:
		e.What = rotation.Restored
	case rotation.Retire:
		e.What = rotation.Retired
	default:
		e.What = rotation.Probed
	}
	if err := r.record(ctx, e, filled); err != nil {
		return err
	}
	return r.proceed(ctx)
}

// proceed takes the steps that need no target.
func (r *RotationRun) proceed(ctx context.Context) error {
	for {
		var e rotation.Event
		var made target.Credential
		switch r.do.Do {
		case rotation.Plan:
			if r.surveyor != nil {
				return nil
			}
			e.What = rotation.Planning
			var err error
			made, err = contained(func() (target.Credential, error) { return r.target.Candidate(r.current) })
			e.Err, e.Filled = classified(err), made != nil && err == nil
			if err != nil {
				made = nil
			}
		case rotation.Send:
			e.What = rotation.Sending
		case rotation.Publish:
			e.What = rotation.Published
		default:
			return nil
		}
		if err := r.record(ctx, e, made); err != nil {
			return err
		}
	}
}

// contained turns a panic of a kind into its failure.
func contained[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = target.Errorf(target.Refused, nil, "the rotator has a defect: it panicked (%T)", p)
		}
	}()
	return f()
}

// longestMessage bounds what a rotator may say.
const longestMessage = 500

// classified is a target's error as the machine takes it. The words of what a kind has
// not classified may hold secrets, so they stay out.
func classified(err error) *target.Error {
	var e *target.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		e = target.Errorf(target.Uncertain, nil, "the rotator failed without saying how (%T)", err)
	case len(e.Message) > longestMessage || e.Cause != nil:
		e = &target.Error{Class: e.Class, BadValue: e.BadValue, Message: strings.ToValidUTF8(e.Message[:min(len(e.Message), longestMessage)], "")}
	}
	return e
}
