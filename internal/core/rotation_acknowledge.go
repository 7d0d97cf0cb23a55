package core

import (
	"context"
	"slices"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// Acknowledged is what an acknowledgement has come to.
type Acknowledged struct {
	Outcome        rotation.Acknowledgement
	Version        int // that was acknowledged
	Newest         int // of the variable
	Unacknowledged []ident.ID
}

// AcknowledgeRotation takes note that the caller uses a version of a variable whose old
// value waits for its consumers; 0 is the newest. The caller is one of them, and may read
// the variable. It may be said again and again.
func (c *Core) AcknowledgeRotation(ctx context.Context, caller Caller, id ident.ID, version int) (Acknowledged, error) {
	var w row.Rotation
	var a Acknowledged
	err := c.retry(func() error {
		defer c.rows.lock(id)()
		var once error
		w, a, once = c.acknowledgeOnce(ctx, caller, id, version)
		return once
	})
	event := string(rotation.Acknowledged)
	if err == nil && a.Outcome != rotation.Acknowledged {
		event = "acknowledged without effect"
	}
	return a, c.decided(err, c.by(caller).RotationStep(id, audit.Step{Rotation: w.ID, Event: event, State: w.State}, err))
}

func (c *Core) acknowledgeOnce(ctx context.Context, caller Caller, id ident.ID, version int) (w row.Rotation, a Acknowledged, err error) {
	c.mu.RLock()
	x, err := c.permitted(caller, "execute", id)
	if err == nil && (!rotates(x) || c.targets == nil) {
		err = notRotated(id)
	}
	var settings rotation.Settings
	if err == nil {
		w, settings = c.rotationOf(x)
		a.Newest = x.Latest()
	}
	c.mu.RUnlock()
	if err != nil {
		return w, a, err
	}
	if a.Newest == 0 {
		return w, a, fault.New(fault.Conflict, "the variable has no value to acknowledge")
	}
	if a.Version = version; version == 0 {
		a.Version = a.Newest
	}
	before, now := w, c.now()
	if a.Outcome, err = rotation.Acknowledge(&w, &settings, caller.Role.Login(), a.Version, a.Newest); err != nil {
		return w, a, err
	}
	if a.Unacknowledged = rolesOf(id.Account(), settings.Unacknowledged(&w)); a.Outcome != rotation.Acknowledged {
		return w, a, nil
	}
	w.Revision++
	set := &row.Set{Require: []row.Condition{row.RotationIs{Variable: id, Revision: before.Revision}, row.RoleExists{Role: caller.Role}}}
	addEvent(set, &w, row.RotationEvent{At: now, ID: w.ID, State: w.State, Actor: string(caller.Role), Event: string(rotation.Acknowledged)})
	set.Add(saved(before), w)
	return w, a, c.commit(ctx, set)
}

// readers are those of some roles, by their login names, that may read a variable. The
// caller holds the graph.
func (c *Core) readers(x *rbac.Resource, logins []string) []string {
	return slices.DeleteFunc(slices.Clone(logins), func(login string) bool {
		r := c.graph.Role(ident.FromLogin(x.ID.Account(), login))
		return r == nil || !c.graph.Allowed(r, "execute", x)
	})
}

func rolesOf(account string, logins []string) []ident.ID {
	roles := make([]ident.ID, len(logins))
	for i, login := range logins {
		roles[i] = ident.FromLogin(account, login)
	}
	return roles
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
