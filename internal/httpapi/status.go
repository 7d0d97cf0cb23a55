package httpapi

import (
	_ "embed"
	"net/http"
	"strings"

	"rekey/internal/openapi"
)

// Clients read a version from GET / and switch features on by it. It says which
// version of the protocol is spoken, not which rekey this is.
const (
	protocolVersion = "1.24.0"
	schemaVersion   = "5.3.1"
)

//go:embed status.html
var statusTemplate string

//go:embed status.css
var statusStyle []byte

var (
	statusPage = []byte(strings.NewReplacer("{{version}}", protocolVersion, "{{api}}", schemaVersion).Replace(statusTemplate))
	statusJSON = []byte(`{"version":"` + protocolVersion + `"}`)
)

// heartbeat answers OPTIONS / for load balancers: nothing but that there is a server.
func heartbeat(w http.ResponseWriter) {
	h := w.Header()
	h["Content-Type"] = typeFilter
	h["Allow"] = []string{"HEAD,GET,PUT,DELETE,OPTIONS"}
	h["Content-Length"] = []string{"2"}
	_, _ = w.Write([]byte("OK")) // fails only if the client is gone
}

func (a *api) beat(e *exchange) error {
	return e.filtered(http.StatusOK, "OK")
}

// status is the front page: for people, and for clients that look for a version.
func (a *api) status(e *exchange) error {
	switch e.accept.media {
	case mediaAny, mediaHTML:
		return e.answer(http.StatusOK, typeHTML, statusPage)
	case mediaJSON:
		return e.answer(http.StatusOK, typeJSON, statusJSON)
	}
	return e.fallback(http.StatusNotAcceptable)
}

func (a *api) styleSheet(e *exchange) error {
	return e.answer(http.StatusOK, typeCSS, statusStyle)
}

// description answers with the OpenAPI document of this table of routes.
func (a *api) description(e *exchange) error {
	return e.answer(http.StatusOK, typeOpenAPI, openapi.Document)
}

// whoAmI tells a client what the server makes of its request.
func (a *api) whoAmI(e *exchange) error {
	if err := a.core.WhoAmI(e.r.Context(), e.caller); err != nil {
		return err
	}
	return e.answerJSON(func(to []byte) []byte {
		to = append(to, `{"client_ip":`...)
		to = appendAddress(to, e.origin.IP)
		to = append(to, `,"user_agent":`...)
		if len(e.r.Header["User-Agent"]) == 0 {
			to = append(to, "null"...)
		} else {
			to = appendString(to, e.origin.UserAgent)
		}
		to = append(to, `,"account":`...)
		to = appendString(to, e.caller.Role.Account())
		to = append(to, `,"username":`...)
		to = appendString(to, e.caller.Role.Login())
		to = append(to, `,"token_issued_at":`...)
		to = appendTime(to, e.caller.IssuedAt)
		return append(to, '}')
	})
}
