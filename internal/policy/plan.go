package policy

import (
	"net/netip"
	"slices"
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
	Check func(annotations map[string]string) []Problem
}

// Problem is something wrong with an annotation.
type Problem struct {
	Annotation string
	Message    string // what is wrong
	Advice     string // how to mend it
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
		p.removeOthers()
		p.survived(r)
		if err := p.missingError(); err != nil {
			return nil, err
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

// checkAnnotations looks at the variables whose annotations about rotation the document
// gives, as they will be with those from elsewhere.
func (p *planner) checkAnnotations(r *Resolved) error {
	if p.in.Check == nil {
		return nil
	}
	for _, rec := range r.Records {
		x := p.g.Resource(rec.ID)
		if x == nil || rec.ID.Kind() != "variable" || !slices.ContainsFunc(rec.Annotations, func(a Annotation) bool { return strings.HasPrefix(a.Name, "rotation/") }) {
			continue
		}
		annotations := make(map[string]string, len(x.Annotations))
		for _, a := range x.Annotations {
			annotations[a.Name] = a.Value
		}
		if problems := p.in.Check(annotations); len(problems) > 0 {
			first := problems[0]
			return refuse(ErrMeaning, rec.Position, first.Advice,
				"Annotation '"+first.Annotation+"' of variable '"+rec.ID.Identifier()+"' cannot be used: "+first.Message)
		}
	}
	return nil
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

	missing []Reference
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
	r := p.g.Role(ref.ID)
	if r == nil || p.in.Mode == Replace && r.Policy == p.in.Policy && !p.roles[ref.ID] {
		p.miss(ref)
		return nil
	}
	return r
}

func (p *planner) resource(ref Reference) *rbac.Resource {
	x := p.g.Resource(ref.ID)
	if x == nil || p.in.Mode == Replace && x.Policy == p.in.Policy && !p.resources[ref.ID] {
		p.miss(ref)
		return nil
	}
	return x
}

func (p *planner) miss(ref Reference) {
	if p.seen == nil {
		p.seen = map[ident.ID]bool{}
	}
	if !p.seen[ref.ID] {
		p.seen[ref.ID] = true
		p.missing = append(p.missing, ref)
	}
}

// create makes what the document declares. What another policy has declared already
// is left to it, row by row.
func (p *planner) create(r *Resolved) error {
	for i := range r.Records {
		if err := p.record(&r.Records[i]); err != nil {
			return err
		}
	}
	for _, rec := range r.Records {
		for _, layer := range rec.Layers {
			if role := p.role(layer); role != nil {
				p.grant(role, p.g.Role(rec.ID), false)
			}
		}
	}
	for _, grant := range r.Grants {
		for _, role := range grant.Roles {
			for _, member := range grant.Members {
				if held, holder := p.role(role), p.role(member.Reference); held != nil && holder != nil {
					p.grant(held, holder, member.Admin)
				}
			}
		}
	}
	for _, permit := range r.Permits {
		permit.each(func(resource, role Reference, privilege string) {
			if x, holder := p.resource(resource), p.role(role); x != nil && holder != nil && p.g.Permission(x.ID, holder.ID, privilege) == nil {
				p.tx.InsertPermission(row.Permission{Resource: x.ID, Role: holder.ID, Privilege: privilege, Policy: p.in.Policy})
			}
		})
	}
	return p.missingError()
}

func (p *planner) record(rec *Record) error {
	if err := p.admit(rec); err != nil {
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
	x := p.g.Resource(rec.ID)
	switch {
	case x == nil:
		x = p.tx.InsertResource(row.Resource{ID: rec.ID, Owner: owner.ID, CreatedAt: p.in.Now, Policy: p.in.Policy})
	case p.updates(x.Policy):
		p.tx.SetOwner(x, owner)
	}
	for _, a := range rec.Annotations {
		switch old := x.Annotation(a.Name); {
		case old == nil:
			p.tx.InsertAnnotation(row.Annotation{Resource: x.ID, Name: a.Name, Value: a.Value, Policy: p.in.Policy})
		case p.updates(old.Policy):
			p.tx.SetAnnotation(old, a.Value)
		}
	}
	for _, k := range rec.PublicKeys {
		if p.g.Resource(k.Resource) == nil {
			p.tx.InsertResource(row.Resource{ID: k.Resource, Owner: owner.ID, CreatedAt: p.in.Now, Policy: p.in.Policy})
		}
	}
	return nil
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

func (p *planner) grant(role, member *rbac.Role, admin bool) {
	switch old := p.g.Membership(role.ID, member.ID, false); {
	case old == nil:
		p.tx.InsertMembership(row.Membership{Role: role.ID, Member: member.ID, Admin: admin, Policy: p.in.Policy})
	case p.updates(old.Policy):
		p.tx.SetAdmin(old, admin)
	}
}

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

// survived notes what the document declares or refers to and what went all the same,
// because something else that the load removed had to take it along.
func (p *planner) survived(r *Resolved) {
	for _, rec := range r.Records {
		if rec.Role && p.g.Role(rec.ID) == nil || rec.Resource && p.g.Resource(rec.ID) == nil {
			p.miss(Reference{rec.ID, rec.Position})
		}
		for _, layer := range rec.Layers {
			p.role(layer)
		}
	}
	for _, grant := range r.Grants {
		for _, role := range grant.Roles {
			p.role(role)
		}
		for _, member := range grant.Members {
			p.role(member.Reference)
		}
	}
	for _, permit := range r.Permits {
		for _, role := range permit.Roles {
			p.role(role)
		}
		for _, resource := range permit.Resources {
			p.resource(resource)
		}
	}
}

// missingError reports the first missing reference as clients know it, and all of
// them in the advice.
func (p *planner) missingError() error {
	if len(p.missing) == 0 {
		return nil
	}
	advice := "Declare it before it is used, or correct its id."
	if len(p.missing) > 1 {
		var all []string
		for _, ref := range p.missing {
			all = append(all, string(ref.ID))
			if len(all) == shownMissing {
				all = append(all, "...")
				break
			}
		}
		advice = "Missing altogether: " + strings.Join(all, ", ") + ". Declare them before they are used, or correct their ids."
	}
	first := p.missing[0]
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
		if p.isFoundation(s.Record.ID) {
			return p.refuseFoundation(s.Record)
		}
		p.tx.DeleteRecord(s.Record.ID)
	}
	return nil
}

func (p *planner) isFoundation(id ident.ID) bool {
	return id == ident.New(p.account, "user", "admin") || id == ident.New(p.account, "policy", "root")
}

func (p *planner) refuseFoundation(ref Reference) error {
	return refuse(ErrMeaning, ref.Position, "Delete the account instead, if that is what you want.",
		"'"+string(ref.ID)+"' holds the account together and cannot be deleted")
}

// keepsFoundations refuses a load that would take the administrator or the root
// policy along with something else.
func (p *planner) keepsFoundations(r *Resolved) error {
	for _, id := range [...]ident.ID{ident.New(p.account, "user", "admin"), ident.New(p.account, "policy", "root")} {
		if p.g.Role(id) != nil && p.g.Resource(id) != nil {
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

const apiKeyAnnotation = "authn/api-key"

// outcome tells what the credentials of the declared users and hosts become.
func (p *planner) outcome(r *Resolved) *Planned {
	out := &Planned{}
	for i := range r.Records {
		rec := &r.Records[i]
		kind := rec.ID.Kind()
		role := p.g.Role(rec.ID)
		if role == nil || !rec.Role || kind != "user" && kind != "host" {
			continue
		}
		switch wants := p.wantsKey(role); {
		case wants && role.Key == nil:
			out.NewKeys = append(out.NewKeys, rec.ID)
		case !wants && role.Key != nil:
			out.LostKeys = append(out.LostKeys, rec.ID)
		}
		if role.Policy != p.in.Policy {
			continue // another policy's: its networks, keys and password are not ours to set
		}
		if rec.Resource {
			if networks := p.networks(rec, role.Networks); !slices.Equal(networks, role.Networks) {
				out.Restrictions = append(out.Restrictions, row.Restriction{Role: rec.ID, Networks: networks})
			}
		}
		if kind == "user" {
			out.Users = append(out.Users, rec.ID)
		}
		for _, k := range rec.PublicKeys {
			if x := p.g.Resource(k.Resource); x != nil && x.Policy == p.in.Policy {
				out.PublicKeys = append(out.PublicKeys, k)
			}
		}
	}
	return out
}

// wantsKey tells whether a user or host authenticates with an API key: every user
// does; a host says so itself or follows the default.
func (p *planner) wantsKey(r *rbac.Role) bool {
	if r.Resource == nil || r.ID.Kind() != "host" {
		return true
	}
	if a := r.Resource.Annotation(apiKeyAnnotation); a != nil {
		return !strings.EqualFold(strings.TrimSpace(a.Value), "false")
	}
	return p.in.APIKeyDefault
}

// networks are where a role may authenticate from after the load: Add adds to what
// is there, the other modes replace it.
func (p *planner) networks(rec *Record, old []netip.Prefix) []netip.Prefix {
	if p.in.Mode != Add {
		return rec.RestrictedTo
	}
	all := slices.Clone(old)
	for _, n := range rec.RestrictedTo {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}
