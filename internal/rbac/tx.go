package rbac

import "rekey/internal/row"

// Tx plans changes to roles, resources, memberships, permissions and annotations. It
// makes each change on the graph itself, so that every question asked meanwhile is
// answered as if the changes were real (but searches, which a plan does not ask), writes
// each row change down, and takes all of them back with Rollback. What is to stay is
// Changes, committed to the store and then applied. The caller holds the graph for
// writing from Begin to Rollback.
type Tx struct {
	g       *Graph
	changes []row.Change
	undo    []func()
	search  *index // set aside, because keeping it is most of what a change costs
	ended   bool
}

// Begin starts planning. A transaction may begin on top of another one and then ends
// before it.
func (g *Graph) Begin() *Tx {
	t := &Tx{g: g, search: g.search}
	g.search = nil
	return t
}

// Changes are the row changes made so far, in order.
func (t *Tx) Changes() []row.Change { return t.changes }

// Rollback makes the graph what it was at Begin.
func (t *Tx) Rollback() {
	for i := len(t.undo) - 1; i >= 0; i-- {
		t.undo[i]()
	}
	t.undo = nil
	if !t.ended {
		t.ended, t.g.search = true, t.search
	}
}

func (t *Tx) did(op row.Op, r row.Row, undo func()) {
	t.changes = append(t.changes, row.Change{Op: op, Row: r})
	t.undo = append(t.undo, undo)
}

// InsertRole adds a role; there must be none of that id.
func (t *Tx) InsertRole(r row.Role) *Role {
	node := &Role{Role: r}
	t.g.linkRole(node)
	t.did(row.Insert, r, func() { t.g.unlinkRole(node) })
	if node.Resource != nil {
		t.insertOwnership(node.Resource)
	}
	return node
}

// InsertResource adds a resource; there must be none of that id, and its owner must
// exist. If there is a role of the same id, the owner becomes a member of it.
func (t *Tx) InsertResource(r row.Resource) *Resource {
	t.g.serial++
	node := &Resource{Resource: r, OwnerNode: t.g.roles[r.Owner], Serial: t.g.serial}
	t.g.linkResource(node)
	t.did(row.Insert, r, func() { t.g.unlinkResource(node) })
	if node.Role != nil {
		t.insertOwnership(node)
	}
	return node
}

func (t *Tx) insertOwnership(x *Resource) {
	if t.g.Membership(x.ID, x.Owner, true) == nil {
		t.InsertMembership(row.Membership{Role: x.ID, Member: x.Owner, Ownership: true, Admin: true, Policy: x.Policy})
	}
}

func (t *Tx) deleteOwnership(x *Resource) {
	if m := t.g.Membership(x.ID, x.Owner, true); m != nil {
		t.DeleteMembership(m)
	}
}

// SetOwner gives a resource another owner, and with it the membership that mirrors
// ownership.
func (t *Tx) SetOwner(x *Resource, owner *Role) {
	if x.OwnerNode == owner {
		return
	}
	t.deleteOwnership(x)
	before := x.OwnerNode
	t.g.setOwner(x, owner)
	t.did(row.Update, x.Resource, func() { t.g.setOwner(x, before) })
	if x.Role != nil {
		t.insertOwnership(x)
	}
}

// InsertMembership adds an edge; both roles must exist and the edge must not.
func (t *Tx) InsertMembership(r row.Membership) {
	node := &Membership{Role: t.g.roles[r.Role], Member: t.g.roles[r.Member], Ownership: r.Ownership, Admin: r.Admin, Policy: r.Policy}
	t.g.linkMembership(node)
	t.did(row.Insert, r, func() { t.g.unlinkMembership(node) })
}

// SetAdmin changes the admin option of an edge.
func (t *Tx) SetAdmin(m *Membership, admin bool) {
	if m.Admin == admin {
		return
	}
	m.Admin = admin
	t.did(row.Update, m.Row(), func() { m.Admin = !admin })
}

// DeleteMembership removes an edge.
func (t *Tx) DeleteMembership(m *Membership) {
	t.g.unlinkMembership(m)
	t.did(row.Delete, m.Row(), func() { t.g.linkMembership(m) })
}

// InsertPermission adds an edge; role and resource must exist and the edge must not.
func (t *Tx) InsertPermission(r row.Permission) {
	node := &Permission{Resource: t.g.resources[r.Resource], Role: t.g.roles[r.Role], Privilege: r.Privilege, Policy: r.Policy}
	t.g.linkPermission(node)
	t.did(row.Insert, r, func() { t.g.unlinkPermission(node) })
}

// DeletePermission removes an edge.
func (t *Tx) DeletePermission(p *Permission) {
	t.g.unlinkPermission(p)
	t.did(row.Delete, p.Row(), func() { t.g.linkPermission(p) })
}

// InsertAnnotation adds an annotation; its resource must exist and the name must be
// free.
func (t *Tx) InsertAnnotation(r row.Annotation) {
	node := &Annotation{Resource: t.g.resources[r.Resource], Name: r.Name, Value: r.Value, Policy: r.Policy}
	t.g.linkAnnotation(node)
	t.did(row.Insert, r, func() { t.g.unlinkAnnotation(node) })
}

// SetAnnotation changes the value of an annotation.
func (t *Tx) SetAnnotation(a *Annotation, value string) {
	if a.Value == value {
		return
	}
	before := a.Value
	t.g.setAnnotation(a, value)
	t.did(row.Update, a.Row(), func() { t.g.setAnnotation(a, before) })
}

// DeleteAnnotation removes an annotation.
func (t *Tx) DeleteAnnotation(a *Annotation) {
	t.g.unlinkAnnotation(a)
	t.did(row.Delete, a.Row(), func() { t.g.linkAnnotation(a) })
}

// unlinkResource removes a resource of which no permission or annotation is left.
func (t *Tx) unlinkResource(x *Resource) {
	t.g.unlinkResource(x)
	t.did(row.Delete, x.Resource, func() { t.g.linkResource(x) })
}

// unlinkRole removes a role of which no edge is left.
func (t *Tx) unlinkRole(r *Role) {
	t.g.unlinkRole(r)
	t.did(row.Delete, r.Role, func() { t.g.linkRole(r) })
}
