package policy

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// The rules of loading as they are worded, on rows. A document stands for candidate
// rows; what exists under another policy is left alone; what is there already is
// updated unless the load only adds; a replacement then takes away what the policy
// declared and the document does not, with all that hangs on it; removals come last.

var errOracle = errors.New("refused")

// expectation is what a load must lead to.
type expectation struct {
	rows              rows // without the credentials that change
	newKeys, lostKeys []ident.ID
	restrictions      []row.Restriction
	publicKeys        []PublicKey
	users             []ident.ID
}

type loading struct {
	rows
	in Load
	r  *Resolved
}

func expect(before rows, r *Resolved, in Load) (*expectation, error) {
	if in.Mode == Add && len(r.Removals) > 0 {
		return nil, errOracle
	}
	l := &loading{rows: maps.Clone(before), in: in, r: r}
	if err := l.records(); err != nil {
		return nil, err
	}
	if err := l.edges(); err != nil {
		return nil, err
	}
	if in.Mode == Replace {
		l.removeUndeclared()
		for _, rec := range r.Records {
			_, isRole := l.role(rec.ID)
			_, isResource := l.resource(rec.ID)
			if rec.Role && !isRole || rec.Resource && (!isResource || !l.stays(rec.Owner.ID)) {
				return nil, errOracle
			}
		}
		if err := l.edges(); err != nil { // what a removed row had shadowed
			return nil, err
		}
		for _, rec := range r.Records {
			for _, a := range rec.Annotations {
				l.annotate(rec.ID, a)
			}
			for _, k := range rec.PublicKeys {
				if _, ok := l.resource(k.Resource); !ok && l.ours(rec.ID) {
					return nil, errOracle
				}
			}
		}
	}
	for _, removal := range r.Removals {
		if err := l.remove(removal); err != nil {
			return nil, err
		}
	}
	for _, id := range []ident.ID{"acct:user:admin", "acct:policy:root"} {
		_, isRole := l.role(id)
		_, isResource := l.resource(id)
		if !isRole || !isResource {
			return nil, errOracle
		}
	}
	return l.outcome(before), nil
}

// declares tells whether the document has a row of this type and id.
func (l *loading) declares(role bool, id ident.ID) bool {
	for _, rec := range l.r.Records {
		if rec.ID == id && (role && rec.Role || !role && rec.Resource) {
			return true
		}
		for _, k := range rec.PublicKeys {
			if !role && k.Resource == id {
				return true
			}
		}
	}
	return false
}

// stays tells whether a role may be referred to: it is there, and this load is not
// one that takes it away.
func (l *loading) stays(id ident.ID) bool {
	r, ok := l.role(id)
	return ok && (l.in.Mode != Replace || r.Policy != l.in.Policy || l.declares(true, id))
}

func (l *loading) resourceStays(id ident.ID) bool {
	x, ok := l.resource(id)
	return ok && (l.in.Mode != Replace || x.Policy != l.in.Policy || l.declares(false, id))
}

// ours tells whether a role belongs to the loaded policy.
func (l *loading) ours(id ident.ID) bool {
	r, ok := l.role(id)
	return ok && r.Policy == l.in.Policy
}

// mirror: if a resource and a role have the same id, the owner of the resource is a
// member of the role with admin option, by ownership.
func (l *loading) mirror(id ident.ID) {
	x, ok := l.resource(id)
	if _, both := l.role(id); !ok || !both {
		return
	}
	m := row.Membership{Role: id, Member: x.Owner, Ownership: true, Admin: true, Policy: x.Policy}
	if _, ok := l.rows[rowKey(m)]; !ok {
		l.put(m)
	}
}

func (l *loading) unmirror(x row.Resource) {
	delete(l.rows, rowKey(row.Membership{Role: x.ID, Member: x.Owner, Ownership: true}))
}

func (l *loading) records() error {
	for _, rec := range l.r.Records {
		if l.anothers(rec.ID) {
			return errOracle
		}
		if rec.Role {
			if _, ok := l.role(rec.ID); !ok {
				l.put(row.Role{ID: rec.ID, CreatedAt: l.in.Now, Policy: l.in.Policy})
				l.mirror(rec.ID)
			}
		}
		if !rec.Resource {
			continue
		}
		if !l.stays(rec.Owner.ID) {
			return errOracle
		}
		l.own(rec.ID, rec.Owner.ID)
		for _, a := range rec.Annotations {
			l.annotate(rec.ID, a)
		}
		for _, k := range rec.PublicKeys {
			if l.ours(rec.ID) {
				l.own(k.Resource, rec.Owner.ID)
			}
		}
		keyed := slices.ContainsFunc(rec.Annotations, func(a Annotation) bool { return a.Name == "authn/api-key" })
		if rec.ID.Kind() == "host" && !l.in.APIKeyDefault && !keyed {
			return errOracle
		}
	}
	return nil
}

// own makes a resource with an owner, or gives it that owner where this load may.
func (l *loading) own(id, owner ident.ID) {
	x, ok := l.resource(id)
	switch {
	case !ok:
		l.put(row.Resource{ID: id, Owner: owner, CreatedAt: l.in.Now, Policy: l.in.Policy})
	case x.Policy != l.in.Policy:
		return
	case x.Owner != owner && l.in.Mode == Add:
		return
	case x.Owner != owner:
		l.unmirror(x)
		x.Owner = owner
		l.put(x)
	}
	l.mirror(id)
}

func (l *loading) annotate(id ident.ID, a Annotation) {
	old, ok := l.annotation(id, a.Name)
	if !ok || old.Policy == l.in.Policy && l.in.Mode != Add {
		l.put(row.Annotation{Resource: id, Name: a.Name, Value: a.Value, Policy: l.in.Policy})
	}
}

// edges are the candidate memberships, of which the first of two with one key counts,
// and permissions.
// anothers tells of a user that it belongs to a policy outside of the loaded one: to the
// one that owns it, if the user is named after that, else to the one that declared it.
func (l *loading) anothers(id ident.ID) bool {
	in := strings.TrimPrefix(string(l.in.Policy), "acct:policy:")
	if in == "root" || id.Kind() != "user" {
		return false
	}
	role, _ := l.role(id)
	x, isResource := l.resource(id)
	home := role.Policy
	if isResource {
		home = x.Policy
	}
	if strings.HasPrefix(string(home)+"/", string(l.in.Policy)+"/") {
		return false
	}
	if owner := x.Owner.Identifier(); x.Owner.Kind() == "policy" && strings.HasSuffix(string(id), "@"+strings.ReplaceAll(owner, "/", "-")) {
		return !strings.HasPrefix(owner+"/", in+"/")
	}
	return home != "" && home != "acct:policy:root" && !strings.HasPrefix(in+"/", home.Identifier()+"/")
}

func (l *loading) edges() error {
	for _, g := range l.r.Grants {
		if slices.ContainsFunc(g.Roles, func(role Reference) bool { return l.anothers(role.ID) }) {
			return errOracle
		}
	}
	for _, p := range l.r.Permits {
		if slices.ContainsFunc(p.Resources, func(x Reference) bool { return l.anothers(x.ID) }) {
			return errOracle
		}
	}
	seen := map[string]bool{}
	for _, m := range l.memberships() {
		if !l.stays(m.Role) || !l.stays(m.Member) {
			return errOracle
		}
		if seen[rowKey(m)] {
			continue
		}
		seen[rowKey(m)] = true
		old, ok := l.rows[rowKey(m)].(row.Membership)
		if !ok || old.Policy == l.in.Policy && l.in.Mode != Add {
			l.put(m)
		}
	}
	for _, e := range l.permissions() {
		if !l.resourceStays(e.Resource) || !l.stays(e.Role) {
			return errOracle
		}
		if _, ok := l.rows[rowKey(e)]; !ok {
			l.put(e)
		}
	}
	return nil
}

func (l *loading) memberships() (all []row.Membership) {
	for _, rec := range l.r.Records {
		for _, layer := range rec.Layers {
			all = append(all, row.Membership{Role: layer.ID, Member: rec.ID, Policy: l.in.Policy})
		}
	}
	for _, g := range l.r.Grants {
		for _, role := range g.Roles {
			for _, m := range g.Members {
				all = append(all, row.Membership{Role: role.ID, Member: m.ID, Admin: m.Admin, Policy: l.in.Policy})
			}
		}
	}
	return all
}

func (l *loading) permissions() (all []row.Permission) {
	for _, p := range l.r.Permits {
		all = append(all, product(p, l.in.Policy)...)
	}
	return all
}

func product(p Permit, policy ident.ID) (all []row.Permission) {
	for _, x := range p.Resources {
		for _, privilege := range p.Privileges {
			for _, role := range p.Roles {
				all = append(all, row.Permission{Resource: x.ID, Role: role.ID, Privilege: privilege, Policy: policy})
			}
		}
	}
	return all
}

// outcome is what becomes of credentials. Users and hosts have an API key, except
// hosts that say otherwise; networks and values belong to the loaded policy's own.
func (l *loading) outcome(before rows) *expectation {
	e := &expectation{rows: l.rows}
	look := map[ident.ID]bool{}
	for _, rec := range l.r.Records {
		if rec.Role {
			look[rec.ID] = true
		}
	}
	for _, s := range []rows{before, l.rows} {
		for _, r := range s {
			if a, ok := r.(row.Annotation); ok && a.Name == "authn/api-key" {
				was, _ := before.annotation(a.Resource, a.Name)
				is, _ := l.annotation(a.Resource, a.Name)
				look[a.Resource] = look[a.Resource] || was != is
			}
		}
	}
	for id, changed := range look {
		if _, ok := l.role(id); !ok || !changed || id.Kind() != "user" && id.Kind() != "host" {
			continue
		}
		_, isResource := l.resource(id)
		a, said := l.annotation(id, "authn/api-key")
		wants := id.Kind() == "user" || !isResource || said && !strings.EqualFold(a.Value, "false") || !said && l.in.APIKeyDefault
		switch _, has := l.rows[rowKey(row.APIKey{Role: id})]; {
		case wants && !has:
			e.newKeys = append(e.newKeys, id)
		case !wants && has:
			e.lostKeys = append(e.lostKeys, id)
		}
	}
	for _, rec := range l.r.Records {
		kind := rec.ID.Kind()
		if !rec.Role || kind != "user" && kind != "host" || !l.ours(rec.ID) {
			continue
		}
		if kind == "user" {
			e.users = append(e.users, rec.ID)
		}
		old, _ := l.rows[rowKey(row.Restriction{Role: rec.ID})].(row.Restriction)
		networks := rec.RestrictedTo
		if l.in.Mode == Add {
			networks = slices.Clone(old.Networks)
			for _, n := range rec.RestrictedTo {
				if !slices.Contains(networks, n) {
					networks = append(networks, n)
				}
			}
		}
		if rec.Resource && !slices.Equal(networks, old.Networks) {
			e.restrictions = append(e.restrictions, row.Restriction{Role: rec.ID, Networks: networks})
		}
		for _, k := range rec.PublicKeys {
			if x, ok := l.resource(k.Resource); ok && x.Policy == l.in.Policy {
				e.publicKeys = append(e.publicKeys, k)
			}
		}
	}
	return e
}
