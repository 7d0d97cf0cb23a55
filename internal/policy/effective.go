package policy

import (
	"cmp"
	"slices"
	"strings"

	"rekey/internal/ident"
	"rekey/internal/rbac"
)

// Reading says which part of an account to read.
type Reading struct {
	Policy  *rbac.Resource // root for the whole account
	Depth   int            // levels beneath the policy
	Visible func(*rbac.Resource) bool
}

// Effective is what a policy comprises, as the statements that make it: those of the
// root policy for the account as a whole, or else the policy with its body, for its
// parent. Loading it where it was read changes nothing. It has only what the reader
// sees, and of the rest says in a comment what the language cannot express.
type Effective struct {
	// Size counts the resources that are not users, their annotations and the
	// permissions on them.
	Size int
	// Keys are the public keys of users whose values Publish wants.
	Keys []ident.ID

	g        *rbac.Graph
	in       Reading
	account  string
	base     string // the policy's identifier, "" for root
	parent   string // where the text is loaded: a policy's identifier, or ""
	slashes  int    // the most that an included identifier has
	top      *body
	bodies   map[string]*body    // by the policy's identifier
	dashed   map[string][]string // policies by their name in the ids of users
	places   map[ident.ID]place  // of what is included
	users    map[ident.ID]*item
	spare    map[ident.ID][]*item // public keys as resources, where their values do not say what they are
	custom   map[customID]bool
	unspoken []string
}

// body is the list of statements of a policy, or the top of the text.
type body struct {
	policy string   // its identifier: the namespace
	owner  ident.ID // the default owner; "" if every owner is to be written
	items  []*item
}

// place is where a record stands, and its id there.
type place struct {
	body *body
	id   string
}

// NewEffective reads a policy.
func NewEffective(g *rbac.Graph, in Reading) *Effective {
	e := &Effective{
		g: g, in: in, account: in.Policy.ID.Account(),
		bodies: map[string]*body{}, dashed: map[string][]string{}, places: map[ident.ID]place{},
		users: map[ident.ID]*item{}, spare: map[ident.ID][]*item{}, custom: map[customID]bool{},
	}
	e.top = &body{owner: in.Policy.Owner}
	if name := in.Policy.ID.Identifier(); name != "root" {
		e.base = name
		e.parent = e.enclosing(name)
		e.top = &body{policy: e.parent}
		if e.parent != "" {
			e.top.owner = e.policyID(e.parent)
		}
	}
	e.slashes = strings.Count(e.base, "/") + in.Depth
	resources := e.collect()
	users := e.collectUsers()
	for _, x := range resources {
		e.describe(x)
		e.Size += 1 + len(x.Annotations) + len(x.Permissions)
	}
	for _, r := range e.bareRoles() {
		e.describeRole(r)
	}
	for _, x := range users {
		e.describe(x)
		e.collectKeys(x)
	}
	return e
}

func (e *Effective) policyID(identifier string) ident.ID {
	return ident.New(e.account, "policy", identifier)
}

// collect finds everything but users and their keys, by full id, and gives it places.
func (e *Effective) collect() []*rbac.Resource {
	var found []*rbac.Resource
	add := func(x *rbac.Resource) bool {
		if strings.Count(x.ID.Identifier(), "/") <= e.slashes && !e.isUsersKey(x) && e.in.Visible(x) {
			found = append(found, x)
		}
		return true
	}
	own := e.g.Role(e.in.Policy.ID)
	for _, kind := range e.g.Kinds(e.account) {
		switch {
		case kind == "user":
		case e.base == "":
			e.g.Ascend(string(ident.New(e.account, kind, "")), add)
		default:
			// What has the policy's own name and is its own stands beside it.
			if x := e.g.Resource(ident.New(e.account, kind, e.base)); x != nil && (x == e.in.Policy || x.OwnerNode == own) {
				add(x)
			}
			e.g.Ascend(string(ident.New(e.account, kind, e.base+"/")), add)
		}
	}
	for _, x := range found {
		if name := x.ID.Identifier(); x.ID.Kind() == "policy" && x.ID != e.policyID("root") {
			e.bodies[name] = &body{policy: name, owner: x.ID}
		}
	}
	for _, x := range found {
		e.settle(x.ID)
	}
	return found
}

// collectUsers finds the users whose place is in the text, by full id.
func (e *Effective) collectUsers() []*rbac.Resource {
	e.g.Ascend(string(e.policyID(e.base)), func(x *rbac.Resource) bool {
		if name := x.ID.Identifier(); name == e.base || e.base == "" || strings.HasPrefix(name, e.base+"/") {
			e.dashed[dashes(name)] = append(e.dashed[dashes(name)], name)
		}
		return true
	})
	var found []*rbac.Resource
	e.g.Ascend(string(ident.New(e.account, "user", "")), func(x *rbac.Resource) bool {
		home, name := e.home(x)
		b := e.bodies[home]
		if b == nil && e.base == "" && strings.Count(home, "/") <= e.slashes {
			b, name = e.top, x.ID.Identifier()
		}
		if b != nil && writable(name) && name != ".." && e.in.Visible(x) {
			e.places[x.ID] = place{b, name}
			found = append(found, x)
		}
		return true
	})
	return found
}

// bareRoles finds the roles without a resource that policies have declared here.
func (e *Effective) bareRoles() []*rbac.Role {
	var found []*rbac.Role
	from := func(policy ident.ID) {
		for _, r := range e.g.DeclaredRoles(policy) {
			name := r.ID.Identifier()
			_, inside := beneath(e.base, name)
			if r.Resource == nil && inside && strings.Count(name, "/") <= e.slashes && e.settle(r.ID) {
				found = append(found, r)
			}
		}
	}
	for name := range e.bodies {
		from(e.policyID(name))
	}
	from(e.policyID("root"))
	for outer := e.parent; outer != ""; outer = e.enclosing(outer) {
		from(e.policyID(outer))
	}
	slices.SortFunc(found, func(a, b *rbac.Role) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// isUsersKey tells whether a resource is a public key that belongs to a user.
func (e *Effective) isUsersKey(x *rbac.Resource) bool {
	rest, ok := strings.CutPrefix(x.ID.Identifier(), "user/")
	user, _, keyed := strings.Cut(rest, "/")
	return ok && keyed && x.ID.Kind() == "public_key" && e.g.Resource(ident.New(e.account, "user", user)) != nil
}

// collectKeys finds the public keys of a user. What the user's lines cannot say about
// one is said by a resource of its own, which can stand at the top only.
func (e *Effective) collectKeys(user *rbac.Resource) {
	e.g.Ascend(string(ident.New(e.account, "public_key", "user/"+user.ID.Identifier()+"/")), func(x *rbac.Resource) bool {
		said := x.Latest() > 0 && e.users[user.ID] != nil
		if said {
			e.Keys = append(e.Keys, x.ID)
		}
		alone := !said || len(x.Annotations)+len(x.Permissions) > 0 || x.Owner != user.Owner
		if e.base != "" {
			if alone {
				e.leaveOut("%s", x.ID)
			}
			return true
		}
		spare := &body{owner: e.top.owner}
		e.places[x.ID] = place{spare, x.ID.Identifier()}
		e.describe(x)
		if alone {
			e.top.items = append(e.top.items, spare.items...)
		} else {
			e.spare[x.ID] = spare.items
		}
		return true
	})
}

// Publish gives the value of one of the Keys. The graph may have changed meanwhile: it
// is not asked again.
func (e *Effective) Publish(key ident.ID, line string) {
	user, comment, _ := strings.Cut(strings.TrimPrefix(key.Identifier(), "user/"), "/")
	said, ok := keyComment(line)
	switch {
	case ok && said == comment:
		owner := e.users[ident.New(e.account, "user", user)]
		owner.keys = append(owner.keys, line)
	case e.base == "":
		e.top.items = append(e.top.items, e.spare[key]...)
	default:
		e.leaveOut("%s", key)
	}
}
