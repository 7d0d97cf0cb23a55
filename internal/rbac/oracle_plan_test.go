package rbac

import (
	"rekey/internal/ident"
	"rekey/internal/row"
)

// What a planned change does to the rows, by the rules of ownership and of cascading
// deletes as they are worded.

// mirror makes true: if a resource and a role have the same id, the owner of the
// resource is a member of the role, with admin option, by ownership.
func (o *oracle) mirror(id ident.ID) {
	x, isResource := o.resource(id)
	if _, isRole := o.role(id); !isRole || !isResource {
		return
	}
	m := row.Membership{Role: id, Member: x.Owner, Ownership: true, Admin: true, Policy: x.Policy}
	if _, ok := o.rows[keyOf(m)]; !ok {
		o.must(row.Insert, m)
	}
}

func (o *oracle) insertRole(r row.Role) {
	o.must(row.Insert, r)
	o.mirror(r.ID)
}

func (o *oracle) insertResource(x row.Resource) {
	o.must(row.Insert, x)
	o.mirror(x.ID)
}

func (o *oracle) setOwner(x row.Resource, owner ident.ID) {
	if x.Owner == owner {
		return
	}
	o.unmirror(x)
	x.Owner = owner
	o.must(row.Update, x)
	o.mirror(x.ID)
}

func (o *oracle) unmirror(x row.Resource) {
	m := row.Membership{Role: x.ID, Member: x.Owner, Ownership: true}
	if _, ok := o.rows[keyOf(m)]; ok {
		o.must(row.Delete, m)
	}
}

// remove deletes roles and resources with all that has to go with them:
//   - with a role the resources that it owns, each with the role of its id;
//   - with a policy every row that was declared by loading it;
//   - with a role its memberships on either side and the permissions that it holds;
//   - with a resource its permissions, its annotations and the mirror of its ownership.
//
// It goes over all rows until nothing more has to go, so no order matters.
func (o *oracle) remove(roles, resources []ident.ID) {
	doomed := map[string]bool{}
	role := func(id ident.ID) bool { return doomed[keyOf(row.Role{ID: id})] }
	resource := func(id ident.ID) bool { return doomed[keyOf(row.Resource{ID: id})] }
	for _, id := range roles {
		doomed[keyOf(row.Role{ID: id})] = true
	}
	for _, id := range resources {
		doomed[keyOf(row.Resource{ID: id})] = true
	}
	for grown := true; grown; {
		grown = false
		for key, r := range o.rows {
			goes := resource(policyOf(r))
			switch r := r.(type) {
			case row.Role:
				x, ok := o.resource(r.ID)
				goes = goes || ok && role(x.Owner)
			case row.Resource:
				goes = goes || role(r.Owner)
			case row.Membership:
				x, ok := o.resource(r.Role)
				goes = goes || role(r.Role) || role(r.Member) ||
					ok && r.Ownership && x.Owner == r.Member && resource(x.ID)
			case row.Permission:
				goes = goes || role(r.Role) || resource(r.Resource)
			case row.Annotation:
				goes = goes || resource(r.Resource)
			}
			if goes && !doomed[key] {
				doomed[key], grown = true, true
			}
		}
	}
	for key := range doomed {
		if r, ok := o.rows[key]; ok {
			o.must(row.Delete, r)
		}
	}
}

func (o *oracle) removeRecord(id ident.ID) { o.remove([]ident.ID{id}, []ident.ID{id}) }

func (o *oracle) removeAccount(name string) {
	var ids []ident.ID
	for _, r := range o.view().roles {
		if r.ID.Account() == name {
			ids = append(ids, r.ID)
		}
	}
	for _, x := range o.view().resources {
		if x.ID.Account() == name {
			ids = append(ids, x.ID)
		}
	}
	o.remove(ids, ids)
}
