package policy

import (
	"fmt"
	"strings"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// resolver gives the entities of one document their full ids. What it computes for
// an entity it remembers under the entity's index, so that an alias costs nothing
// and means the same wherever it stands.
type resolver struct {
	scope     Scope
	namespace string
	top       Reference // the default owner at the top of the document
	paths     []string
	literals  []ident.ID
	anywheres []ident.ID

	out      Resolved
	entities []*entity // of out.Records
	parents  []int     // of out.Records: the policy whose body it stands in, or -1
	declared map[ident.ID]declaration
	named    map[customID]bool
	warned   map[string]bool
	spent    int
}

// declaration tells which halves of an id are declared, and by which records.
type declaration struct {
	role, resource bool
	record         int // the one that declares the role
}

// customID is a !role or !resource without its kind: two that differ in nothing
// else are duplicates.
type customID struct {
	typ *recordType
	id  string
}

// Resolve gives every statement full ids as if the document stood in the body of
// the loaded policy, fills in owners, and orders the records. The error, if any,
// is a *fault.Error of kind PolicyInvalid whose Cause is ErrMeaning; it has Line
// and Column where the text has the place.
func (d *Document) Resolve(in Scope) (*Resolved, error) {
	r := &resolver{
		scope:    in,
		paths:    make([]string, d.entities),
		literals: make([]ident.ID, d.entities), anywheres: make([]ident.ID, d.entities),
		declared: make(map[ident.ID]declaration, len(d.statements)),
		named:    map[customID]bool{},
		warned:   map[string]bool{},
	}
	r.top = Reference{ID: in.Owner}
	if name := in.Policy.Identifier(); name != "root" {
		r.namespace = name
		r.top.ID = in.Policy
		r.declared[in.Policy] = declaration{role: true, resource: true, record: -1}
	}
	for _, p := range d.policies {
		if !p.listed {
			at := p.bodyPosition
			return nil, refuse(ErrMeaning, at, "Declare the policy in a list of statements, or leave the body away.",
				fmt.Sprintf("The body of the policy '%s' would never be loaded: the policy is only referred to here", clip(p.id)))
		}
	}
	if err := r.statements(d.statements, -1, r.top); err != nil {
		return nil, err
	}
	if err := r.order(); err != nil {
		return nil, err
	}
	return &r.out, nil
}

func (r *resolver) refuse(e *entity, advice, format string, args ...any) *fault.Error {
	detail := fmt.Sprintf(format, args...)
	return refuse(ErrMeaning, e.Position, join(advise(detail), advice), detail)
}

// spend bounds the memory that ids and values take once each carries its path.
func (r *resolver) spend(e *entity, bytes int) error {
	r.spent += bytes
	if r.spent > MaxResolved {
		return r.refuse(e, adviceSplit, "The ids of the policy take more than %d bytes", MaxResolved)
	}
	return nil
}

func (r *resolver) statements(list []*entity, parent int, owner Reference) error {
	for _, e := range list {
		var err error
		switch e.typ {
		case typeGrant:
			err = r.grant(e)
		case typePermit:
			err = r.permit(e, func(p Permit) { r.out.Permits = append(r.out.Permits, p) })
		case typeDeny:
			err = r.permit(e, func(p Permit) { r.out.Removals = append(r.out.Removals, Deny(p)) })
		case typeRevoke:
			err = r.revoke(e)
		case typeDelete:
			err = r.delete(e)
		default:
			err = r.record(e, parent, owner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) references(list []*entity, resolve func(*entity) (ident.ID, error)) ([]Reference, error) {
	found := make([]Reference, 0, len(list))
	for _, e := range list {
		ref, err := r.reference(e, resolve)
		if err != nil {
			return nil, err
		}
		found = append(found, ref)
	}
	return found, nil
}

func (r *resolver) reference(e *entity, resolve func(*entity) (ident.ID, error)) (Reference, error) {
	if e.typ == typeAutomaticRole {
		return Reference{}, r.automatic(e)
	}
	id, err := resolve(e)
	return Reference{ID: id, Position: e.Position}, err
}

// automatic reports a reference to an automatic role: no record has any.
func (r *resolver) automatic(e *entity) error {
	id, err := r.literal(e.record)
	if err != nil {
		return err
	}
	return r.refuse(e, "There are no automatic roles: grant a group or a layer.", "@ '%s/%s/%s' not found in account '%s'",
		id.Kind(), id.Identifier(), e.automaticName, r.scope.Account)
}

func (r *resolver) grant(e *entity) error {
	roles, err := r.references(e.roles, r.inside)
	if err != nil {
		return err
	}
	members := make([]Member, 0, len(e.members))
	for _, m := range e.members {
		role, admin := m, false
		if m.typ == typeMember {
			role, admin = m.roles[0], m.admin
		}
		ref, err := r.reference(role, r.anywhere)
		if err != nil {
			return err
		}
		members = append(members, Member{Reference: ref, Admin: admin})
	}
	r.out.Grants = append(r.out.Grants, Grant{Roles: roles, Members: members, Position: e.Position})
	return nil
}

func (r *resolver) permit(e *entity, add func(Permit)) error {
	roles, err := r.references(e.roles, r.anywhere)
	if err != nil {
		return err
	}
	resources, err := r.references(e.resources, r.inside)
	if err != nil {
		return err
	}
	add(Permit{Roles: roles, Privileges: e.privileges, Resources: resources, Position: e.Position})
	return nil
}

func (r *resolver) revoke(e *entity) error {
	roles, err := r.references(e.roles, r.inside)
	if err != nil {
		return err
	}
	members, err := r.references(e.members, r.anywhere)
	if err != nil {
		return err
	}
	r.out.Removals = append(r.out.Removals, Revoke{Roles: roles, Members: members, Position: e.Position})
	return nil
}

func (r *resolver) delete(e *entity) error {
	record, err := r.reference(e.record, r.inside)
	if err != nil {
		return err
	}
	r.out.Removals = append(r.out.Removals, Delete{Record: record, Position: e.Position})
	return nil
}

// describe names a record in a message: host factory 'x', team role 't'.
func describe(e *entity, id ident.ID) string {
	word := strings.ReplaceAll(e.typ.word(), "_", " ")
	if e.typ == typeRole || e.typ == typeResource {
		word = e.kind + " " + word
	}
	return fmt.Sprintf("%s '%s'", word, id.Identifier())
}
