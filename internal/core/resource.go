package core

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// ResourceView is all that a client may learn of a resource. Times are UTC.
type ResourceView struct {
	row.Resource
	Permissions    []row.Permission    // direct ones, by role then privilege
	Annotations    []row.Annotation    // by name
	Secrets        []SecretVersion     // kind variable: by version
	PolicyVersions []row.PolicyVersion // kind policy: by version
	Networks       []netip.Prefix      // kinds user, host: restricted_to
	Tokens         []FactoryToken      // kind host_factory
	Layers         []ident.ID          // kind host_factory
}

// SecretVersion says that a version of a value is kept.
type SecretVersion struct {
	Version   int
	ExpiresAt time.Time // zero: never
}

// ResourceQuery selects visible resources. Limit and Offset count rows.
type ResourceQuery struct {
	Account string  // "" for all
	Kind    string  // "" for all
	Search  *string // words that must all occur; nil for no search; empty finds nothing
	Owner   string  // short or full role id; "" for any
	ActAs   string  // full id of a role that the caller holds; "" for the caller itself
	Limit   int     // 0 for no limit
	Offset  int
}

// Resources lists the resources that the caller sees, in the byte order of their ids.
func (c *Core) Resources(ctx context.Context, caller Caller, q ResourceQuery) ([]ResourceView, error) {
	views := []ResourceView{}
	err := c.list(caller, q, func(viewer *rbac.Role, x *rbac.Resource) { views = append(views, c.view(viewer, x)) })
	if err == nil {
		for i := range views {
			if err = c.complete(ctx, &views[i]); err != nil {
				break
			}
		}
	}
	return views, c.decided(err, c.by(caller).List(parameters(q, false), err))
}

// CountResources counts what Resources would list.
func (c *Core) CountResources(_ context.Context, caller Caller, q ResourceQuery) (int, error) {
	n := 0
	err := c.list(caller, q, func(*rbac.Role, *rbac.Resource) { n++ })
	return n, c.decided(err, c.by(caller).List(parameters(q, true), err))
}

func (c *Core) list(caller Caller, q ResourceQuery, visit func(viewer *rbac.Role, x *rbac.Resource)) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	viewer, err := c.role(caller)
	if err != nil {
		return err
	}
	if q.ActAs != "" {
		if viewer, err = c.heldRole(caller, viewer, q.ActAs); err != nil {
			return err
		}
	}
	query := rbac.Query{Account: q.Account, Kind: q.Kind}
	if q.Owner != "" {
		id, err := ident.Qualify(q.Account, q.Owner)
		if err != nil {
			return err
		}
		if !c.mayAskFor(caller, id) {
			return notFound(id)
		}
		query.Owner = c.graph.Role(id)
	}
	if q.Search != nil {
		found := c.graph.Find(*q.Search)
		query.Match = &found
	}
	skip, left := q.Offset, q.Limit
	c.graph.List(viewer, query, func(x *rbac.Resource) bool {
		if skip > 0 {
			skip--
			return true
		}
		visit(viewer, x)
		left--
		return left != 0
	})
	return nil
}

// heldRole finds a role, by full id, that the caller holds. Forbidden also where it
// does not exist.
func (c *Core) heldRole(caller Caller, holder *rbac.Role, id string) (*rbac.Role, error) {
	r := c.graph.Role(ident.ID(id))
	if r == nil || !c.graph.Holds(holder, r) {
		return nil, forbidden("CONJ00122E '%s' does not hold role '%s'", caller.Role, id)
	}
	return r, nil
}

// Resource shows one resource.
func (c *Core) Resource(ctx context.Context, caller Caller, id ident.ID) (ResourceView, error) {
	c.mu.RLock()
	r, x, err := c.visible(caller, id)
	var v ResourceView
	if err == nil {
		v = c.view(r, x)
	}
	c.mu.RUnlock()
	if err == nil {
		err = c.complete(ctx, &v)
	}
	return v, c.decided(err, c.by(caller).Resource(id, err))
}

// view copies what the graph knows of a resource and may tell to a role that sees it.
// The caller holds the graph.
func (c *Core) view(viewer *rbac.Role, x *rbac.Resource) ResourceView {
	v := ResourceView{
		Resource:    x.Resource,
		Permissions: make([]row.Permission, len(x.Permissions)),
		Annotations: make([]row.Annotation, len(x.Annotations)),
	}
	for i, p := range x.Permissions {
		v.Permissions[i] = p.Row()
	}
	if len(v.Permissions) > 1 {
		slices.SortFunc(v.Permissions, func(a, b row.Permission) int {
			return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Privilege, b.Privilege))
		})
	}
	for i, a := range x.Annotations {
		v.Annotations[i] = a.Row()
	}
	switch x.ID.Kind() {
	case "variable":
		v.Secrets = make([]SecretVersion, len(x.Secrets))
		for i, s := range x.Secrets {
			v.Secrets[i].Version = s.Version
			if s.ExpiresAt != 0 {
				v.Secrets[i].ExpiresAt = time.UnixMilli(s.ExpiresAt).UTC()
			}
		}
	case "user", "host":
		if x.Role != nil {
			v.Networks = x.Role.Networks
		}
	case "host_factory":
		if x.Role != nil {
			for _, m := range x.Role.Held {
				if m.Role.ID.Kind() == "layer" && !m.Ownership {
					v.Layers = append(v.Layers, m.Role.ID)
				}
			}
			slices.Sort(v.Layers)
		}
		v.Tokens = c.factoryTokens(viewer, x)
	}
	return v
}

// complete adds what only the store knows, and opens what is sealed.
func (c *Core) complete(ctx context.Context, v *ResourceView) (err error) {
	if v.ID.Kind() == "policy" {
		if v.PolicyVersions, err = c.store.PolicyVersions(ctx, v.ID); err != nil {
			return unavailable(err, "policy versions of "+string(v.ID))
		}
	}
	for i := range v.Tokens {
		if err := c.openToken(&v.Tokens[i]); err != nil {
			return err
		}
	}
	return nil
}

// Check tells whether a role (full id; "" for the caller) has a privilege on a
// resource that the caller sees. NotFound if it does not, Forbidden if the caller
// does not hold the role.
func (c *Core) Check(_ context.Context, caller Caller, id ident.ID, privilege, role string) (bool, error) {
	allowed, err := c.check(caller, id, privilege, role)
	denied := err
	if err == nil && !allowed {
		denied = errNotPermitted
	}
	asked := ident.ID(role)
	if asked == "" {
		asked = caller.Role
	}
	return allowed, c.decided(err, c.by(caller).Check(id, asked, privilege, denied))
}

var errNotPermitted = forbidden("not permitted")

func (c *Core) check(caller Caller, id ident.ID, privilege, role string) (bool, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.role(caller)
	if err != nil {
		return false, err
	}
	asked := r
	if role != "" {
		if asked, err = c.heldRole(caller, r, role); err != nil {
			return false, err
		}
	}
	_, x, err := c.visible(caller, id)
	if err != nil {
		return false, err
	}
	return c.graph.Allowed(asked, privilege, x), nil
}

// PermittedRoles lists the roles that have a privilege on a resource, in the order of
// their ids.
func (c *Core) PermittedRoles(_ context.Context, caller Caller, id ident.ID, privilege string) ([]ident.ID, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, x, err := c.visible(caller, id)
	if err != nil {
		return nil, err
	}
	return ids(c.graph.RolesThatCan(privilege, x)), nil
}

func ids(roles []*rbac.Role) []ident.ID {
	all := make([]ident.ID, len(roles))
	for i, r := range roles {
		all[i] = r.ID
	}
	slices.Sort(all)
	return all
}
