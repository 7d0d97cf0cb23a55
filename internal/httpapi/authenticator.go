package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"rekey/internal/core"
	"rekey/internal/fault"
)

// authenticatorNames needs no token: clients ask before they log in.
func (a *api) authenticatorNames(e *exchange) error {
	installed, configured, enabled := a.core.AuthenticatorNames(e.r.Context())
	return e.answerJSON(func(to []byte) []byte {
		to = append(to, `{"installed":`...)
		to = appendList(to, installed, appendString[string])
		to = append(to, `,"configured":`...)
		to = appendList(to, configured, appendString[string])
		to = append(to, `,"enabled":`...)
		to = appendList(to, enabled, appendString[string])
		return append(to, '}')
	})
}

// switchAuthenticator reads a form whatever content type the client claims, unless it
// is JSON.
func (a *api) switchAuthenticator(e *exchange) error {
	if !e.hasToken {
		return fault.New(fault.Unauthenticated, "no access token")
	}
	body, err := e.body()
	if err != nil {
		return err
	}
	f := fields{}
	contentType, _, _ := strings.Cut(header(e.r, "Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(contentType), "application/json") {
		if f, err = parseObject(body); err != nil {
			return fault.New(fault.BadRequest, "The body is not a JSON object: %s", err)
		}
	} else if err := f.addFormText(body); err != nil {
		return err
	}
	text, _ := f.text("enabled")
	enabled := strings.EqualFold(strings.TrimSpace(text), "true")
	if !enabled && !strings.EqualFold(strings.TrimSpace(text), "false") {
		return fault.New(fault.Argument, "enabled: send enabled=true or enabled=false in the body")
	}
	if err := a.core.SwitchAuthenticator(e.r.Context(), e.caller, e.path[account], e.path[authenticator], e.path[service], enabled); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

func (a *api) listAuthenticators(e *exchange) error {
	if err := e.query.only("type", "limit", "offset"); err != nil {
		return err
	}
	limit, offset, err := e.query.authenticatorPage()
	if err != nil {
		return err
	}
	page, count, err := a.core.Authenticators(e.r.Context(), e.caller, e.path[account], e.query.get("type"), offset, limit)
	if err != nil {
		return err
	}
	body := append([]byte(nil), `{"authenticators":`...)
	for i, each := range page {
		body = append(body, "[,"[min(i, 1)])
		if body, err = appendAuthenticator(body, each); err != nil {
			return err
		}
	}
	if len(page) == 0 {
		body = append(body, '[')
	}
	body = append(body, `],"count":`...)
	body = strconv.AppendInt(body, int64(count), 10)
	return e.confideV2(http.StatusOK, append(body, '}'))
}

// authenticatorPage reads limit and offset of a list of authenticators; limit 0 is none.
func (q query) authenticatorPage() (limit, offset int, err error) {
	if text, ok := q.lookup("offset"); ok {
		limit = defaultLimit
		if offset, err = strconv.Atoi(text); err != nil || offset < 0 {
			return 0, 0, fault.New(fault.Argument, "%s", badOffset())
		}
	}
	if text, ok := q.lookup("limit"); ok {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return 0, 0, fault.New(fault.Argument, "%s", badLimit())
		}
	}
	return limit, offset, nil
}

func (a *api) showAuthenticator(e *exchange) error {
	found, err := a.core.Authenticator(e.r.Context(), e.caller, e.path[account], e.path[kind], e.path[id])
	if err != nil {
		return err
	}
	return e.authenticator(http.StatusOK, found)
}

func (a *api) enableAuthenticator(e *exchange) error {
	m, err := e.authenticatorBody()
	if err != nil {
		return err
	}
	value, given := m["enabled"]
	delete(m, "enabled")
	enabled, ok := value.(bool)
	switch {
	case !given:
		return fault.New(fault.Invalid, "Missing required parameter: enabled")
	case len(m) > 0:
		return fault.New(fault.Invalid, "The following parameters were not expected: '%s'", strings.Join(m.names(), ", "))
	case !ok:
		return fault.New(fault.Invalid, "The enabled parameter must be of type=boolean")
	}
	found, err := a.core.EnableAuthenticator(e.r.Context(), e.caller, e.path[account], e.path[kind], e.path[id], enabled)
	if err != nil {
		return err
	}
	return e.authenticator(http.StatusOK, found)
}

func (a *api) deleteAuthenticator(e *exchange) error {
	if err := a.core.DeleteAuthenticator(e.r.Context(), e.caller, e.path[account], e.path[kind], e.path[id]); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

// authenticatorBody reads a JSON object; the messages are those of these routes.
func (e *exchange) authenticatorBody() (members, error) {
	body, err := e.body()
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(body)) == 0:
		return nil, fault.New(fault.BadRequest, "Request body is empty")
	}
	object, err := parseObject(body)
	if err != nil || object == nil || !utf8.Valid(body) {
		return nil, &fault.Error{Kind: fault.BadRequest, Message: "Request JSON is malformed", Cause: err}
	}
	return object, nil
}

func (e *exchange) authenticator(status int, a core.Authenticator) error {
	body, err := appendAuthenticator(nil, a)
	if err != nil {
		return err
	}
	return e.confideV2(status, body)
}

// appendAuthenticator reveals the settings, which core has let through.
func appendAuthenticator(to []byte, a core.Authenticator) ([]byte, error) {
	to = append(to, `{"type":`...)
	to = appendString(to, a.Type)
	to = append(to, `,"branch":`...)
	to = appendString(to, a.Branch)
	to = append(to, `,"name":`...)
	to = appendString(to, a.Name)
	to = append(to, `,"enabled":`...)
	to = strconv.AppendBool(to, a.Enabled)
	to = append(to, `,"owner":{"id":`...)
	to = appendString(to, a.Owner.Identifier())
	to = append(to, `,"kind":`...)
	to = appendString(to, a.Owner.Kind())
	to = append(to, '}')
	if data := a.Data(); data != nil {
		text, err := json.Marshal(data)
		if err != nil {
			return nil, fault.Wrap(err, "the settings of %s", a.Name)
		}
		to = append(append(to, `,"data":`...), text...)
	}
	if len(a.Annotations) > 0 {
		to = append(to, `,"annotations":`...)
		to = appendAnnotations(to, a.Annotations)
	}
	return append(to, '}'), nil
}
