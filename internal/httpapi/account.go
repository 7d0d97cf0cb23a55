package httpapi

import (
	"net/http"
	"strings"

	"rekey/internal/fault"
)

func (a *api) listAccounts(e *exchange) error {
	names, err := a.core.Accounts(e.r.Context(), e.caller)
	if err != nil {
		return err
	}
	return answerList(e, names, appendString[string])
}

// createAccount takes the name from the body or, if that has none, from the query.
func (a *api) createAccount(e *exchange) error {
	name, err := e.accountName()
	if err != nil {
		return err
	}
	key, err := a.core.CreateAccount(e.r.Context(), e.caller, name, nil)
	if err != nil {
		return err
	}
	body := append([]byte(nil), `{"id":`...)
	body = appendString(body, name)
	body = append(body, `,"api_key":`...)
	body = appendString(body, key.Reveal())
	return e.confide(http.StatusCreated, typeJSON, append(body, '}'))
}

// accountName reads a form, which is also what a body without a type is, or JSON.
// Bodies of any other type are ignored.
func (e *exchange) accountName() (string, error) {
	body, err := e.body()
	if err != nil {
		return "", err
	}
	name := e.query.get("id")
	contentType, _, _ := strings.Cut(header(e.r, "Content-Type"), ";")
	switch contentType = strings.ToLower(strings.TrimSpace(contentType)); {
	case len(body) == 0:
	case contentType == "application/json":
		sent, err := parseObject(body)
		id, text := sent["id"].(string)
		switch {
		case err != nil:
			return "", fault.New(fault.BadRequest, `The body is not JSON of the form {"id":"NAME"}: %s`, err)
		case text:
			name = id
		case sent["id"] != nil:
			return "", fault.New(fault.BadRequest, `The body is not JSON of the form {"id":"NAME"}: its id is no text`)
		}
	case contentType == "application/x-www-form-urlencoded" || !strings.Contains(contentType, "/"):
		form, ok := parseQuery(nil, string(body))
		if !ok {
			return "", fault.New(fault.BadRequest, "The body is not a form: a percent escape is malformed or the text is not UTF-8")
		}
		if sent, ok := form.lookup("id"); ok {
			name = sent
		}
	}
	return name, nil
}

func (a *api) deleteAccount(e *exchange) error {
	if err := a.core.DeleteAccount(e.r.Context(), e.caller, e.path[id]); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}
