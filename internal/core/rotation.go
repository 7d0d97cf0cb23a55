package core

import (
	"context"
	"slices"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// Targets is what rotating values on their targets needs.
type Targets struct {
	Kinds  map[string]target.Kind // by name
	Dial   target.Dial
	Node   string // of this process; no other process has the same
	Limits rotation.Limits
}

// RotationStatus is how the rotation of a variable stands.
type RotationStatus struct {
	row.Rotation
	Rotator string
	Paused  bool
	Due     time.Time // zero: not before something changes
	Overdue time.Duration
	Ends    time.Time // of the old value, as far as is known now; zero: there is none
	Version int       // newest version of the variable
	Expires time.Time // of that version, as readers see it

	// Unacknowledged are the consumers that have not acknowledged the newest published version.
	Unacknowledged []ident.ID
}

// rotates tells whether a resource is a variable that rotates. One whose target may have
// got a value that is not published does until that is cleared up, also if the policy
// names no rotator any more: else nobody would be told of it.
func rotates(x *rbac.Resource) bool {
	return x.ID.Kind() == "variable" && (x.Annotation(rotation.Rotator) != nil || x.Rotation != nil && x.Rotation.Sent)
}

// annotationsOf are a resource's annotations by name.
func annotationsOf(x *rbac.Resource) map[string]string {
	all := make(map[string]string, len(x.Annotations))
	for _, a := range x.Annotations {
		all[a.Name] = a.Value
	}
	return all
}

// rotationOf is the row and settings of a rotation; the row is a copy, and empty if the
// engine has not seen the variable yet. Where no other process has the store, the lease
// of another node is one of a process that has died: nobody has to wait for its end.
func (c *Core) rotationOf(x *rbac.Resource) (row.Rotation, rotation.Settings) {
	w := row.Rotation{Variable: x.ID, State: rotation.Idle}
	if x.Rotation != nil {
		w = *x.Rotation
	}
	if c.alone && w.Holder != c.targets.Node {
		w.Holder, w.LeaseUntil = "", time.Time{}
	}
	settings, _ := rotation.Read(annotationsOf(x), c.targets.Limits) // faults are refused when a policy is loaded
	if kind, ok := c.targets.Kinds[settings.Rotator].(target.Lasting); ok && kind.Lasts() {
		settings.Outlast()
	}
	settings.Consumers = slices.DeleteFunc(settings.Consumers, func(login string) bool {
		return c.graph.Role(ident.FromLogin(x.ID.Account(), login)) == nil
	})
	return w, settings
}

func newest(x *rbac.Resource) (version int, expires time.Time) {
	if n := len(x.Secrets); n > 0 {
		version = x.Secrets[n-1].Version
		if ms := x.Secrets[n-1].ExpiresAt; ms != 0 {
			expires = time.UnixMilli(ms).UTC()
		}
	}
	return version, expires
}

func (c *Core) rotationStatus(x *rbac.Resource, now time.Time) RotationStatus {
	w, settings := c.rotationOf(x)
	s := RotationStatus{Rotation: w, Rotator: settings.Rotator, Paused: !w.PausedAt.IsZero()}
	s.Version, s.Expires = newest(x)
	s.Due = rotation.Due(&w, &settings, s.Version, s.Expires, now)
	s.Ends, s.Unacknowledged = settings.Ends(&w), rolesOf(x.ID.Account(), settings.Unacknowledged(&w))
	if s.Rotation.Version = w.Version; !s.Due.IsZero() && s.Due.Before(now) {
		s.Overdue = now.Sub(s.Due)
	}
	return s
}

func notRotated(id ident.ID) error {
	e := fault.New(fault.NotFound, "Variable '%s' does not rotate: its policy has no annotation %s", id.Identifier(), rotation.Rotator)
	e.Target, e.ID = "rotation", string(id)
	return e
}

// RotationStatus tells how the rotation of a variable stands. Whoever sees the
// variable may ask.
func (c *Core) RotationStatus(_ context.Context, caller Caller, id ident.ID) (RotationStatus, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	x, err := c.seen(caller, id)
	if err != nil {
		return RotationStatus{}, err
	}
	return c.rotationStatus(x, c.now()), nil
}

// seen finds a rotated variable that the caller sees.
func (c *Core) seen(caller Caller, id ident.ID) (*rbac.Resource, error) {
	x := c.graph.Resource(id)
	if !caller.operator {
		var err error
		if _, x, err = c.visible(caller, id); err != nil {
			return nil, err
		}
	}
	if x == nil {
		return nil, notFound(id)
	}
	if !rotates(x) || c.targets == nil {
		return nil, notRotated(id)
	}
	return x, nil
}

// Rotations lists the rotated variables of an account that the caller sees, in the
// order of their ids. state selects one of package rotation's, "paused", "due", "overdue" or
// "unacknowledged"; empty: all.
func (c *Core) Rotations(_ context.Context, caller Caller, account, state string) ([]RotationStatus, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var r *rbac.Role
	if !caller.operator {
		var err error
		if r, err = c.role(caller); err != nil {
			return nil, err
		}
	}
	all, now := []RotationStatus{}, c.now()
	c.graph.Ascend(string(ident.New(account, "variable", "")), func(x *rbac.Resource) bool {
		if !rotates(x) || c.targets == nil || r != nil && !c.graph.Visible(r, x) {
			return true
		}
		s := c.rotationStatus(x, now)
		due := !s.Due.IsZero() && !s.Due.After(now)
		switch {
		case state == "", state == s.State, state == "paused" && s.Paused, state == "due" && due, state == "overdue" && s.Overdue > late,
			state == rotation.Unacknowledged && len(s.Unacknowledged) > 0:
			all = append(all, s)
		}
		return true
	})
	return all, nil
}

// late is how long after its moment a rotation is called overdue.
const late = time.Minute

// RotationHistory is what has happened to a rotation, oldest first, as far as it is kept.
func (c *Core) RotationHistory(ctx context.Context, caller Caller, id ident.ID) ([]row.RotationEvent, error) {
	c.mu.RLock()
	_, err := c.seen(caller, id)
	c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	events, err := c.store.RotationEvents(ctx, id)
	if err != nil {
		return nil, unavailable(err, "rotation history of "+string(id))
	}
	return events, nil
}

// checkRotation finds fault with the annotations of a resource that a policy declares.
func (c *Core) checkRotation(kind string, annotations map[string]string) (problems []policy.Problem) {
	found := func() (found []target.Problem) {
		defer func() {
			if p := recover(); p != nil {
				found = []target.Problem{{Annotation: rotation.Rotator, Message: "its rotator has a defect and cannot check the annotations", Advice: "Report it to whoever runs this server."}}
			}
		}()
		return rotation.Check(kind, annotations, c.targets.Kinds)
	}()
	for _, p := range found {
		problems = append(problems, policy.Problem(p))
	}
	return problems
}

// siblingID is the variable that a name beside a rotated variable means. far says that it
// is somewhere else in the account.
func siblingID(id ident.ID, name string) (sibling ident.ID, far bool) {
	if rest, ok := strings.CutPrefix(name, "/"); ok {
		return ident.New(id.Account(), "variable", rest), true
	}
	folder := ""
	if i := strings.LastIndexByte(id.Identifier(), '/'); i >= 0 {
		folder = id.Identifier()[:i+1]
	}
	return ident.New(id.Account(), "variable", folder+name), false
}
