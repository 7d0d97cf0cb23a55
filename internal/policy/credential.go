package policy

import (
	"net/netip"
	"slices"
	"strings"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

const apiKeyAnnotation = "authn/api-key"

// outcome tells what the credentials of the declared users and hosts become, and of
// those whose annotation about keys has changed.
func (p *planner) outcome(r *Resolved) *Planned {
	out := &Planned{}
	looked := map[ident.ID]bool{}
	for i := range r.Records {
		rec := &r.Records[i]
		role := p.g.Role(rec.ID)
		if role == nil || !rec.Role || !authenticates(rec.ID) {
			continue
		}
		looked[rec.ID] = true
		p.key(role, out)
		if role.Policy != p.in.Policy {
			continue // another policy's: its networks, keys and password are not ours to set
		}
		if rec.Resource {
			if networks := p.networks(rec, role.Networks); !slices.Equal(networks, role.Networks) {
				out.Restrictions = append(out.Restrictions, row.Restriction{Role: rec.ID, Networks: networks})
			}
		}
		if rec.ID.Kind() == "user" {
			out.Users = append(out.Users, rec.ID)
		}
		for _, k := range rec.PublicKeys {
			if x := p.g.Resource(k.Resource); x != nil && x.Policy == p.in.Policy {
				out.PublicKeys = append(out.PublicKeys, k)
			}
		}
	}
	var others []ident.ID
	for _, change := range p.tx.Changes() {
		if a, ok := change.Row.(row.Annotation); ok && a.Name == apiKeyAnnotation && authenticates(a.Resource) && !looked[a.Resource] {
			looked[a.Resource] = true
			others = append(others, a.Resource)
		}
	}
	slices.Sort(others)
	for _, id := range others {
		if role := p.g.Role(id); role != nil {
			p.key(role, out)
		}
	}
	return out
}

func authenticates(id ident.ID) bool {
	kind := id.Kind()
	return kind == "user" || kind == "host"
}

func (p *planner) key(role *rbac.Role, out *Planned) {
	switch wants := WantsKey(role, p.in.APIKeyDefault); {
	case wants && role.Key == nil:
		out.NewKeys = append(out.NewKeys, role.ID)
	case !wants && role.Key != nil:
		out.LostKeys = append(out.LostKeys, role.ID)
	}
}

// WantsKey tells whether a user or host authenticates with an API key: every user
// does; a host says so itself or follows the default.
func WantsKey(r *rbac.Role, byDefault bool) bool {
	if r.Resource == nil || r.ID.Kind() != "host" {
		return true
	}
	if a := r.Resource.Annotation(apiKeyAnnotation); a != nil {
		return !strings.EqualFold(strings.TrimSpace(a.Value), "false")
	}
	return byDefault
}

// networks are where a role may authenticate from after the load: Add adds to what
// is there, the other modes replace it.
func (p *planner) networks(rec *Record, old []netip.Prefix) []netip.Prefix {
	if p.in.Mode != Add {
		return rec.RestrictedTo
	}
	all, known := slices.Clone(old), make(map[netip.Prefix]bool, len(old))
	for _, n := range old {
		known[n] = true
	}
	for _, n := range rec.RestrictedTo {
		if !known[n] {
			known[n] = true
			all = append(all, n)
		}
	}
	return all
}
