package rbac

import (
	"slices"

	"rekey/internal/row"
)

// Assume makes the changes of a set that is on its way to the store, so that what is
// planned next is planned on top of it. Rollback takes them back; they are none of
// Changes. An error says that the set does not fit the graph, so that it will not be
// stored either. Accounts, keys that sign
// or seal, and host factory tokens cannot be assumed.
func (t *Tx) Assume(set *row.Set) error {
	for _, c := range set.Changes {
		undo, err := t.g.undo(c)
		if err != nil {
			return err
		}
		if err := t.g.apply(c); err != nil {
			return err
		}
		t.undo = append(t.undo, undo)
	}
	return nil
}

// undo is what takes a change back, after it has been applied.
func (g *Graph) undo(c row.Change) (func(), error) {
	switch r := c.Row.(type) {
	case row.Role:
		node := g.roles[r.ID]
		if c.Op == row.Delete {
			return func() { g.linkRole(node) }, nil
		}
		return func() { g.unlinkRole(g.roles[r.ID]) }, nil
	case row.Resource:
		return g.undoResource(c.Op, r), nil
	case row.Membership:
		node := g.Membership(r.Role, r.Member, r.Ownership)
		switch {
		case c.Op == row.Delete:
			return func() { g.linkMembership(node) }, nil
		case node != nil:
			admin := node.Admin
			return func() { node.Admin = admin }, nil
		}
		return func() { g.unlinkMembership(g.Membership(r.Role, r.Member, r.Ownership)) }, nil
	case row.Permission:
		node := g.Permission(r.Resource, r.Role, r.Privilege)
		if c.Op == row.Delete {
			return func() { g.linkPermission(node) }, nil
		}
		return func() { g.unlinkPermission(g.Permission(r.Resource, r.Role, r.Privilege)) }, nil
	case row.Annotation:
		return g.undoAnnotation(c.Op, r), nil
	case row.APIKey:
		return g.undoCredential(g.roles[r.Role]), nil
	case row.StagedKey:
		return g.undoCredential(g.roles[r.Role]), nil
	case row.OldKey:
		return g.undoCredential(g.roles[r.Role]), nil
	case row.KeyUse:
		return g.undoCredential(g.roles[r.Role]), nil
	case row.Password:
		return g.undoCredential(g.roles[r.Role]), nil
	case row.Restriction:
		return g.undoCredential(g.roles[r.Role]), nil
	case row.Secret:
		return undoResourceState(g.resources[r.Resource]), nil
	case row.PolicyVersion:
		return undoResourceState(g.resources[r.Policy]), nil
	case row.Authenticator:
		return undoResourceState(g.resources[r.Resource]), nil
	case row.Rotation:
		return undoResourceState(g.resources[r.Variable]), nil
	case row.Credential, row.RotationEvent:
		return func() {}, nil // the store's
	}
	return nil, misfit(c, "it cannot be assumed")
}

func (g *Graph) undoResource(op row.Op, r row.Resource) func() {
	node := g.resources[r.ID]
	switch {
	case op == row.Delete:
		return func() { g.linkResource(node) }
	case node != nil:
		owner := node.OwnerNode
		return func() { g.setOwner(node, owner) }
	}
	return func() { g.unlinkResource(g.resources[r.ID]) }
}

func (g *Graph) undoAnnotation(op row.Op, r row.Annotation) func() {
	x := g.resources[r.Resource]
	if x == nil {
		return func() {} // it will not fit
	}
	node := x.Annotation(r.Name)
	switch {
	case op == row.Delete:
		return func() { g.linkAnnotation(node) }
	case node != nil:
		value := node.Value
		return func() { g.setAnnotation(node, value) }
	}
	return func() { g.unlinkAnnotation(x.Annotation(r.Name)) }
}

// undoCredential brings all credentials of a role back.
func (g *Graph) undoCredential(r *Role) func() {
	if r == nil {
		return func() {} // it will not fit
	}
	key, staged, old, used, password, networks := r.Key, r.Staged, r.Old, r.KeyUsed, r.Password, r.Networks
	return func() {
		r.Key, r.Staged, r.Old, r.KeyUsed, r.Password, r.Networks = key, staged, old, used, password, networks
	}
}

// undoResourceState brings versions and the like of a resource back. Lists are changed
// in place, so the change gets a copy.
func undoResourceState(x *Resource) func() {
	if x == nil {
		return func() {} // a version that has gone before
	}
	secrets, loads, sw, rotation := x.Secrets, x.Loads, x.Switch, x.Rotation
	x.Secrets, x.Loads = slices.Clone(secrets), slices.Clone(loads)
	return func() { x.Secrets, x.Loads, x.Switch, x.Rotation = secrets, loads, sw, rotation }
}
