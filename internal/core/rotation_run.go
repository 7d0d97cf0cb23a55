package core

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	cryptorand "crypto/rand"

	"github.com/google/uuid"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
	"rekey/internal/store"
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
	identity string
	resets   bool
	problem  *target.Error
	current  target.Credential
	slots    map[row.Slot]target.Credential // as far as they are known
	run      rotation.Run
	do       rotation.Action
	started  time.Time
}

// ErrRotationTaken says that somebody else works on the rotation.
var ErrRotationTaken = errors.New("another worker has the rotation")

// OpenRotation reads what working on a rotation needs, and claims nothing yet.
func (c *Core) OpenRotation(ctx context.Context, id ident.ID) (*RotationRun, error) {
	r := &RotationRun{c: c, id: id, slots: map[row.Slot]target.Credential{}, started: c.now()}
	err := r.bind(ctx)
	return r, err
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
	return func(ctx context.Context) (target.Credential, error) {
		switch do.Do {
		case rotation.Apply:
			return t.Apply(ctx, base, next)
		case rotation.SetBack:
			return t.Apply(ctx, base, current)
		case rotation.Retire:
			return nil, t.Retire(ctx, current, base)
		}
		return nil, t.Probe(ctx, base)
	}, nil
}

// Done records how the call ended, and does what needs no target up to the next call.
func (r *RotationRun) Done(ctx context.Context, made target.Credential, failed error) error {
	e := rotation.Event{Slot: r.do.Slot, Err: classified(failed)}
	var filled target.Credential
	switch r.do.Do {
	case rotation.Apply:
		e.What = rotation.Applied
		if e.Err == nil && !made.Equal(r.slots[row.Candidate]) {
			filled = made
		}
		if e.Err == nil && len(made) == 0 && !r.run.Row.Candidate {
			e.Err = target.Errorf(target.Uncertain, nil, "the rotator has issued no credential")
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

func (r *RotationRun) facts() (rotation.Facts, error) {
	n, err := cryptorand.Int(r.c.rand, big.NewInt(1<<53))
	if err != nil {
		return rotation.Facts{}, fault.Wrap(err, "randomness")
	}
	id, err := uuid.NewRandomFromReader(r.c.rand)
	if err != nil {
		return rotation.Facts{}, fault.Wrap(err, "randomness")
	}
	f := rotation.Facts{Now: r.c.now(), Identity: r.identity, Problem: r.problem, NewID: id.String(), Random: float64(n.Int64()) / (1 << 53), Resets: r.resets}
	r.c.mu.RLock()
	defer r.c.mu.RUnlock()
	if x := r.c.graph.Resource(r.id); x != nil {
		f.Version, f.Expires = newest(x)
	}
	return f, nil
}

// record computes the step after an event and makes it durable. If somebody has changed
// the rows meanwhile, it is computed again on what they are now, as long as this worker
// has the lease.
func (r *RotationRun) record(ctx context.Context, e rotation.Event, made target.Credential) error {
	for range attempts {
		f, err := r.facts()
		if err != nil {
			return err
		}
		next, do := rotation.Next(r.run, e, f, &r.settings)
		if e.What == rotation.Begin && (do.Do == rotation.Plan || do.Do == rotation.Rest && next.Outcome == "") {
			r.run, r.do = next, do // what comes next takes the lease as well
			return nil
		}
		set, remember, err := r.set(ctx, &next, e, f, made)
		if err != nil {
			return err
		}
		err = r.c.commit(ctx, set)
		if err == nil {
			r.run, r.do = next, do
			remember()
			return r.audit(next, f)
		}
		if !errors.Is(err, store.ErrChanged) {
			return err
		}
		r.c.mu.RLock()
		x := r.c.graph.Resource(r.id)
		var now row.Rotation
		if x != nil && x.Rotation != nil {
			now = *x.Rotation
		}
		r.c.mu.RUnlock()
		if now.Holder != r.c.rotation.Node && now.Revision != r.run.Row.Revision {
			return ErrRotationTaken
		}
		r.run.Row = now
	}
	return fault.New(fault.Conflict, "the rotation of %s changes faster than its worker can follow", r.id)
}

func (r *RotationRun) audit(next rotation.Run, f rotation.Facts) error {
	if next.Outcome == "" {
		return nil
	}
	by := r.c.from(Origin{}, r.by())
	by.Time = f.Now
	var failure error
	if next.Failure != nil {
		failure = next.Failure
	}
	return r.c.record(by.RotationStep(r.id, next.Row.ID, next.Outcome, next.Row.State, failure))
}

func (r *RotationRun) by() ident.ID {
	if r.actor != "" {
		return r.actor
	}
	return "scheduler"
}

// historyKept is how many steps of a rotation are kept.
const historyKept = 64

// set is what a step makes durable, and remember what the run keeps of it then.
func (r *RotationRun) set(ctx context.Context, next *rotation.Run, e rotation.Event, f rotation.Facts, made target.Credential) (*row.Set, func(), error) {
	before, w := r.run.Row, &next.Row
	w.Revision = before.Revision + 1
	if w.Holder = ""; !w.LeaseUntil.IsZero() {
		w.Holder = r.c.rotation.Node
	}
	set := &row.Set{Require: []row.Condition{row.RotationIs{Variable: r.id, Revision: before.Revision}, row.ResourceExists{Resource: r.id}}}
	remember := func() {}
	switch {
	case e.What == rotation.Published:
		var err error
		if remember, err = r.publish(ctx, set, next, f); err != nil {
			return nil, nil, err
		}
	case made != nil:
		if err := r.put(set, row.Candidate, made, before.Candidate); err != nil {
			return nil, nil, err
		}
		remember = func() { r.slots[row.Candidate] = made }
	case before.Candidate && !w.Candidate:
		candidate, err := r.credential(ctx, row.Candidate)
		if err != nil {
			return nil, nil, err
		}
		set.Add(row.Delete, row.Credential{Variable: r.id, Slot: row.Candidate})
		if next.Keep {
			if err := r.put(set, row.Discarded, candidate, before.Discarded); err != nil {
				return nil, nil, err
			}
		}
		remember = func() {
			delete(r.slots, row.Candidate)
			if next.Keep {
				r.slots[row.Discarded] = candidate
			}
		}
	}
	set.Add(saved(before), *w)
	r.note(set, next, f)
	return set, remember, nil
}

// saved is how a row with a revision is stored.
func saved(before row.Rotation) row.Op {
	if before.Revision == 0 {
		return row.Insert
	}
	return row.Update
}

func (r *RotationRun) note(set *row.Set, next *rotation.Run, f rotation.Facts) {
	if next.Outcome == "" {
		return
	}
	event := row.RotationEvent{Variable: r.id, Revision: next.Row.Revision, At: f.Now, ID: next.Row.ID, State: next.Row.State,
		Actor: string(r.by()), Event: next.Outcome, Took: f.Now.Sub(r.started)}
	if next.Failure != nil {
		event.Class, event.Message = next.Failure.Class.String(), next.Failure.Message
	}
	addEvent(set, event)
}

func addEvent(set *row.Set, event row.RotationEvent) {
	set.Add(row.Insert, event)
	if event.Revision > historyKept {
		set.Add(row.Delete, row.RotationEvent{Variable: event.Variable, Revision: event.Revision - historyKept})
	}
}

// put seals a credential into a slot.
func (r *RotationRun) put(set *row.Set, slot row.Slot, credential target.Credential, exists bool) error {
	sealed, err := r.c.ring.Seal(encodeCredential(credential), aadCredential(r.id, slot))
	if err != nil {
		return err
	}
	op := row.Insert
	if exists {
		op = row.Update
	}
	set.Add(op, row.Credential{Variable: r.id, Slot: slot, Sealed: sealed})
	return nil
}

// publish makes the candidate the newest version of its variables, all in one set.
func (r *RotationRun) publish(ctx context.Context, set *row.Set, next *rotation.Run, f rotation.Facts) (func(), error) {
	candidate, err := r.credential(ctx, row.Candidate)
	if err != nil {
		return nil, err
	}
	old, versions, err := r.c.credentialOf(ctx, r.names)
	if err != nil {
		return nil, err
	}
	for name, id := range r.names {
		value, ok := candidate[name]
		if before, had := old[name]; !ok || had && before.Equal(value) {
			continue
		}
		at := versions[name]
		version := at.key.version + 1
		sealed, err := r.c.ring.Seal(value, aadSecret(id, version))
		if err != nil {
			return nil, err
		}
		fresh := row.Secret{Resource: id, Version: version, Sealed: sealed, CreatedAt: f.Now}
		if name == target.Main {
			next.Row.Version = version
			if r.settings.TTL > 0 {
				fresh.ExpiresAt = f.Now.Add(r.settings.TTL).Truncate(time.Millisecond)
			}
		}
		set.Require = append(set.Require, row.LatestVersion{Resource: id, Version: version - 1})
		set.Add(row.Insert, fresh)
		for _, v := range at.outdated(1, r.c.config.SecretVersions) {
			set.Add(row.Delete, row.Secret{Resource: id, Version: v})
		}
	}
	if err := r.put(set, row.Previous, old, r.run.Row.Previous); err != nil {
		return nil, err
	}
	set.Add(row.Delete, row.Credential{Variable: r.id, Slot: row.Candidate})
	return func() {
		delete(r.slots, row.Candidate)
		r.slots[row.Previous], r.current = old, candidate
	}, nil
}

// credential is what is in a slot.
func (r *RotationRun) credential(ctx context.Context, slot row.Slot) (target.Credential, error) {
	if slot == rotation.Current {
		return r.current, nil
	}
	if known, ok := r.slots[slot]; ok {
		return known, nil
	}
	sealed, err := r.c.store.Credential(ctx, r.id, slot)
	if err != nil {
		return nil, unavailable(err, "credential of "+string(r.id))
	}
	plain, err := r.c.ring.Open(sealed, aadCredential(r.id, slot))
	if err != nil {
		return nil, err
	}
	credential, err := decodeCredential(plain)
	if err != nil {
		return nil, fmt.Errorf("%s credential of %s: %w", slot, r.id, err)
	}
	r.slots[slot] = credential
	return credential, nil
}

func aadCredential(id ident.ID, slot row.Slot) string {
	return "rotation\x00" + string(id) + "\x00" + string(slot)
}
