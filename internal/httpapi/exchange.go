package httpapi

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

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
	room     *semaphore.Weighted
	reserved int64 // of room
	status   int   // of the answer; 0: there is none yet

	parameters [4]parameter // room for the query, so that few requests allocate any
	values     [4]string    // and for values of the answer's headers
	valued     int          // of values
}

// header is the value of a header of the answer, of which there is one.
func (e *exchange) header(value string) []string {
	if e.valued == len(e.values) {
		return []string{value}
	}
	e.values[e.valued] = value
	e.valued++
	return e.values[e.valued-1 : e.valued : e.valued]
}

const (
	// smallBody is the length, in bytes, up to which a body is read without further ado.
	smallBody = 1 << 20
	// roomForBodies is how many bytes of larger bodies are in memory at once; requests
	// that bring more wait for their turn.
	roomForBodies = 128 << 20
	// largeBodyTime is how long a larger body may take, once there is room for it.
	largeBodyTime = time.Minute
)

// isLarge tells whether the body may be so large that it is worth asking first whether
// it will be needed.
func (e *exchange) isLarge() bool { return e.r.ContentLength < 0 || e.r.ContentLength > smallBody }

// admit asks, where the body is large, whether the request would be refused without it.
func (e *exchange) admit(may func() error) error {
	switch {
	case e.r.ContentLength > e.limit:
		return e.tooLarge()
	case e.isLarge():
		return may()
	}
	return nil
}

// body reads the request's body, at most as many bytes as its route allows.
func (e *exchange) body() ([]byte, error) {
	declared := e.r.ContentLength
	switch {
	case declared > e.limit:
		return nil, e.tooLarge()
	case declared == 0:
		return nil, nil
	}
	if e.isLarge() {
		if err := e.reserve(declared); err != nil {
			return nil, err
		}
		defer e.hurry()()
	}
	if declared > 0 {
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

// hurry gives the client largeBodyTime to send the body: whoever sends slowly must not
// keep the room from others. The time is lifted by what it returns.
func (e *exchange) hurry() (lift func()) {
	c := http.NewResponseController(e.w)
	_ = c.SetReadDeadline(time.Now().Add(largeBodyTime)) // fails only where there is no connection
	return func() { _ = c.SetReadDeadline(time.Time{}) } // as above; the server sets one for the next request
}

// reserve waits for room for a body, of unknown length if negative, until the request
// is answered.
func (e *exchange) reserve(length int64) error {
	if length < 0 {
		length = e.limit
	}
	length = min(length, roomForBodies)
	if err := e.room.Acquire(e.r.Context(), length); err != nil {
		return cutShort(err)
	}
	e.reserved = length
	return nil
}

func (e *exchange) release() {
	if e.reserved > 0 {
		e.room.Release(e.reserved)
	}
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
	if name := e.path[authenticator]; name != "" && name != "authn" {
		return core.Caller{}, fault.New(fault.Unauthenticated, "authenticator %s is not enabled", name)
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
