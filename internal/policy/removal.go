package policy

import (
	"slices"

	"rekey/internal/ident"
)

// removeOthers deletes the rows that the policy declared and the document does not.
// It comes after the creations, so that what has moved to another owner is not taken
// along when its former owner goes.
func (p *planner) removeOthers() {
	policy := p.in.Policy
	for _, m := range p.g.DeclaredMemberships(policy) {
		if !m.Ownership && !p.memberships[edge{m.Role.ID, m.Member.ID}] {
			p.tx.DeleteMembership(m)
		}
	}
	for _, e := range p.g.DeclaredPermissions(policy) {
		if !p.permissions[permission{e.Resource.ID, e.Role.ID, e.Privilege}] {
			p.tx.DeletePermission(e)
		}
	}
	for _, a := range p.g.DeclaredAnnotations(policy) {
		if !p.annotations[annotation{a.Resource.ID, a.Name}] {
			p.tx.DeleteAnnotation(a)
		}
	}
	for _, x := range p.g.DeclaredResources(policy) {
		if !p.resources[x.ID] {
			p.tx.DeleteResource(x)
		}
	}
	for _, r := range p.g.DeclaredRoles(policy) {
		if !p.roles[r.ID] {
			p.tx.DeleteRole(r)
		}
	}
}

// survived refuses a load that declares what it has to take along with something
// else that it removes.
func (p *planner) survived(r *Resolved) error {
	for _, rec := range r.Records {
		ref := Reference{rec.ID, rec.Position}
		if rec.Role && p.g.Role(rec.ID) == nil || rec.Resource && p.g.Resource(rec.ID) == nil {
			p.miss(absence{Reference: ref, taken: true})
			continue
		}
		for _, k := range rec.PublicKeys {
			if p.g.Resource(k.Resource) == nil && p.declares(rec.ID) {
				p.miss(absence{Reference: Reference{k.Resource, rec.Position}, taken: true})
			}
		}
	}
	return p.missingError(r)
}

func (p *planner) remove(removal Removal) error {
	switch s := removal.(type) {
	case Revoke:
		for _, role := range s.Roles {
			for _, member := range s.Members {
				for _, ownership := range [...]bool{false, true} {
					if m := p.g.Membership(role.ID, member.ID, ownership); m != nil && m.Policy == p.in.Policy {
						p.tx.DeleteMembership(m)
					}
				}
			}
		}
	case Deny:
		Permit(s).each(func(resource, role Reference, privilege string) {
			if e := p.g.Permission(resource.ID, role.ID, privilege); e != nil && e.Policy == p.in.Policy {
				p.tx.DeletePermission(e)
			}
		})
	case Delete:
		if slices.Contains(p.foundations(), s.Record.ID) {
			return p.refuseFoundation(s.Record)
		}
		if err := p.confined(s.Record); err != nil {
			return err
		}
		p.tx.DeleteRecord(s.Record.ID)
	}
	return nil
}

// foundations are what holds an account together. In the account that guards accounts
// the guard and its owner are among them.
func (p *planner) foundations() []ident.ID {
	ids := []ident.ID{ident.New(p.account, "user", "admin"), ident.New(p.account, "policy", "root")}
	if p.account == "!" {
		ids = append(ids, "!:!:root", "!:webservice:accounts")
	}
	return ids
}

func (p *planner) refuseFoundation(ref Reference) error {
	return refuse(ErrMeaning, ref.Position, "Delete the account instead, if that is what you want.",
		"'"+string(ref.ID)+"' holds the account together and cannot be deleted")
}

// keepsFoundations refuses a load that would take one of them along with something
// else.
func (p *planner) keepsFoundations(r *Resolved) error {
	for _, id := range p.foundations() {
		if p.g.Role(id) != nil || p.g.Resource(id) != nil {
			continue
		}
		for _, removal := range r.Removals {
			if d, ok := removal.(Delete); ok {
				return refuse(ErrMeaning, d.Position, "Give it another owner first.", "'"+string(id)+"' would be deleted along with what owns it")
			}
		}
		return refuse(ErrMeaning, Position{}, "Give it another owner first.", "'"+string(id)+"' would be deleted along with what owns it")
	}
	return nil
}
