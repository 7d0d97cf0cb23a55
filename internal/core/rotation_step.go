package core

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
	"rekey/internal/store"
)

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
		f.Consumers = r.c.readers(x, r.settings.Consumers)
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
		if now.Holder != r.c.targets.Node && now.Revision != r.run.Row.Revision {
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
	r.count(&next, f)
	by := r.c.from(Origin{}, r.by())
	by.Time = f.Now
	step := audit.Step{Rotation: next.Row.ID, Event: next.Outcome, State: next.Row.State, About: next.Message, Took: f.Now.Sub(r.started)}
	var failure error
	if next.Failure != nil {
		failure, step.Class = next.Failure, next.Failure.Class.String()
	}
	return r.c.record(by.RotationStep(r.id, step, failure))
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
		w.Holder = r.c.targets.Node
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
	r.note(set, next, f)
	set.Add(saved(before), *w)
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
	if next.Outcome == "" || next.Outcome == rotation.Checked && r.run.Row.State == rotation.Idle {
		return
	}
	event := row.RotationEvent{At: f.Now, ID: next.Row.ID, State: next.Row.State,
		Actor: string(r.by()), Event: next.Outcome, Took: f.Now.Sub(r.started)}
	if event.Message = next.Message; next.Failure != nil {
		event.Class, event.Message = next.Failure.Class.String(), next.Failure.Message
	}
	addEvent(set, &next.Row, event)
}

// addEvent adds a line to the history of a rotation.
func addEvent(set *row.Set, w *row.Rotation, event row.RotationEvent) {
	w.Events++
	event.Variable, event.Revision = w.Variable, w.Events
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
	previous := old
	if next.Base() != rotation.Current { // what is published does not work at the target; what does has to be ended
		if previous, err = r.credential(ctx, next.Base()); err != nil {
			return nil, err
		}
	}
	if err := r.put(set, row.Previous, previous, r.run.Row.Previous); err != nil {
		return nil, err
	}
	set.Add(row.Delete, row.Credential{Variable: r.id, Slot: row.Candidate})
	return func() {
		delete(r.slots, row.Candidate)
		r.slots[row.Previous], r.current = previous, candidate
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
