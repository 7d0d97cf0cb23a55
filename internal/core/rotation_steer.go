package core

import (
	"context"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// What people do to rotations. All of it takes update on the rotated variable, and is
// in the audit and in the rotation's history.

// RotateNow asks for a new value at once.
func (c *Core) RotateNow(ctx context.Context, caller Caller, id ident.ID) error {
	return c.steer(ctx, caller, id, "requested", "", begin(rotation.RotateNow, caller.Role))
}

// PauseRotation keeps a rotation from starting until it is resumed.
func (c *Core) PauseRotation(ctx context.Context, caller Caller, id ident.ID, reason string) error {
	return c.steer(ctx, caller, id, "paused", reason, func(w *row.Rotation, s steering) error {
		return rotation.Pause(w, caller.Role, reason, s.now)
	})
}

// ResumeRotation ends a pause, and re-arms a rotation that was suspended because its
// target has changed.
func (c *Core) ResumeRotation(ctx context.Context, caller Caller, id ident.ID) error {
	return c.steer(ctx, caller, id, "resumed", "", func(w *row.Rotation, s steering) error {
		identity, err := s.identity()
		if err != nil {
			return err
		}
		return rotation.Resume(w, identity)
	})
}

// RetryRotation tries again at once what has failed, also out of quarantine.
func (c *Core) RetryRotation(ctx context.Context, caller Caller, id ident.ID) error {
	return c.steer(ctx, caller, id, "retry requested", "", begin(rotation.Retry, caller.Role))
}

// ReconcileRotation asks for a new value to be set without knowing the old one.
func (c *Core) ReconcileRotation(ctx context.Context, caller Caller, id ident.ID) error {
	return c.steer(ctx, caller, id, "reconcile requested", "", func(w *row.Rotation, s steering) error {
		if err := c.reconcilable(ctx, id); err != nil {
			return err
		}
		return begin(rotation.Reconcile, caller.Role)(w, s)
	})
}

// reconcilable tells whether somebody can set a value without knowing the old one. What
// is wrong beside that is a problem of the rotation's, and shown there.
func (c *Core) reconcilable(ctx context.Context, id ident.ID) error {
	r := &RotationRun{c: c, id: id}
	if err := r.bind(ctx); err != nil || r.problem != nil {
		return err
	}
	if _, tells := r.target.(target.Resetter); !tells || r.resets {
		return nil
	}
	e := fault.New(fault.Conflict, "the rotation of %s has no administrator, and nobody else can set a value without the present one", id)
	e.Advice = "Name one by annotations rotation/" + r.settings.Rotator + "/admin-..., if this rotator has them; or set a value at the target, write it into the variable, and retry."
	return e
}

// AdoptRotation declares the newest version of the variable to be what the target accepts.
func (c *Core) AdoptRotation(ctx context.Context, caller Caller, id ident.ID) error {
	return c.steer(ctx, caller, id, "adopted", "", func(w *row.Rotation, s steering) error {
		identity, err := s.identity()
		if err != nil {
			return err
		}
		keep, err := rotation.Adopt(w, s.version, identity, s.now)
		s.adopted(keep)
		return err
	})
}

// begin is a change after which a rotation starts, as none does without a value.
func begin(verb func(w *row.Rotation, by ident.ID, now time.Time) error, by ident.ID) func(*row.Rotation, steering) error {
	return func(w *row.Rotation, s steering) error {
		if s.version == 0 {
			return fault.New(fault.Conflict, "the variable has no value: write the one that the target accepts now")
		}
		return verb(w, by, s.now)
	}
}

// steering is what a change of a rotation by hand relies on.
type steering struct {
	now      time.Time
	version  int
	identity func() (string, error) // of the target as it is now; empty if there is none
	adopted  func(keep bool)
}

func (c *Core) steer(ctx context.Context, caller Caller, id ident.ID, event, reason string, change func(*row.Rotation, steering) error) error {
	var w row.Rotation
	err := c.retry(func() error {
		var once error
		w, once = c.steerOnce(ctx, caller, id, event, reason, change)
		return once
	})
	return c.decided(err, c.by(caller).RotationStep(id, audit.Step{Rotation: w.ID, Event: event, State: w.State}, err))
}

func (c *Core) steerOnce(ctx context.Context, caller Caller, id ident.ID, event, reason string, change func(*row.Rotation, steering) error) (row.Rotation, error) {
	c.mu.RLock()
	x, err := c.permitted(caller, "update", id)
	if err == nil && (!rotates(x) || c.targets == nil) {
		err = notRotated(id)
	}
	var before row.Rotation
	s := steering{now: c.now()}
	if err == nil {
		before, _ = c.rotationOf(x)
		s.version = x.Latest()
	}
	c.mu.RUnlock()
	if err != nil {
		return before, err
	}
	s.identity = func() (string, error) {
		r := &RotationRun{c: c, id: id}
		err := r.bind(ctx)
		return r.identity, err
	}
	discards, keeps := false, false
	s.adopted = func(keep bool) { discards, keeps = before.Candidate, keep }
	w := before
	if err := change(&w, s); err != nil {
		return before, err
	}
	w.Revision++
	set := &row.Set{Require: []row.Condition{row.RotationIs{Variable: id, Revision: before.Revision}, row.ResourceExists{Resource: id}}}
	if discards {
		r := &RotationRun{c: c, id: id, slots: map[row.Slot]target.Credential{}}
		candidate, err := r.credential(ctx, row.Candidate)
		if err != nil {
			return before, err
		}
		if keeps {
			if err := r.put(set, row.Discarded, candidate, before.Discarded); err != nil {
				return before, err
			}
		}
		set.Add(row.Delete, row.Credential{Variable: id, Slot: row.Candidate})
	}
	addEvent(set, &w, row.RotationEvent{At: s.now, ID: w.ID, State: w.State, Actor: string(caller.Role), Event: event, Message: reason})
	set.Add(saved(before), w)
	return w, c.commit(ctx, set)
}

// RotationPlan is what a rotation would meet. Nothing is changed to find out.
type RotationPlan struct {
	RotationStatus
	Target   string // address and account; empty if it cannot be told
	Accepted bool   // the target accepts the current value
	Checked  string // how far it was looked: empty, CheckedLogin or CheckedPrivilege
	Problem  string // why a rotation would not work; empty: nothing was found
}

// How far a plan has looked.
const (
	CheckedLogin     = "login"     // of who would do it, as far as the kind of target can
	CheckedPrivilege = "privilege" // and the target has said whether that one may
)

// PlanRotation logs in with the current value and as who would set another one, has the
// target say whether that is allowed, where it can, and tells what a rotation would do.
func (c *Core) PlanRotation(ctx context.Context, caller Caller, id ident.ID) (RotationPlan, error) {
	began := c.now()
	p, err := c.planRotation(ctx, caller, id)
	return p, c.decided(err, c.by(caller).RotationStep(id, audit.Step{Rotation: p.ID, Event: "planned only", State: p.State, Took: c.now().Sub(began)}, err))
}

func (c *Core) planRotation(ctx context.Context, caller Caller, id ident.ID) (RotationPlan, error) {
	c.mu.RLock()
	x, err := c.permitted(caller, "update", id)
	if err == nil && (!rotates(x) || c.targets == nil) {
		err = notRotated(id)
	}
	var p RotationPlan
	if err == nil {
		p.RotationStatus = c.rotationStatus(x, c.now())
	}
	c.mu.RUnlock()
	if err != nil {
		return p, err
	}
	r := &RotationRun{c: c, id: id}
	if err := r.bind(ctx); err != nil {
		return p, err
	}
	problem := r.problem
	p.Target = r.identity
	if was := r.run.Row.Identity; problem == nil && was != "" && was != r.identity && r.run.Row.Version == p.RotationStatus.Version {
		p.Problem = "the target has changed from " + was + ", so the value was not tried there; if the change is right, resume the rotation"
		return p, nil
	}
	if problem == nil {
		ctx, cancel := context.WithTimeout(ctx, planTime)
		defer cancel()
		problem = r.rehearse(ctx, &p)
	}
	if problem != nil {
		p.Problem = problem.Error()
	}
	return p, nil
}

// rehearse asks the target what can be told without a change, until something is wrong. A
// value that it does not accept is no reason to stop where somebody else sets the next.
func (r *RotationRun) rehearse(ctx context.Context, p *RotationPlan) *target.Error {
	p.Checked = CheckedLogin
	_, err := contained(func() (struct{}, error) { return struct{}{}, r.target.Probe(ctx, r.current) })
	p.Accepted = err == nil
	refused := classified(err)
	if !p.Accepted && (!r.resets || refused.Class != target.AuthFailed) {
		return refused
	}
	if rehearser, ok := r.target.(target.Rehearser); ok {
		told, err := contained(func() (bool, error) { return rehearser.Rehearse(ctx, r.current) })
		if told {
			p.Checked = CheckedPrivilege
		}
		if err != nil {
			return classified(err)
		}
	}
	if p.Accepted && r.surveyor != nil {
		_, err := contained(func() (target.Credential, error) { return r.surveyor.Survey(ctx, r.current) })
		return classified(err)
	}
	return refused
}

// planTime is how long all of that may take before somebody who waits.
const planTime = 20 * time.Second

// request is the change by which declaring a value expired makes its rotation due; nil
// if the variable does not rotate.
func (c *Core) request(caller Caller, id ident.ID) *row.Set {
	c.mu.RLock()
	defer c.mu.RUnlock()
	x := c.graph.Resource(id)
	if c.targets == nil || x == nil || !rotates(x) || x.Latest() == 0 {
		return nil
	}
	before, _ := c.rotationOf(x)
	w := before
	w.RequestedAt, w.RequestedBy, w.RetryAt = c.now(), caller.Role, time.Time{}
	w.Revision++
	set := &row.Set{Require: []row.Condition{row.RotationIs{Variable: id, Revision: before.Revision}}}
	addEvent(set, &w, row.RotationEvent{At: w.RequestedAt, ID: w.ID, State: w.State, Actor: string(caller.Role), Event: "requested"})
	set.Add(saved(before), w)
	return set
}
