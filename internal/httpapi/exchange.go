package httpapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// exchange is one request and the answer to it.
type exchange struct {
	w http.ResponseWriter
	r *http.Request

	origin   core.Origin
	caller   core.Caller // of the access token
	hasToken bool
	accept   accept
	query    query
	path     captures
	limit    int64 // of the body, in bytes
	answered bool

	parameters [4]parameter // room for the query, so that few requests allocate any
}

// body reads the request's body, at most as many bytes as its route allows.
func (e *exchange) body() ([]byte, error) {
	const trusted = 1 << 20 // a stated length up to this is allocated at once
	declared := e.r.ContentLength
	if declared > e.limit {
		return nil, e.tooLarge()
	}
	if declared == 0 {
		return nil, nil
	}
	if declared > 0 && declared <= trusted {
		body := make([]byte, declared)
		if _, err := io.ReadFull(e.r.Body, body); err != nil {
			return nil, cutShort(err)
		}
		return body, nil
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(e.w, e.r.Body, e.limit)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, e.tooLarge()
		}
		return nil, cutShort(err)
	}
	return body.Bytes(), nil
}

func (e *exchange) tooLarge() error {
	return fault.New(fault.TooLarge, "The body is larger than %d bytes, which is the limit for this request", e.limit)
}

func cutShort(err error) error {
	return &fault.Error{Kind: fault.BadRequest, Message: "The body ended before the length that was announced", Cause: err}
}

// basic authenticates by the Basic credentials (RFC 7617) of the request. Padding and
// line breaks of the base64 text do not matter.
func (a *api) basic(e *exchange) (core.Caller, error) {
	encoded, ok := strings.CutPrefix(header(e.r, "Authorization"), "Basic ")
	if !ok {
		return core.Caller{}, fault.New(fault.Unauthenticated, "no Basic credentials")
	}
	encoded = strings.TrimRight(strings.TrimSpace(encoded), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return core.Caller{}, fault.New(fault.Unauthenticated, "the Basic credentials are not base64")
	}
	login, password, ok := bytes.Cut(decoded, []byte(":"))
	switch {
	case !ok || len(login) == 0 || len(password) == 0:
		return core.Caller{}, fault.New(fault.Unauthenticated, "the Basic credentials lack a login or a password")
	case bytes.IndexByte(decoded, 0) >= 0:
		return core.Caller{}, fault.New(fault.Argument, "string contains null byte")
	case !utf8.Valid(login):
		return core.Caller{}, fault.New(fault.Unauthenticated, "the Basic login is not UTF-8")
	}
	return a.core.Basic(e.r.Context(), e.origin, e.path[account], string(login), secret.New(password))
}

// identify is the caller by access token or, without one, by Basic credentials.
func (a *api) identify(e *exchange) (core.Caller, error) {
	if e.hasToken {
		return e.caller, nil
	}
	return a.basic(e)
}

// acceptsBase64 tells whether one element of Accept-Encoding is the word base64.
func acceptsBase64(header string) bool {
	for header != "" {
		var element string
		element, header, _ = strings.Cut(header, ",")
		if strings.EqualFold(strings.TrimSpace(element), "base64") {
			return true
		}
	}
	return false
}
