// Package rbac is the in-memory graph of roles, resources, memberships, permissions
// and annotations, and the questions asked of it: is a role allowed to do something,
// what does it see, what does it hold, who may.
//
// The graph is always equal to what is durable: Apply brings it up to date with
// change sets that the store has accepted. A Tx plans changes: it makes them on the
// graph, writes each one down, and takes them back. The package is pure: no network,
// no disk, no clock, no randomness, and no locks: the caller guards a Graph as one
// guards a map. Nodes are read-only outside of the package. It imports row and ident.
package rbac

import (
	"net/netip"

	"github.com/tidwall/btree"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// Graph holds every account. It has the concurrency of a map: many readers or one
// writer.
type Graph struct {
	accounts  map[string]row.Account
	keys      map[string][]row.SigningKey // by account, oldest first
	roles     map[ident.ID]*Role
	resources map[ident.ID]*Resource
	ordered   *btree.BTreeG[*Resource] // by id, byte order
	policies  map[ident.ID]*declared   // rows by the policy that declared them
	tokens    map[[32]byte]*FactoryToken
	epoch     uint64 // counts changes to memberships; cached closures name theirs
	serial    uint64 // counts resources ever inserted
	texts     uint64 // counts changes to what a search finds
	search    *index // nil until there is one
	limits    limits

	roleKinds, resourceKinds census
}

// Succeed makes an empty graph one that takes another one's place: the serials of its
// resources are none that the other has given, or gives while this one is filled.
func (g *Graph) Succeed(other *Graph) { g.serial = other.serial + 1<<32 }

// Role is the node of a role.
type Role struct {
	row.Role
	Resource    *Resource     // of the same id, if any
	Members     []*Membership // edges to those that hold this role; unordered
	Held        []*Membership // edges to the roles that it holds; unordered
	Permissions []*Permission // unordered
	Owned       []*Resource   // unordered
	Key         *row.APIKey   // without Sealed; nil if it has none
	Staged      *row.StagedKey
	Old         *row.OldKey
	KeyUsed     int64 // when Key was used, Unix milliseconds, to about an hour; 0: never
	Password    *row.Password
	Networks    []netip.Prefix // where it may authenticate from; empty: anywhere

	closure  closureSlot
	policyAt int32
}

// Resource is the node of a resource.
type Resource struct {
	row.Resource
	Role        *Role // of the same id, if any
	OwnerNode   *Role
	Permissions []*Permission // unordered
	Annotations []*Annotation // by name
	Secrets     []SecretVersion
	Loads       []int              // kept policy versions, oldest first
	Tokens      []*FactoryToken    // unordered
	Switch      *row.Authenticator // nil: nobody has enabled or disabled it
	Rotation    *row.Rotation      // of a variable whose rotation has begun; never changed in place
	Serial      uint64             // distinguishes a resource from an earlier one of the same id

	ownedAt  int32
	policyAt int32
}

// SecretVersion says that a version of a value is kept. Oldest first in a resource.
type SecretVersion struct {
	Version   int
	ExpiresAt int64 // Unix milliseconds; 0: never
}

// Membership is the edge between a role and one that holds it.
type Membership struct {
	Role, Member     *Role
	Ownership, Admin bool
	Policy           ident.ID

	roleAt, memberAt, policyAt int32
}

// Row is the durable form.
func (m *Membership) Row() row.Membership {
	return row.Membership{Role: m.Role.ID, Member: m.Member.ID, Ownership: m.Ownership, Admin: m.Admin, Policy: m.Policy}
}

// Permission is the edge between a role and a resource on which it has a privilege.
type Permission struct {
	Resource  *Resource
	Role      *Role
	Privilege string
	Policy    ident.ID

	resourceAt, roleAt, policyAt int32
}

// Row is the durable form.
func (p *Permission) Row() row.Permission {
	return row.Permission{Resource: p.Resource.ID, Role: p.Role.ID, Privilege: p.Privilege, Policy: p.Policy}
}

// Annotation is a named text on a resource.
type Annotation struct {
	Resource    *Resource
	Name, Value string
	Policy      ident.ID

	policyAt int32
}

// Row is the durable form.
func (a *Annotation) Row() row.Annotation {
	return row.Annotation{Resource: a.Resource.ID, Name: a.Name, Value: a.Value, Policy: a.Policy}
}

// FactoryToken is a host factory token.
type FactoryToken struct {
	row.HostFactoryToken
	Factory *Resource

	factoryAt int32
}

// declared has the rows that one policy declared.
type declared struct {
	policy      ident.ID
	roles       []*Role
	resources   []*Resource
	memberships []*Membership
	permissions []*Permission
	annotations []*Annotation
}

// New is an empty graph.
func New() *Graph {
	return &Graph{
		accounts:  map[string]row.Account{},
		keys:      map[string][]row.SigningKey{},
		roles:     map[ident.ID]*Role{},
		resources: map[ident.ID]*Resource{},
		ordered:   btree.NewBTreeGOptions(func(a, b *Resource) bool { return a.ID < b.ID }, btree.Options{NoLocks: true}),
		policies:  map[ident.ID]*declared{},
		tokens:    map[[32]byte]*FactoryToken{},
		limits:    usual,

		roleKinds: census{}, resourceKinds: census{},
	}
}

// Role returns the role of an id, or nil.
func (g *Graph) Role(id ident.ID) *Role { return g.roles[id] }

// Resource returns the resource of an id, or nil.
func (g *Graph) Resource(id ident.ID) *Resource { return g.resources[id] }

// Token returns the host factory token of a digest, or nil.
func (g *Graph) Token(digest [32]byte) *FactoryToken { return g.tokens[digest] }

// Len counts roles and resources.
func (g *Graph) Len() (roles, resources int) { return len(g.roles), len(g.resources) }

// Membership returns the edge of a key, or nil. It looks at the shorter of the two
// lists that the edge is in.
func (g *Graph) Membership(role, member ident.ID, ownership bool) *Membership {
	r, m := g.roles[role], g.roles[member]
	if r == nil || m == nil {
		return nil
	}
	edges := r.Members
	if len(m.Held) < len(edges) {
		edges = m.Held
	}
	for _, e := range edges {
		if e.Role == r && e.Member == m && e.Ownership == ownership {
			return e
		}
	}
	return nil
}

// Permission returns the edge of a key, or nil.
func (g *Graph) Permission(resource, role ident.ID, privilege string) *Permission {
	x, r := g.resources[resource], g.roles[role]
	if x == nil || r == nil {
		return nil
	}
	edges := x.Permissions
	if len(r.Permissions) < len(edges) {
		edges = r.Permissions
	}
	for _, e := range edges {
		if e.Resource == x && e.Role == r && e.Privilege == privilege {
			return e
		}
	}
	return nil
}

// Privileges counts what a role may do with a resource by its own permissions.
func (g *Graph) Privileges(x *Resource, r *Role) int {
	edges := x.Permissions
	if len(r.Permissions) < len(edges) {
		edges = r.Permissions
	}
	n := 0
	for _, e := range edges {
		if e.Resource == x && e.Role == r {
			n++
		}
	}
	return n
}

// Annotation returns the annotation of a name, or nil.
func (x *Resource) Annotation(name string) *Annotation {
	if i, ok := x.annotationAt(name); ok {
		return x.Annotations[i]
	}
	return nil
}

// Latest is the newest version of its value; 0 if it has none.
func (x *Resource) Latest() int {
	if n := len(x.Secrets); n > 0 {
		return x.Secrets[n-1].Version
	}
	return 0
}

// HasVersion tells whether a version of its value is kept.
func (x *Resource) HasVersion(version int) bool {
	for i := len(x.Secrets) - 1; i >= 0; i-- {
		if x.Secrets[i].Version == version {
			return true
		}
	}
	return false
}
