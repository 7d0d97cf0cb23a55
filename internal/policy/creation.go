package policy

import (
	"fmt"
	"slices"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// create makes what the document declares. What another policy has declared already
// is left to it, row by row.
func (p *planner) create(r *Resolved) error {
	for i := range r.Records {
		if err := p.record(&r.Records[i]); err != nil {
			return err
		}
	}
	granted := map[edge]bool{}
	for _, rec := range r.Records {
		for _, layer := range rec.Layers {
			if role := p.roleInside(layer); role != nil {
				p.grant(granted, role, p.g.Role(rec.ID), false)
			}
		}
	}
	for _, grant := range r.Grants {
		for _, role := range grant.Roles {
			if err := p.confined(role); err != nil {
				return err
			}
			for _, member := range grant.Members {
				if held, holder := p.roleInside(role), p.role(member.Reference); held != nil && holder != nil {
					p.grant(granted, held, holder, member.Admin)
				}
			}
		}
	}
	for _, permit := range r.Permits {
		if err := p.permit(permit); err != nil {
			return err
		}
	}
	return p.missingError(r)
}

func (p *planner) permit(permit Permit) (err error) {
	for _, resource := range permit.Resources {
		if err := p.confined(resource); err != nil {
			return err
		}
	}
	permit.each(func(resource, role Reference, privilege string) {
		x, holder := p.resource(resource), p.role(role)
		switch {
		case err != nil || x == nil || holder == nil || p.g.Permission(x.ID, holder.ID, privilege) != nil:
		case p.g.Privileges(x, holder) >= MaxPrivileges:
			err = refuse(ErrMeaning, permit.Position, "Use fewer kinds of privileges.",
				fmt.Sprintf("'%s' would have more than %d privileges on '%s'", holder.ID, MaxPrivileges, x.ID))
		default:
			p.tx.InsertPermission(row.Permission{Resource: x.ID, Role: holder.ID, Privilege: privilege, Policy: p.in.Policy})
		}
	})
	return err
}

func (p *planner) record(rec *Record) error {
	if err := p.admit(rec); err != nil {
		return err
	}
	if err := p.confined(Reference{rec.ID, rec.Position}); err != nil {
		return err
	}
	if rec.Role && p.g.Role(rec.ID) == nil {
		p.tx.InsertRole(row.Role{ID: rec.ID, CreatedAt: p.in.Now, Policy: p.in.Policy})
	}
	if !rec.Resource {
		return nil
	}
	owner := p.role(rec.Owner)
	if owner == nil {
		return nil
	}
	x := p.own(rec.ID, owner)
	for _, a := range rec.Annotations {
		switch old := x.Annotation(a.Name); {
		case old == nil && len(x.Annotations) >= MaxAnnotations:
			return refuse(ErrMeaning, rec.Position, "Leave some of the annotations out.",
				fmt.Sprintf("'%s' would have more than %d annotations", x.ID, MaxAnnotations))
		case old == nil:
			p.tx.InsertAnnotation(row.Annotation{Resource: x.ID, Name: a.Name, Value: a.Value, Policy: p.in.Policy})
		case p.updates(old.Policy):
			p.tx.SetAnnotation(old, a.Value)
		}
	}
	for _, k := range rec.PublicKeys {
		if p.declares(rec.ID) {
			p.own(k.Resource, owner)
		}
	}
	return nil
}

// own makes a resource with an owner, or gives it that owner if the load may. An
// owner whose membership in the role was revoked gets it back.
func (p *planner) own(id ident.ID, owner *rbac.Role) *rbac.Resource {
	x := p.g.Resource(id)
	switch {
	case x == nil:
		return p.tx.InsertResource(row.Resource{ID: id, Owner: owner.ID, CreatedAt: p.in.Now, Policy: p.in.Policy})
	case p.updates(x.Policy):
		p.tx.SetOwner(x, owner)
	}
	if x.Role != nil && x.Policy == p.in.Policy && x.OwnerNode == owner && p.g.Membership(id, x.Owner, true) == nil {
		p.tx.InsertMembership(row.Membership{Role: id, Member: x.Owner, Ownership: true, Admin: true, Policy: p.in.Policy})
	}
	return x
}

// declares tells whether a role that is there was declared by the loaded policy, in
// this load or before; what else hangs on the role is for that policy alone to set.
func (p *planner) declares(id ident.ID) bool {
	r := p.g.Role(id)
	return r != nil && r.Policy == p.in.Policy
}

// updates tells whether a row that exists may be changed by this load.
func (p *planner) updates(declaredBy ident.ID) bool {
	return p.in.Mode != Add && declaredBy == p.in.Policy
}

// noKeyByDefault is what clients know of a host that does not say how it logs in.
const noKeyByDefault = "API key authentication for hosts is disabled by default and will be removed in a future release. " +
	"Add the 'authn/api-key' annotation to this host with the value 'true' to ensure authentication works as expected for this host in the future."

// admit applies the settings that forbid some records.
func (p *planner) admit(rec *Record) error {
	switch rec.ID.Kind() {
	case "user":
		if p.in.UsersInRootOnly && rec.Resource && rec.Owner.ID != ident.New(p.account, "user", "admin") {
			return refuse(ErrMeaning, rec.Position, "Declare the user in the root policy.", "User creation is disabled.")
		}
	case "host":
		if !p.in.APIKeyDefault && rec.Resource && !slices.ContainsFunc(rec.Annotations, func(a Annotation) bool { return a.Name == apiKeyAnnotation }) {
			return refuse(ErrMeaning, rec.Position, "", noKeyByDefault)
		}
	}
	return nil
}

// grant makes or updates a membership. Of several grants of one role to one member
// the first counts.
func (p *planner) grant(granted map[edge]bool, role, member *rbac.Role, admin bool) {
	e := edge{role.ID, member.ID}
	if granted[e] {
		return
	}
	granted[e] = true
	switch old := p.g.Membership(role.ID, member.ID, false); {
	case old == nil:
		p.tx.InsertMembership(row.Membership{Role: role.ID, Member: member.ID, Admin: admin, Policy: p.in.Policy})
	case p.updates(old.Policy):
		p.tx.SetAdmin(old, admin)
	}
}
