package httpapi

import (
	"net/http"
	"strings"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// createFactoryTokens answers with a list, also of one.
func (a *api) createFactoryTokens(e *exchange) error {
	f, err := e.fields()
	if err != nil {
		return err
	}
	name, _ := f.text("host_factory")
	if strings.TrimSpace(name) == "" {
		return fault.New(fault.Argument, "host_factory")
	}
	factory, err := ident.Parse(name)
	if err != nil {
		return &fault.Error{Kind: fault.NotFound, ID: name, Message: recordNotFound(name), Cause: err}
	}
	asked := core.FactoryTokens{Factory: factory}
	asked.Expiration, _ = f.text("expiration")
	if f["count"] != nil {
		count, _ := f.text("count")
		asked.Count = &count
	}
	if asked.Networks, err = f.list("cidr"); err != nil {
		return err
	}
	tokens, err := a.core.CreateFactoryTokens(e.r.Context(), e.caller, asked)
	if err != nil {
		return err
	}
	return e.confide(http.StatusOK, typeJSON, appendList(nil, tokens, appendFactoryToken))
}

func (a *api) revokeFactoryToken(e *exchange) error {
	if err := a.core.RevokeFactoryToken(e.r.Context(), e.caller, secret.FromString(e.path[id])); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

// factoryToken reads the header Authorization: Token token="TOKEN", in which the token
// is not base64 as an access token would be.
func factoryToken(r *http.Request) (secret.Bytes, bool) {
	text, ok := strings.CutPrefix(header(r, "Authorization"), `Token token="`)
	if ok {
		text, ok = strings.CutSuffix(strings.TrimSpace(text), `"`)
	}
	return secret.FromString(text), ok && text != ""
}

func (a *api) enrolHost(e *exchange) error {
	token, ok := factoryToken(e.r)
	if !ok {
		return fault.New(fault.Unauthenticated, "no host factory token")
	}
	factory, err := a.core.FactoryCaller(e.r.Context(), e.origin, token)
	if err != nil {
		return err
	}
	f, err := e.fields()
	if err != nil {
		return err
	}
	name, _ := f.text("id")
	switch {
	case strings.TrimSpace(name) == "":
		return &fault.Error{Kind: fault.Missing, Message: "param is missing or the value is empty: id"}
	case strings.IndexByte(name, 0) >= 0:
		return fault.New(fault.Argument, "string contains null byte")
	}
	members, err := f.object("annotations")
	if err != nil {
		return err
	}
	annotations := make([]core.Annotation, len(members))
	for i, m := range members {
		if m.name == "" || strings.IndexByte(m.name, 0) >= 0 || strings.IndexByte(m.text, 0) >= 0 {
			return fault.New(fault.Argument, "Invalid value for parameter 'annotations': a name is empty or a NUL character is in it")
		}
		annotations[i] = core.Annotation{Name: m.name, Value: m.text}
	}
	enrolled, err := a.core.EnrolHost(e.r.Context(), factory, name, annotations)
	if err != nil {
		return err
	}
	return e.confide(http.StatusCreated, typeJSON, appendEnrolled(nil, enrolled))
}

// appendEnrolled reveals the API key. It is null for a host that has none.
func appendEnrolled(to []byte, enrolled core.Enrolled) []byte {
	to = appendResource(to, enrolled.Host)
	to = append(to[:len(to)-1], `,"api_key":`...)
	if enrolled.Key.Len() == 0 {
		return append(to, "null}"...)
	}
	to = appendString(to, enrolled.Key.Reveal())
	return append(to, '}')
}
