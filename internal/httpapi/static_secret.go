package httpapi

import (
	"net/http"
	"strconv"
	"unicode/utf8"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// mostValues is how many values one request can read.
const mostValues = 250

// readEachSecret reads many values at once; one that cannot be read does not keep the
// others back.
func (a *api) readEachSecret(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	if err := m.require("ids"); err != nil {
		return err
	}
	if err := m.only("ids"); err != nil {
		return err
	}
	list, err := m.list("ids")
	if err != nil {
		return err
	}
	var names []string
	var ids []ident.ID
	for _, each := range list {
		name, ok := each.(string)
		if !ok {
			return mustBe("ids", "array of strings")
		}
		if name != "" {
			names = append(names, name)
			ids = append(ids, ident.New(e.ownAccount(), "variable", name))
		}
	}
	if len(ids) == 0 || len(ids) > mostValues {
		return fault.New(fault.Invalid, "Ids must have 1 to %d elements, but there are %d", mostValues, len(ids))
	}
	each, err := a.core.EachSecret(e.r.Context(), e.caller, ids)
	if err != nil {
		return err
	}
	body := appendEach(names, each)
	err = e.confideV2(http.StatusOK, body)
	clear(body)
	return err
}

// appendEach reveals the values, in one buffer of sufficient size, so that no copy of a
// value is left behind.
func appendEach(names []string, each []core.EachSecret) []byte {
	size := 32
	for i := range each {
		size += 6*(len(names[i])+each[i].Value.Value.Len()) + 40
	}
	body := append(make([]byte, 0, size), `{"secrets":[`...)
	for i, s := range each {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"id":`...)
		body = appendString(body, names[i])
		status := http.StatusOK
		switch {
		case fault.Is(s.Err, fault.Forbidden):
			status = http.StatusForbidden
		case s.Err != nil:
			status = http.StatusNotFound
		case !utf8.Valid(s.Value.Value.Reveal()):
			status = http.StatusNotAcceptable
		default:
			body = append(body, `,"value":`...)
			body = appendString(body, s.Value.Value.Reveal())
		}
		body = append(body, `,"status":`...)
		body = strconv.AppendInt(body, int64(status), 10)
		body = append(body, '}')
	}
	return append(body, `]}`...)
}

// ownAccount is the account that the path names or else the caller's own: some clients
// leave it out.
func (e *exchange) ownAccount() string {
	if e.path[account] != "" {
		return e.path[account]
	}
	return e.caller.Role.Account()
}

func (a *api) createStaticSecret(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	asked, err := m.staticSecret()
	if err != nil {
		return err
	}
	created, err := a.core.CreateStaticSecret(e.r.Context(), e.caller, e.ownAccount(), asked)
	if err != nil {
		return err
	}
	return e.answerV2(http.StatusCreated, e.appendStaticSecret(nil, created))
}

func (m members) staticSecret() (s core.NewStaticSecret, err error) {
	if err = m.require("branch", "name"); err != nil {
		return s, err
	}
	if err = m.only("branch", "name", "mime_type", "value", "annotations", "permissions"); err != nil {
		return s, err
	}
	var value string
	for name, to := range map[string]*string{"branch": &s.Parent, "name": &s.Name, "mime_type": &s.MimeType, "value": &value} {
		if *to, err = m.text(name); err != nil {
			return s, err
		}
	}
	s.Value = secret.FromString(value)
	if s.Annotations, err = m.annotations(); err != nil {
		return s, err
	}
	s.Grants, err = m.grants()
	return s, err
}

// grants are a list of {"subject":{...},"privileges":[...]}.
func (m members) grants() ([]core.Grant, error) {
	list, err := m.list("permissions")
	if err != nil {
		return nil, err
	}
	grants := make([]core.Grant, len(list))
	for i, each := range list {
		object, ok := each.(map[string]any)
		if !ok {
			return nil, mustBe("permissions", "array of objects")
		}
		if err := members(object).only("subject", "privileges", "href"); err != nil {
			return nil, err
		}
		subject, err := members(object).object("subject")
		if err != nil {
			return nil, err
		}
		if grants[i].Subject, err = subject.subject(); err != nil {
			return nil, err
		}
		privileges, err := members(object).list("privileges")
		if err != nil {
			return nil, err
		}
		for _, p := range privileges {
			text, ok := p.(string)
			if !ok {
				return nil, mustBe("privileges", "array of strings")
			}
			grants[i].Privileges = append(grants[i].Privileges, text)
		}
	}
	return grants, nil
}

func (a *api) showStaticSecret(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	found, err := a.core.StaticSecret(e.r.Context(), e.caller, e.ownAccount(), e.path[id])
	if err != nil {
		return err
	}
	return e.answerV2(http.StatusOK, e.appendStaticSecret(nil, found))
}

// appendStaticSecret says where the permissions are rather than what they are, which is
// all that clients have room for.
func (e *exchange) appendStaticSecret(to []byte, s core.StaticSecret) []byte {
	to = append(to, `{"branch":`...)
	to = appendString(to, s.Branch())
	to = append(to, `,"name":`...)
	to = appendString(to, s.Name())
	if s.MimeType != "" {
		to = append(to, `,"mime_type":`...)
		to = appendString(to, s.MimeType)
	}
	to = append(to, `,"annotations":`...)
	to = appendAnnotations(to, s.Annotations)
	base := "/secrets/static/"
	if e.path[account] != "" {
		base = "/secrets/" + e.path[account] + "/static/"
	}
	to = append(to, `,"permissions":{"href":`...)
	to = appendString(to, base+s.ID.Identifier()+"/permissions")
	return append(to, "}}"...)
}

func (a *api) staticSecretPermissions(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	grants, err := a.core.StaticSecretGrants(e.r.Context(), e.caller, e.ownAccount(), e.path[id])
	if err != nil {
		return err
	}
	body := append([]byte(nil), `{"permissions":`...)
	body = appendList(body, grants, appendGrant)
	body = append(body, `,"count":`...)
	body = strconv.AppendInt(body, int64(len(grants)), 10)
	return e.answerV2(http.StatusOK, append(body, '}'))
}

func appendGrant(to []byte, g core.Grant) []byte {
	to = append(to, `{"subject":`...)
	to = appendSubject(to, g.Subject)
	to = append(to, `,"privileges":`...)
	to = appendList(to, g.Privileges, appendString[string])
	return append(to, '}')
}
