package policy

import (
	"rekey/internal/ident"
	"rekey/internal/row"
)

// removeUndeclared takes away what the policy declared and the document does not.
func (l *loading) removeUndeclared() {
	candidates := map[string]bool{}
	for _, m := range l.memberships() {
		candidates[rowKey(m)] = true
	}
	for _, e := range l.permissions() {
		candidates[rowKey(e)] = true
	}
	for _, rec := range l.r.Records {
		for _, a := range rec.Annotations {
			candidates[rowKey(row.Annotation{Resource: rec.ID, Name: a.Name})] = true
		}
	}
	var roles, resources []ident.ID
	for key, r := range l.rows {
		if declaredBy(r) != l.in.Policy {
			continue
		}
		switch r := r.(type) {
		case row.Role:
			if !l.declares(true, r.ID) {
				roles = append(roles, r.ID)
			}
		case row.Resource:
			if !l.declares(false, r.ID) {
				resources = append(resources, r.ID)
			}
		case row.Membership:
			if !r.Ownership && !candidates[key] {
				delete(l.rows, key)
			}
		default:
			if !candidates[key] {
				delete(l.rows, key)
			}
		}
	}
	l.cascade(roles, resources)
}

func declaredBy(r row.Row) ident.ID {
	switch r := r.(type) {
	case row.Role:
		return r.Policy
	case row.Resource:
		return r.Policy
	case row.Membership:
		return r.Policy
	case row.Permission:
		return r.Policy
	case row.Annotation:
		return r.Policy
	}
	return ""
}

// cascade deletes roles and resources with all that goes with them:
//   - with a role the resources that it owns, each with the role of its id;
//   - with a policy every row that was declared by loading it;
//   - with a role its memberships on either side, the permissions that it holds and
//     its credentials;
//   - with a resource its permissions, annotations and values, and the mirror of its
//     ownership.
//
// It goes over all rows until nothing more has to go.
func (l *loading) cascade(roles, resources []ident.ID) {
	doomed := map[string]bool{}
	for _, id := range roles {
		doomed[rowKey(row.Role{ID: id})] = true
	}
	for _, id := range resources {
		doomed[rowKey(row.Resource{ID: id})] = true
	}
	role := func(id ident.ID) bool { return doomed[rowKey(row.Role{ID: id})] }
	resource := func(id ident.ID) bool { return doomed[rowKey(row.Resource{ID: id})] }
	for grown := true; grown; {
		grown = false
		for key, r := range l.rows {
			goes := resource(declaredBy(r))
			switch r := r.(type) {
			case row.Role:
				x, ok := l.resource(r.ID)
				goes = goes || ok && role(x.Owner)
			case row.Resource:
				goes = goes || role(r.Owner)
			case row.Membership:
				x, ok := l.resource(r.Role)
				goes = goes || role(r.Role) || role(r.Member) || r.Ownership && ok && resource(x.ID) && x.Owner == r.Member
			case row.Permission:
				goes = goes || role(r.Role) || resource(r.Resource)
			case row.Annotation:
				goes = goes || resource(r.Resource)
			case row.APIKey:
				goes = role(r.Role)
			case row.Restriction:
				goes = role(r.Role)
			case row.Secret:
				goes = resource(r.Resource)
			}
			if goes && !doomed[key] {
				doomed[key], grown = true, true
			}
		}
	}
	for key := range doomed {
		delete(l.rows, key)
	}
}

func (l *loading) remove(removal Removal) error {
	removeOurs := func(r row.Row) {
		if old, ok := l.rows[rowKey(r)]; ok && declaredBy(old) == l.in.Policy {
			delete(l.rows, rowKey(r))
		}
	}
	switch s := removal.(type) {
	case Revoke:
		for _, role := range s.Roles {
			for _, member := range s.Members {
				removeOurs(row.Membership{Role: role.ID, Member: member.ID})
				removeOurs(row.Membership{Role: role.ID, Member: member.ID, Ownership: true})
			}
		}
	case Deny:
		for _, e := range product(Permit(s), "") {
			removeOurs(e)
		}
	case Delete:
		id := s.Record.ID
		if id == "acct:user:admin" || id == "acct:policy:root" {
			return errOracle
		}
		if l.anothers(id) {
			return errOracle
		}
		l.cascade([]ident.ID{id}, []ident.ID{id})
	}
	return nil
}
