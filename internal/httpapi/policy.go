package httpapi

import (
	"net/http"
	"strconv"

	"rekey/internal/core"
	"rekey/internal/ident"
)

func (a *api) addPolicy(e *exchange) error     { return a.loadPolicy(e, core.Add) }
func (a *api) modifyPolicy(e *exchange) error  { return a.loadPolicy(e, core.Modify) }
func (a *api) replacePolicy(e *exchange) error { return a.loadPolicy(e, core.Replace) }

// loadPolicy loads the body as policy text, whatever content type it claims.
func (a *api) loadPolicy(e *exchange, mode core.Mode) error {
	policy := ident.New(e.path[account], "policy", e.path[id])
	if err := e.admit(func() error { return a.core.MayLoadPolicy(e.caller, policy, mode) }); err != nil {
		return err
	}
	text, err := e.body()
	if err != nil {
		return err
	}
	if e.isRehearsal() {
		return a.rehearsePolicy(e, mode, text)
	}
	loaded, err := a.core.LoadPolicy(e.r.Context(), e.caller, policy, mode, text)
	if err != nil {
		return err
	}
	return e.confide(http.StatusCreated, typeJSON, appendLoaded(nil, loaded))
}

// appendLoaded reveals the API keys of the roles that the load created.
func appendLoaded(to []byte, l core.Loaded) []byte {
	to = append(to, `{"created_roles":{`...)
	for i, role := range l.Created {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendString(to, role.ID)
		to = append(to, `:{"id":`...)
		to = appendString(to, role.ID)
		to = append(to, `,"api_key":`...)
		if role.APIKey.Len() == 0 {
			to = append(to, "null"...)
		} else {
			to = appendString(to, role.APIKey.Reveal())
		}
		to = append(to, '}')
	}
	to = append(to, `},"version":`...)
	to = strconv.AppendInt(to, int64(l.Version), 10)
	if len(l.Warnings) > 0 {
		to = append(to, `,"warnings":`...)
		to = appendList(to, l.Warnings, appendString[string])
	}
	return append(to, '}')
}
