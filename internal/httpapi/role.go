package httpapi

import (
	"context"
	"net/http"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

// subject is the id of the role or resource that the path names.
func (e *exchange) subject() ident.ID {
	return ident.New(e.path[account], e.path[kind], e.path[id])
}

func (a *api) showRole(e *exchange) error {
	role, err := a.core.Role(e.r.Context(), e.caller, e.subject())
	if err != nil {
		return err
	}
	return e.answerJSON(func(to []byte) []byte { return appendRole(to, role) })
}

func (a *api) allRoles(e *exchange) error {
	roles, err := a.core.AllRoles(e.r.Context(), e.caller, e.subject(), e.query.list("filter"))
	if err != nil {
		return err
	}
	return listOrCount(e, roles, appendString[ident.ID])
}

func (a *api) memberships(e *exchange) error {
	found, err := a.core.Memberships(e.r.Context(), e.caller, e.subject(), core.MemberQuery{
		Kinds:  e.query.list("kind"),
		Search: e.query.optional("search"),
		Filter: e.query.list("filter"),
	})
	if err != nil {
		return err
	}
	return listOrCount(e, found, appendMembership)
}

func (a *api) members(e *exchange) error {
	q := core.MemberQuery{Kinds: e.query.list("kind"), Search: e.query.optional("search")}
	if e.query.has("count") {
		n, err := a.core.CountMembers(e.r.Context(), e.caller, e.subject(), q)
		if err != nil {
			return err
		}
		return e.answerJSON(func(to []byte) []byte { return appendCount(to, n) })
	}
	var err error
	if q.Limit, q.Offset, err = e.query.memberPage(); err != nil {
		return err
	}
	found, err := a.core.Members(e.r.Context(), e.caller, e.subject(), q)
	if err != nil {
		return err
	}
	return answerList(e, found, appendMembership)
}

func (a *api) roleGraph(e *exchange) error {
	edges, err := a.core.RoleGraph(e.r.Context(), e.caller, e.subject())
	if err != nil {
		return err
	}
	return answerList(e, edges, appendEdge)
}

func (a *api) addMember(e *exchange) error    { return e.changeMember(a.core.AddMember) }
func (a *api) removeMember(e *exchange) error { return e.changeMember(a.core.RemoveMember) }

func (e *exchange) changeMember(change func(context.Context, core.Caller, ident.ID, ident.ID) error) error {
	name, ok := e.query.lookup("member")
	if !ok {
		return fault.New(fault.Argument, "The member is missing: add member=ACCOUNT:KIND:ID to the query")
	}
	member, err := ident.Parse(name)
	if err != nil {
		return &fault.Error{Kind: fault.NotFound, ID: name, Message: recordNotFound(name), Cause: err}
	}
	if err := change(e.r.Context(), e.caller, e.subject(), member); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

// listOrCount answers with a list or, if the query has count with any value, its length.
func listOrCount[T any](e *exchange, list []T, each func([]byte, T) []byte) error {
	if e.query.has("count") {
		return e.answerJSON(func(to []byte) []byte { return appendCount(to, len(list)) })
	}
	return answerList(e, list, each)
}
