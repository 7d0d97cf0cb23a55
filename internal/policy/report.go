package policy

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// Report is what a load would change, as one role sees it. Each list has role-like
// items first, then variables and webservices, each by id.
type Report struct {
	Created []Item
	// Before and After have what is there before and after the load and is named by
	// a row that the load changes, in whatever part: as owner, member, resource.
	Before, After []Item
	Deleted       []Item
	// Values are those that the load would destroy.
	Values   LostValues
	Warnings []string
}

// LostValues are the variables with a value that a load would remove.
type LostValues struct {
	Count int
	IDs   []ident.ID // the first hundred, by id
}

// Item is a resource with what is said about it. Whatever the viewer does not see has
// [REDACTED] for its identifier. Lists are sorted.
type Item struct {
	ID          ident.ID
	Hidden      bool // then nothing but ID is set
	RoleLike    bool // user, group, host, layer or policy; else variable or webservice
	Owner       ident.ID
	Policy      ident.ID // "" if none declared it
	Privileges  []Privilege
	Annotations []Annotation
	Members     []ident.ID
	Memberships []ident.ID
	Networks    []netip.Prefix
	Omitted     Omitted
}

// Privilege has the resources on which a role-like item holds a privilege, or the
// roles that have it on another item.
type Privilege struct {
	Name string
	IDs  []ident.ID
}

// Omitted counts what an item's lists leave out. A list longer than a thousand has
// only what the load changes: a rehearsal costs what the change costs, also next to
// a group of a million.
type Omitted struct{ Privileges, Members, Memberships int }

const (
	longestList = 1000
	shownValues = 100
	redacted    = "[REDACTED]"
)

// Prospect is the graph around a load's changes as the load would leave it.
type Prospect struct {
	visible  func(*rbac.Resource) bool
	named    map[ident.ID]*mention
	after    map[ident.ID]Item
	networks map[ident.ID][]netip.Prefix
}

// mention has the edges that a load changes at one id.
type mention struct {
	members, memberships map[edge]bool
	holds, permits       map[permission]bool
}

// Foresee looks at the graph while a load's changes are made on it.
func Foresee(g *rbac.Graph, changes []row.Change, planned *Planned, visible func(*rbac.Resource) bool) *Prospect {
	p := &Prospect{visible: visible, named: map[ident.ID]*mention{}, after: map[ident.ID]Item{}, networks: map[ident.ID][]netip.Prefix{}}
	for _, r := range netRows(changes) {
		p.mention(r)
	}
	for _, r := range planned.Restrictions {
		p.networks[r.Role] = r.Networks
		p.of(r.Role)
	}
	for id, m := range p.named {
		if x := g.Resource(id); x != nil {
			p.after[id] = p.item(g, x, m)
		}
	}
	return p
}

// Compare completes the report when the changes have been taken back.
func (p *Prospect) Compare(g *rbac.Graph, warnings []string) *Report {
	r := &Report{Warnings: warnings}
	p.networks = nil
	for id, m := range p.named {
		x := g.Resource(id)
		after, stays := p.after[id]
		if x != nil && !stays && id.Kind() == "variable" && len(x.Secrets) > 0 {
			r.Values.Count++
			r.Values.IDs = append(r.Values.IDs, p.shown(g, id))
		}
		if !reported(id) {
			continue
		}
		switch {
		case x == nil && stays:
			r.Created = append(r.Created, after)
		case x != nil && stays:
			r.Before = append(r.Before, p.item(g, x, m))
			r.After = append(r.After, after)
		case x != nil:
			r.Deleted = append(r.Deleted, p.item(g, x, m))
		}
	}
	for _, list := range [...][]Item{r.Created, r.Before, r.After, r.Deleted} {
		slices.SortFunc(list, byKindOfItem)
	}
	slices.Sort(r.Values.IDs)
	r.Values.IDs = r.Values.IDs[:min(shownValues, len(r.Values.IDs))]
	return r
}

func byKindOfItem(a, b Item) int {
	if a.RoleLike != b.RoleLike {
		if a.RoleLike {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.ID, b.ID)
}

func roleLike(id ident.ID) bool {
	switch id.Kind() {
	case "user", "group", "host", "layer", "policy":
		return true
	}
	return false
}

// reported tells whether a kind has items of its own; others occur in lists only.
func reported(id ident.ID) bool {
	kind := id.Kind()
	return roleLike(id) || kind == "variable" || kind == "webservice"
}

// netRows are the rows that a load makes, changes or removes, without those that it
// makes and removes again.
func netRows(changes []row.Change) []row.Row {
	type trace struct {
		row         row.Row
		before, now bool
	}
	traces := make(map[row.Row]*trace, len(changes))
	for _, c := range changes {
		key := keyOf(c.Row)
		t := traces[key]
		if t == nil {
			t = &trace{before: c.Op != row.Insert}
			traces[key] = t
		}
		t.row, t.now = c.Row, c.Op != row.Delete
	}
	rows := make([]row.Row, 0, len(traces))
	for _, t := range traces {
		if t.before || t.now {
			rows = append(rows, t.row)
		}
	}
	return rows
}

// keyOf is a row with nothing but its key.
func keyOf(r row.Row) row.Row {
	switch r := r.(type) {
	case row.Role:
		return row.Role{ID: r.ID}
	case row.Resource:
		return row.Resource{ID: r.ID}
	case row.Membership:
		return row.Membership{Role: r.Role, Member: r.Member, Ownership: r.Ownership}
	case row.Permission:
		return row.Permission{Resource: r.Resource, Role: r.Role, Privilege: r.Privilege}
	case row.Annotation:
		return row.Annotation{Resource: r.Resource, Name: r.Name}
	}
	panic("policy: a plan changes roles, resources, memberships, permissions and annotations only")
}

func (p *Prospect) of(id ident.ID) *mention {
	m := p.named[id]
	if m == nil {
		m = &mention{}
		p.named[id] = m
	}
	return m
}

func (p *Prospect) mention(r row.Row) {
	switch r := r.(type) {
	case row.Role:
		p.of(r.ID)
	case row.Resource:
		p.of(r.ID)
		p.of(r.Owner)
	case row.Membership:
		note(&p.of(r.Role).members, edge{r.Role, r.Member})
		note(&p.of(r.Member).memberships, edge{r.Role, r.Member})
	case row.Permission:
		key := permission{r.Resource, r.Role, r.Privilege}
		note(&p.of(r.Resource).permits, key)
		note(&p.of(r.Role).holds, key)
	case row.Annotation:
		p.of(r.Resource)
	}
}

func note[K comparable](set *map[K]bool, key K) {
	if *set == nil {
		*set = map[K]bool{}
	}
	(*set)[key] = true
}

func (p *Prospect) item(g *rbac.Graph, x *rbac.Resource, m *mention) Item {
	if !p.visible(x) {
		return Item{ID: hidden(x.ID), Hidden: true, RoleLike: roleLike(x.ID)}
	}
	item := Item{ID: x.ID, RoleLike: roleLike(x.ID), Owner: p.shown(g, x.Owner)}
	if x.Policy != "" {
		item.Policy = p.shown(g, x.Policy)
	}
	for _, a := range x.Annotations {
		item.Annotations = append(item.Annotations, Annotation{a.Name, a.Value})
	}
	if !item.RoleLike {
		item.Privileges, item.Omitted.Privileges = p.privileges(g, x.Permissions, m.permits, func(e *rbac.Permission) ident.ID { return e.Role.ID })
		return item
	}
	r := x.Role
	if r == nil {
		return item
	}
	item.Networks = r.Networks
	if after, ok := p.networks[x.ID]; ok {
		item.Networks = after
	}
	item.Privileges, item.Omitted.Privileges = p.privileges(g, r.Permissions, m.holds, func(e *rbac.Permission) ident.ID { return e.Resource.ID })
	item.Members, item.Omitted.Members = p.ends(g, r.Members, m.members, func(e *rbac.Membership) ident.ID { return e.Member.ID })
	item.Memberships, item.Omitted.Memberships = p.ends(g, r.Held, m.memberships, func(e *rbac.Membership) ident.ID { return e.Role.ID })
	return item
}

// ends lists the far ends of a role's edges, each once: all of them, or of very many
// those that change.
func (p *Prospect) ends(g *rbac.Graph, edges []*rbac.Membership, changed map[edge]bool, end func(*rbac.Membership) ident.ID) (ends []ident.ID, omitted int) {
	if len(edges) > longestList {
		omitted = len(edges)
		edges = nil
		for key := range changed {
			for _, ownership := range [...]bool{false, true} {
				if e := g.Membership(key.role, key.member, ownership); e != nil {
					edges = append(edges, e)
				}
			}
		}
		omitted -= len(edges)
	}
	far := map[ident.ID]bool{}
	for _, e := range edges {
		far[end(e)] = true
	}
	for id := range far {
		ends = append(ends, p.shown(g, id))
	}
	slices.Sort(ends)
	return ends, omitted
}

func (p *Prospect) privileges(g *rbac.Graph, edges []*rbac.Permission, changed map[permission]bool, end func(*rbac.Permission) ident.ID) (list []Privilege, omitted int) {
	if len(edges) > longestList {
		omitted = len(edges)
		edges = nil
		for key := range changed {
			if e := g.Permission(key.resource, key.role, key.privilege); e != nil {
				edges = append(edges, e)
			}
		}
		omitted -= len(edges)
	}
	by := map[string][]ident.ID{}
	for _, e := range edges {
		by[e.Privilege] = append(by[e.Privilege], p.shown(g, end(e)))
	}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[name])
		list = append(list, Privilege{name, by[name]})
	}
	return list, omitted
}

// shown is an id as the viewer may know it.
func (p *Prospect) shown(g *rbac.Graph, id ident.ID) ident.ID {
	if x := g.Resource(id); x != nil && p.visible(x) {
		return id
	}
	return hidden(id)
}

func hidden(id ident.ID) ident.ID { return ident.New(id.Account(), id.Kind(), redacted) }
