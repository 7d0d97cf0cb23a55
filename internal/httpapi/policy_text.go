package httpapi

import (
	"net/http"
	"strings"

	"rekey/internal/core"
	"rekey/internal/ident"
)

// effectivePolicy answers a policy as statements, in YAML unless the type of the
// request's own body, which it has none of, is JSON. Accept does not matter.
func (a *api) effectivePolicy(e *exchange) error {
	policy := ident.New(e.path[account], "policy", e.path[id])
	q := e.query
	if strings.Contains(e.r.URL.RawQuery, ";") { // separates parameters here too
		q, _ = parseQuery(nil, strings.ReplaceAll(e.r.URL.RawQuery, ";", "&")) // is legible, or this would not run
	}
	effective, err := a.core.EffectivePolicy(e.r.Context(), e.caller, policy, core.EffectiveQuery{
		Depth: q.optional("depth"), Limit: q.optional("limit"),
	})
	if err != nil {
		return err
	}
	if header(e.r, "Content-Type") == "application/json" {
		return e.answer(http.StatusOK, typeJSON, effective.JSON())
	}
	text, err := effective.YAML()
	if err != nil {
		return err
	}
	return e.answer(http.StatusOK, typeYAML, text)
}

// policyVersion answers the text of one load of a policy, to the byte.
func (a *api) policyVersion(e *exchange) error {
	policy := ident.New(e.path[account], "policy", e.path[id])
	version, err := a.core.PolicyVersion(e.r.Context(), e.caller, policy, e.query.get("version"))
	if err != nil {
		return err
	}
	return e.answer(http.StatusOK, typeYAML, []byte(version.Text))
}

// policyDiff answers how two loads of a policy differ, as a unified diff.
func (a *api) policyDiff(e *exchange) error {
	policy := ident.New(e.path[account], "policy", e.path[id])
	diff, err := a.core.PolicyDiff(e.r.Context(), e.caller, policy, e.query.get("diff"))
	if err != nil {
		return err
	}
	return e.answer(http.StatusOK, typeDiff, []byte(diff))
}
