package httpapi

import (
	"net/http"
	"slices"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

// listResources lists what the caller can see. Account and kind are parts of the path
// or, where it has none, parameters.
func (a *api) listResources(e *exchange) error {
	q := core.ResourceQuery{
		Account: e.path[account],
		Kind:    e.path[kind],
		Search:  e.query.optional("search"),
		Owner:   e.query.get("owner"),
		ActAs:   e.query.get("role"),
	}
	if q.Account == "" {
		q.Account = e.query.get("account")
	}
	if q.Kind == "" {
		q.Kind = e.query.get("kind")
	}
	if q.ActAs == "" {
		q.ActAs = e.query.get("acting_as")
	}
	counted := e.query.get("count") == "true"
	longest := a.listLimit
	if counted {
		longest = 0
	}
	var err error
	if q.Limit, q.Offset, err = e.query.resourcePage(longest); err != nil {
		return err
	}
	if counted {
		n, err := a.core.CountResources(e.r.Context(), e.caller, q)
		if err != nil {
			return err
		}
		return e.answerJSON(func(to []byte) []byte { return appendCount(to, n) })
	}
	found, err := a.core.Resources(e.r.Context(), e.caller, q)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(found, func(r core.ResourceView) bool { return len(r.Tokens) > 0 }) {
		return e.confide(http.StatusOK, typeJSON, appendList(nil, found, appendResource))
	}
	return answerList(e, found, appendResource)
}

func (a *api) showResource(e *exchange) error {
	found, err := a.core.Resource(e.r.Context(), e.caller, e.subject())
	if err != nil {
		return err
	}
	if len(found.Tokens) > 0 {
		return e.confide(http.StatusOK, typeJSON, appendResource(nil, found))
	}
	return e.answerJSON(func(to []byte) []byte { return appendResource(to, found) })
}

// check answers whether a role has a privilege: 204 for yes, 404 without a body for no.
func (a *api) check(e *exchange) error {
	privilege, ok := e.query.lookup("privilege")
	if !ok {
		return fault.New(fault.Argument, "privilege")
	}
	allowed, err := a.core.Check(e.r.Context(), e.caller, e.subject(), privilege, e.query.get("role"))
	switch {
	case err != nil:
		return err
	case allowed:
		return e.empty(http.StatusNoContent)
	}
	return e.empty(http.StatusNotFound)
}

func (a *api) permittedRoles(e *exchange) error {
	privilege, ok := e.query.lookup("privilege")
	if !ok {
		if privilege, ok = e.query.lookup("permission"); !ok {
			return fault.New(fault.Argument, "privilege")
		}
	}
	roles, err := a.core.PermittedRoles(e.r.Context(), e.caller, e.subject(), privilege)
	if err != nil {
		return err
	}
	return answerList(e, roles, appendString[ident.ID])
}
