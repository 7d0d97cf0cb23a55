package rbac

import "rekey/internal/ident"

// The rows that loading a policy declared, for a load that replaces them. Each walk
// may delete what it visits.

// DeclaredRoles returns the roles that a policy declared, in no order.
func (g *Graph) DeclaredRoles(policy ident.ID) []*Role {
	if d := g.policies[policy]; d != nil {
		return append([]*Role(nil), d.roles...)
	}
	return nil
}

// DeclaredResources returns the resources that a policy declared, in no order.
func (g *Graph) DeclaredResources(policy ident.ID) []*Resource {
	if d := g.policies[policy]; d != nil {
		return append([]*Resource(nil), d.resources...)
	}
	return nil
}

// DeclaredMemberships returns the memberships that a policy declared, in no order.
func (g *Graph) DeclaredMemberships(policy ident.ID) []*Membership {
	if d := g.policies[policy]; d != nil {
		return append([]*Membership(nil), d.memberships...)
	}
	return nil
}

// DeclaredPermissions returns the permissions that a policy declared, in no order.
func (g *Graph) DeclaredPermissions(policy ident.ID) []*Permission {
	if d := g.policies[policy]; d != nil {
		return append([]*Permission(nil), d.permissions...)
	}
	return nil
}

// DeclaredAnnotations returns the annotations that a policy declared, in no order.
func (g *Graph) DeclaredAnnotations(policy ident.ID) []*Annotation {
	if d := g.policies[policy]; d != nil {
		return append([]*Annotation(nil), d.annotations...)
	}
	return nil
}
