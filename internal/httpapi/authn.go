package httpapi

import (
	"encoding/base64"
	"net/http"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// login trades a password or API key for the API key.
func (a *api) login(e *exchange) error {
	caller, err := a.basic(e)
	if err != nil {
		return err
	}
	key, err := a.core.APIKey(e.r.Context(), caller)
	if err != nil {
		return err
	}
	return e.confide(http.StatusOK, typeText, key.Reveal())
}

// authenticate trades an API key for an access token.
func (a *api) authenticate(e *exchange) error {
	key, err := e.body()
	if err != nil {
		return err
	}
	token, err := a.core.AuthenticateKey(e.r.Context(), e.origin, e.path[account], e.path[id], secret.New(key))
	if err != nil {
		return err
	}
	if acceptsBase64(header(e.r, "Accept-Encoding")) {
		encoded := base64.StdEncoding.AppendEncode(nil, token)
		e.w.Header()["Content-Encoding"] = base64Encoding
		return e.confide(http.StatusOK, typeText, encoded)
	}
	return e.confide(http.StatusOK, typeJSON, token)
}

// authenticateElsewhere answers for authenticators that are not enabled, the same
// whether or not there could be such a one.
func (a *api) authenticateElsewhere(e *exchange) error {
	return fault.New(fault.Unauthenticated, "authenticator %s is not enabled", e.path[authenticator])
}

func (a *api) changePassword(e *exchange) error {
	caller, err := a.identify(e)
	if err != nil {
		return err
	}
	password, err := e.body()
	if err != nil {
		return err
	}
	err = a.core.ChangePassword(e.r.Context(), caller, e.path[account], e.query.get("role"), secret.New(password))
	if err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

// authenticatorStatus: the built-in authenticator has no status of its own to check.
func (a *api) authenticatorStatus(e *exchange) error {
	return e.answer(http.StatusNotImplemented, typeJSON,
		[]byte(`{"status":"error","error":"CONJ00056E Status check not supported for authenticator 'authn'"}`))
}
