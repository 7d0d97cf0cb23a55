package policy

import (
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// Mode is how a document changes what is there.
type Mode int

// The modes.
const (
	Add     Mode = iota // create only
	Modify              // create, update, and remove what the document says
	Replace             // make the rows that the policy declared equal to the document
)

// Load says how a resolved document is loaded.
type Load struct {
	Mode            Mode
	Policy          ident.ID // the loaded policy: every new row is declared by it
	Now             time.Time
	APIKeyDefault   bool // hosts without annotation authn/api-key get a key; else they are refused
	UsersInRootOnly bool // users must be owned by the administrator
	// Check finds fault with the annotations that a declared variable will have; nil:
	// with none.
	Check func(kind string, annotations map[string]string) []Problem
	// Visible tells which resources the caller may be told of when the document refers
	// to what is not there; nil: none.
	Visible func(*rbac.Resource) bool
}

// Planned is what a load leads to beyond the row changes of its transaction. Only
// what exists after the load is in it.
type Planned struct {
	NewKeys      []ident.ID        // users and hosts that get an API key
	LostKeys     []ident.ID        // hosts that lose theirs
	Restrictions []row.Restriction // that change; without networks: to be deleted
	PublicKeys   []PublicKey       // values, in the order of the document
	Users        []ident.ID        // declared users that belong to the loaded policy
}

// Plan makes a document's changes in a transaction. On error the caller rolls it
// back, as it does after a dry run: there is no other difference between the two.
func (r *Resolved) Plan(g *rbac.Graph, tx *rbac.Tx, in Load) (*Planned, error) {
	if in.Mode == Add && len(r.Removals) > 0 {
		return nil, &fault.Error{
			Kind: fault.Validation, Target: "policy_text", Message: "may not contain deletion statements",
			Advice: "Load the policy with update (PATCH) or replace (PUT), or leave the !delete, !deny and !revoke statements out.",
		}
	}
	p := &planner{g: g, tx: tx, in: in, account: in.Policy.Account()}
	p.collect(r)
	if err := p.create(r); err != nil {
		return nil, err
	}
	if in.Mode == Replace {
		before := len(tx.Changes())
		p.removeOthers()
		if len(tx.Changes()) > before {
			if err := p.survived(r); err != nil {
				return nil, err
			}
			// What went may have been another policy's that stood in the place of
			// an edge or annotation of this document.
			if err := p.create(r); err != nil {
				return nil, err
			}
		}
	}
	for _, removal := range r.Removals {
		if err := p.remove(removal); err != nil {
			return nil, err
		}
	}
	if err := p.keepsFoundations(r); err != nil {
		return nil, err
	}
	if err := p.checkAnnotations(r); err != nil {
		return nil, err
	}
	return p.outcome(r), nil
}

// planner is one load under way.
type planner struct {
	g       *rbac.Graph
	tx      *rbac.Tx
	in      Load
	account string

	// What the document declares, by key; for Replace.
	roles       map[ident.ID]bool
	resources   map[ident.ID]bool
	memberships map[edge]bool
	permissions map[permission]bool
	annotations map[annotation]bool

	missing []absence
	seen    map[ident.ID]bool
}

type edge struct{ role, member ident.ID }

type permission struct {
	resource, role ident.ID
	privilege      string
}

type annotation struct {
	resource ident.ID
	name     string
}

// collect notes the keys of all that the document declares.
func (p *planner) collect(r *Resolved) {
	p.roles, p.resources = map[ident.ID]bool{}, map[ident.ID]bool{}
	for _, rec := range r.Records {
		if rec.Role {
			p.roles[rec.ID] = true
		}
		if rec.Resource {
			p.resources[rec.ID] = true
		}
		for _, k := range rec.PublicKeys {
			p.resources[k.Resource] = true
		}
	}
	if p.in.Mode != Replace {
		return
	}
	p.memberships, p.permissions, p.annotations = map[edge]bool{}, map[permission]bool{}, map[annotation]bool{}
	for _, rec := range r.Records {
		for _, layer := range rec.Layers {
			p.memberships[edge{layer.ID, rec.ID}] = true
		}
		for _, a := range rec.Annotations {
			p.annotations[annotation{rec.ID, a.Name}] = true
		}
	}
	for _, grant := range r.Grants {
		for _, role := range grant.Roles {
			for _, member := range grant.Members {
				p.memberships[edge{role.ID, member.ID}] = true
			}
		}
	}
	for _, permit := range r.Permits {
		permit.each(func(resource, role Reference, privilege string) {
			p.permissions[permission{resource.ID, role.ID, privilege}] = true
		})
	}
}

func (p Permit) each(visit func(resource, role Reference, privilege string)) {
	for _, resource := range p.Resources {
		for _, privilege := range p.Privileges {
			for _, role := range p.Roles {
				visit(resource, role, privilege)
			}
		}
	}
}

// role finds a role that will still be there when the load is done, as far as that
// can be told now; a missing one is noted.
func (p *planner) role(ref Reference) *rbac.Role {
	return p.findRole(absence{Reference: ref, role: true})
}

// roleInside is role for a reference that has to be in the loaded policy.
func (p *planner) roleInside(ref Reference) *rbac.Role {
	return p.findRole(absence{Reference: ref, role: true, inside: true})
}

func (p *planner) findRole(a absence) *rbac.Role {
	r := p.g.Role(a.ID)
	if r == nil || p.in.Mode == Replace && r.Policy == p.in.Policy && !p.roles[a.ID] {
		p.miss(a)
		return nil
	}
	return r
}

func (p *planner) resource(ref Reference) *rbac.Resource {
	x := p.g.Resource(ref.ID)
	if x == nil || p.in.Mode == Replace && x.Policy == p.in.Policy && !p.resources[ref.ID] {
		p.miss(absence{Reference: ref, inside: true})
		return nil
	}
	return x
}

func (p *planner) miss(a absence) {
	if p.seen == nil {
		p.seen = map[ident.ID]bool{}
	}
	if !p.seen[a.ID] {
		p.seen[a.ID] = true
		p.missing = append(p.missing, a)
	}
}

// missingError reports the first missing reference as clients know it, and in the
// advice all of them with what may have been meant. It takes the load back.
func (p *planner) missingError(r *Resolved) error {
	if len(p.missing) == 0 {
		return nil
	}
	first, s := p.missing[0], p.suggester(r)
	advice := "Declare it before it is used, or correct its id."
	if len(p.missing) > 1 {
		var all []string
		for _, a := range p.missing {
			shown := string(a.ID)
			if near := s.suggest(a); near != "" {
				shown += " (did you mean " + near + "?)"
			}
			all = append(all, shown)
			if len(all) == shownMissing {
				all = append(all, "...")
				break
			}
		}
		advice = "Missing altogether: " + strings.Join(all, ", ") + ". Declare them before they are used, or correct their ids."
	} else if near := s.suggest(first); near != "" {
		advice += " Did you mean " + near + "?"
	}
	return refuse(ErrMeaning, first.Position, advice, notFoundMessage(first.ID))
}

const shownMissing = 20

func notFoundMessage(id ident.ID) string {
	kind := id.Kind()
	if kind != "" {
		kind = strings.ToUpper(kind[:1]) + kind[1:]
	}
	return kind + " '" + id.Identifier() + "' not found in account '" + id.Account() + "'"
}
