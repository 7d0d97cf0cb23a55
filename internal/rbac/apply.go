package rbac

import (
	"cmp"
	"fmt"
	"slices"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// Add takes in one row as the store loads it. The error says that the rows
// contradict each other, which the store promises not to happen.
func (g *Graph) Add(r row.Row) error { return g.apply(row.Change{Op: row.Insert, Row: r}) }

// Apply brings the graph up to date with a set that has become durable. An error
// says that the set does not fit the graph: then the graph is no longer what the
// store has, and must not be used any more.
func (g *Graph) Apply(set *row.Set) error {
	for _, c := range set.Changes {
		if err := g.apply(c); err != nil {
			return err
		}
	}
	return nil
}

func misfit(c row.Change, what string) error {
	// Keys only: rows may carry sealed values.
	return fmt.Errorf("a change (%d, %T) does not fit the graph: %s", c.Op, c.Row, what)
}

func (g *Graph) apply(c row.Change) error {
	switch r := c.Row.(type) {
	case row.DataKey:
		return nil // the key ring's
	case row.Account:
		if c.Op == row.Delete {
			delete(g.accounts, r.Name)
			delete(g.keys, r.Name)
		} else {
			g.accounts[r.Name] = r
		}
		return nil
	case row.SigningKey:
		return g.applySigningKey(c, r)
	case row.Role:
		return g.applyRole(c, r)
	case row.Resource:
		return g.applyResource(c, r)
	case row.Membership:
		return g.applyMembership(c, r)
	case row.Permission:
		return g.applyPermission(c, r)
	case row.Annotation:
		return g.applyAnnotation(c, r)
	case row.APIKey, row.StagedKey, row.OldKey, row.KeyUse, row.Password, row.Restriction:
		return g.applyCredential(c)
	case row.Secret:
		return g.applySecret(c, r)
	case row.PolicyVersion:
		return g.applyPolicyVersion(c, r)
	case row.HostFactoryToken:
		return g.applyToken(c, r)
	case row.Authenticator:
		return g.applyAuthenticator(c, r)
	case row.Rotation:
		return g.applyRotation(c, r)
	case row.Credential, row.RotationEvent, row.Delivery:
		return nil // the store's
	}
	return misfit(c, "unknown row")
}

func (g *Graph) applySigningKey(c row.Change, r row.SigningKey) error {
	keys := slices.Clone(g.keys[r.Account]) // the old list may be in somebody's hands
	at := slices.IndexFunc(keys, func(k row.SigningKey) bool { return k.KeyID == r.KeyID })
	switch {
	case c.Op == row.Insert && at < 0:
		keys = append(keys, r)
	case c.Op == row.Update && at >= 0:
		keys[at] = r
	case c.Op == row.Delete && at >= 0:
		keys = slices.Delete(keys, at, at+1)
	default:
		return misfit(c, r.KeyID+" of "+r.Account)
	}
	// A store loads them in the order of their ids.
	slices.SortStableFunc(keys, func(a, b row.SigningKey) int { return a.CreatedAt.Compare(b.CreatedAt) })
	if g.keys[r.Account] = keys; len(keys) == 0 {
		delete(g.keys, r.Account)
	}
	return nil
}

func (g *Graph) applyRole(c row.Change, r row.Role) error {
	node := g.roles[r.ID]
	switch {
	case c.Op == row.Insert && node == nil:
		g.linkRole(&Role{Role: r})
	case c.Op == row.Delete && node != nil:
		if len(node.Members)+len(node.Held)+len(node.Permissions)+len(node.Owned) > 0 {
			return misfit(c, "the role is still referred to: "+string(r.ID))
		}
		g.unlinkRole(node)
	default:
		return misfit(c, string(r.ID))
	}
	return nil
}

func (g *Graph) applyResource(c row.Change, r row.Resource) error {
	node, owner := g.resources[r.ID], g.roles[r.Owner]
	switch {
	case c.Op == row.Insert && node == nil && owner != nil:
		g.serial++
		g.linkResource(&Resource{Resource: r, OwnerNode: owner, Serial: g.serial})
	case c.Op == row.Update && node != nil && owner != nil:
		g.setOwner(node, owner)
	case c.Op == row.Delete && node != nil:
		if len(node.Permissions)+len(node.Annotations) > 0 {
			return misfit(c, "the resource is still referred to: "+string(r.ID))
		}
		g.unlinkResource(node)
	default:
		return misfit(c, string(r.ID))
	}
	return nil
}

func (g *Graph) applyMembership(c row.Change, r row.Membership) error {
	node := g.Membership(r.Role, r.Member, r.Ownership)
	switch {
	case c.Op == row.Insert && node == nil:
		role, member := g.roles[r.Role], g.roles[r.Member]
		if role == nil || member == nil {
			return misfit(c, string(r.Member)+" in "+string(r.Role))
		}
		g.linkMembership(&Membership{Role: role, Member: member, Ownership: r.Ownership, Admin: r.Admin, Policy: r.Policy})
	case c.Op == row.Update && node != nil:
		node.Admin = r.Admin
	case c.Op == row.Delete && node != nil:
		g.unlinkMembership(node)
	default:
		return misfit(c, string(r.Member)+" in "+string(r.Role))
	}
	return nil
}

func (g *Graph) applyPermission(c row.Change, r row.Permission) error {
	node := g.Permission(r.Resource, r.Role, r.Privilege)
	switch {
	case c.Op == row.Insert && node == nil:
		resource, role := g.resources[r.Resource], g.roles[r.Role]
		if resource == nil || role == nil {
			return misfit(c, string(r.Role)+" on "+string(r.Resource))
		}
		g.linkPermission(&Permission{Resource: resource, Role: role, Privilege: r.Privilege, Policy: r.Policy})
	case c.Op == row.Delete && node != nil:
		g.unlinkPermission(node)
	default:
		return misfit(c, string(r.Role)+" on "+string(r.Resource))
	}
	return nil
}

func (g *Graph) applyAnnotation(c row.Change, r row.Annotation) error {
	x := g.resources[r.Resource]
	if x == nil {
		return misfit(c, string(r.Resource))
	}
	node := x.Annotation(r.Name)
	switch {
	case c.Op == row.Insert && node == nil:
		g.linkAnnotation(&Annotation{Resource: x, Name: r.Name, Value: r.Value, Policy: r.Policy})
	case c.Op == row.Update && node != nil:
		g.setAnnotation(node, r.Value)
	case c.Op == row.Delete && node != nil:
		g.unlinkAnnotation(node)
	default:
		return misfit(c, r.Name+" of "+string(r.Resource))
	}
	return nil
}

func (g *Graph) applyCredential(c row.Change) error {
	var id ident.ID
	switch r := c.Row.(type) {
	case row.APIKey:
		id = r.Role
	case row.StagedKey:
		id = r.Role
	case row.OldKey:
		id = r.Role
	case row.KeyUse:
		id = r.Role
	case row.Password:
		id = r.Role
	case row.Restriction:
		id = r.Role
	}
	node := g.roles[id]
	if node == nil {
		return misfit(c, string(id))
	}
	switch c.Row.(type) {
	case row.StagedKey, row.OldKey, row.KeyUse:
		if node.Key == nil {
			return misfit(c, "no API key of "+string(id))
		}
	}
	switch r := c.Row.(type) {
	case row.APIKey:
		r.Sealed = nil
		node.Key = kept(c.Op, &r)
		if node.Key == nil {
			node.Staged, node.Old, node.KeyUsed = nil, nil, 0
		}
	case row.StagedKey:
		node.Staged = kept(c.Op, &r)
	case row.OldKey:
		node.Old = kept(c.Op, &r)
	case row.KeyUse:
		node.KeyUsed = 0
		if c.Op != row.Delete && !r.UsedAt.IsZero() {
			node.KeyUsed = r.UsedAt.UnixMilli()
		}
	case row.Password:
		node.Password = kept(c.Op, &r)
	case row.Restriction:
		node.Networks = nil
		if c.Op != row.Delete {
			node.Networks = r.Networks
		}
	}
	return nil
}

func kept[T any](op row.Op, r *T) *T {
	if op == row.Delete {
		return nil
	}
	return r
}

// Old versions are pruned by whoever notices first: deleting one that is gone, even
// with its resource, is no misfit, as it is none for the store.

func (g *Graph) applySecret(c row.Change, r row.Secret) error {
	x := g.resources[r.Resource]
	if x == nil && c.Op == row.Delete {
		return nil
	}
	if x == nil {
		return misfit(c, string(r.Resource))
	}
	at, found := slices.BinarySearchFunc(x.Secrets, r.Version, func(s SecretVersion, v int) int { return cmp.Compare(s.Version, v) })
	version := SecretVersion{Version: r.Version}
	if !r.ExpiresAt.IsZero() {
		version.ExpiresAt = r.ExpiresAt.UnixMilli()
	}
	switch {
	case c.Op == row.Insert && !found:
		x.Secrets = slices.Insert(x.Secrets, at, version)
	case c.Op == row.Update && found:
		x.Secrets[at] = version
	case c.Op == row.Delete:
		if found {
			x.Secrets = slices.Delete(x.Secrets, at, at+1)
		}
	default:
		return misfit(c, string(r.Resource))
	}
	return nil
}

func (g *Graph) applyPolicyVersion(c row.Change, r row.PolicyVersion) error {
	x := g.resources[r.Policy]
	if x == nil && c.Op == row.Delete {
		return nil
	}
	if x == nil {
		return misfit(c, string(r.Policy))
	}
	at, found := slices.BinarySearch(x.Loads, r.Version)
	switch {
	case c.Op == row.Insert && !found:
		x.Loads = slices.Insert(x.Loads, at, r.Version)
	case c.Op == row.Update && found: // its number is all that is kept of it here
	case c.Op == row.Delete:
		if found {
			x.Loads = slices.Delete(x.Loads, at, at+1)
		}
	default:
		return misfit(c, string(r.Policy))
	}
	return nil
}

func (g *Graph) applyRotation(c row.Change, r row.Rotation) error {
	x := g.resources[r.Variable]
	if x == nil || (c.Op == row.Insert) != (x.Rotation == nil) {
		return misfit(c, string(r.Variable))
	}
	x.Rotation = kept(c.Op, &r)
	return nil
}

func (g *Graph) applyToken(c row.Change, r row.HostFactoryToken) error {
	node := g.tokens[r.Digest]
	switch {
	case c.Op == row.Insert && node == nil:
		x := g.resources[r.Factory]
		if x == nil {
			return misfit(c, string(r.Factory))
		}
		node = &FactoryToken{HostFactoryToken: r, Factory: x}
		push(&x.Tokens, node, &node.factoryAt)
		g.tokens[r.Digest] = node
	case c.Op == row.Update && node != nil && r.Factory == node.Factory.ID:
		node.HostFactoryToken = r // sealed anew
	case c.Op == row.Delete && node != nil:
		drop(&node.Factory.Tokens, node.factoryAt, func(t *FactoryToken) *int32 { return &t.factoryAt })
		delete(g.tokens, r.Digest)
	default:
		return misfit(c, string(r.Factory))
	}
	return nil
}

func (g *Graph) applyAuthenticator(c row.Change, r row.Authenticator) error {
	x := g.resources[r.Resource]
	if x == nil || (x.Switch == nil) != (c.Op == row.Insert) {
		return misfit(c, string(r.Resource))
	}
	x.Switch = kept(c.Op, &r)
	return nil
}
