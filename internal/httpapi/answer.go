package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Header values that never change are shared by all answers. Nothing may write to them.
var (
	typeJSON    = []string{"application/json; charset=utf-8"}
	typeText    = []string{"text/plain; charset=utf-8"}
	typeHTML    = []string{"text/html; charset=utf-8"}
	typeYAML    = []string{"application/x-yaml; charset=utf-8"}
	typeDiff    = []string{"text/x-diff; charset=utf-8"}
	typeXML     = []string{"application/xml; charset=utf-8"}
	typeOpenAPI = []string{"application/yaml"} // RFC 9512
	typeCSS     = []string{"text/css; charset=utf-8"}
	typeBytes   = []string{"application/octet-stream"}
	typeV2      = []string{v2Type}
	typeFilter  = []string{"text/plain"}

	sameOrigin   = []string{"SAMEORIGIN"}
	noSniff      = []string{"nosniff"}
	strictOrigin = []string{"strict-origin-when-cross-origin"}

	noCache    = []string{"no-cache"}
	noStore    = []string{"no-store"}
	revalidate = []string{"max-age=0, private, must-revalidate"}

	varyAccept     = []string{"Accept"}
	base64Encoding = []string{"base64"}
	attachment     = []string{"attachment"}
	binaryTransfer = []string{"binary"}
	zeroLength     = []string{"0"}
)

// emptyTypes are the content types of answers without a body.
var emptyTypes = [...][]string{
	mediaAny:  {"text/html"},
	mediaHTML: {"text/html"},
	mediaJSON: {"application/json"},
	mediaText: {"text/plain"},
	mediaXML:  {"application/xml"},
	mediaYAML: {"application/x-yaml"},
	mediaV2:   {v2Type},
}

// taggedLimit is the size up to which a body gets an entity tag; hashing a larger one
// would cost more than sending it again.
const taggedLimit = 16 << 10

// start sets the headers that every answer of an action has. Those that mean something
// to browsers only, and to pages only, go with pages: each header costs every request.
func (e *exchange) start() http.Header {
	h := e.w.Header()
	h["X-Frame-Options"] = sameOrigin
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noCache
	h["X-Request-Id"] = e.header(e.origin.RequestID)
	return h
}

// measured is the size up to which net/http itself states the length of a body that is
// written at once.
const measured = 2048

// send writes status and body. The length is always stated, for HEAD as for GET.
func (e *exchange) send(status int, body []byte) error {
	e.status = status
	switch {
	case len(body) == 0:
		e.w.Header()["Content-Length"] = zeroLength
	case len(body) > measured || e.r.Method == http.MethodHead:
		e.w.Header()["Content-Length"] = e.header(strconv.Itoa(len(body)))
	}
	e.w.WriteHeader(status)
	if len(body) > 0 && e.r.Method != http.MethodHead {
		_, _ = e.w.Write(body) // fails only if the client is gone
	}
	return nil
}

// answer sends a body that anyone may see who may make the request.
func (e *exchange) answer(status int, contentType []string, body []byte) error {
	h := e.start()
	h["Content-Type"] = contentType
	if &contentType[0] == &typeHTML[0] {
		h["Referrer-Policy"] = strictOrigin
	}
	e.vary(h)
	if status == http.StatusOK && len(body) <= taggedLimit &&
		(e.r.Method == http.MethodGet || e.r.Method == http.MethodHead) {
		tag := entityTag(body)
		h["ETag"] = e.header(tag)
		h["Cache-Control"] = revalidate
		if matches(e.r.Header["If-None-Match"], tag) {
			delete(h, "Content-Type")
			return e.send(http.StatusNotModified, nil)
		}
	}
	return e.send(status, body)
}

// confide sends a body that has secrets, API keys or tokens in it: never to be
// stored by anything between here and the client.
func (e *exchange) confide(status int, contentType []string, body []byte) error {
	h := e.start()
	h["Content-Type"] = contentType
	h["Cache-Control"] = noStore
	e.vary(h)
	return e.send(status, body)
}

// empty answers without a body; its content type follows the request's Accept header.
func (e *exchange) empty(status int) error {
	h := e.start()
	if status == http.StatusNoContent {
		e.status = status
		e.w.WriteHeader(status)
		return nil
	}
	h["Content-Type"] = emptyTypes[e.accept.media]
	return e.send(status, nil)
}

// filtered answers for the token filter, in plain text.
func (e *exchange) filtered(status int, text string) error {
	h := e.w.Header()
	h["Content-Type"] = typeFilter
	h["Cache-Control"] = noCache
	h["X-Request-Id"] = e.header(e.origin.RequestID)
	return e.send(status, []byte(text))
}

// fallback answers where no action did: unknown paths, illegible requests, defects.
func (e *exchange) fallback(status int) error {
	h := e.w.Header()
	h["X-Request-Id"] = e.header(e.origin.RequestID)
	text, code := http.StatusText(status), strconv.Itoa(status)
	switch e.accept.media {
	case mediaJSON:
		h["Content-Type"] = typeJSON
		return e.send(status, []byte(`{"status":`+code+`,"error":"`+text+`"}`))
	case mediaXML:
		h["Content-Type"] = typeXML
		return e.send(status, []byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n<hash>\n  <status type=\"integer\">"+code+
			"</status>\n  <error>"+text+"</error>\n</hash>\n"))
	}
	h["Content-Type"] = typeHTML
	return e.send(status, nil)
}

// failed answers with an error.
func (e *exchange) failed(f failure) {
	if f.fallback {
		_ = e.fallback(f.status) // sending has no error to report
		return
	}
	if f.retryAfter != "" {
		e.w.Header()["Retry-After"] = []string{f.retryAfter}
	}
	if f.body == nil {
		_ = e.empty(f.status) // as above
		return
	}
	h := e.start()
	h["Content-Type"] = typeJSON
	if f.v2 {
		h["Content-Type"] = e.v2Errors()
	}
	e.vary(h)
	_ = e.send(f.status, f.body) // as above
}

func (e *exchange) vary(h http.Header) {
	if e.accept.varied {
		h["Vary"] = varyAccept
	}
}

// entityTag is a weak entity tag (RFC 9110, section 8.8.3) of a body.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + hex.EncodeToString(sum[:16]) + `"`
}

// matches: RFC 9110, section 13.1.2, by weak comparison.
func matches(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}

// buffers are reused for answers without secrets.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

const pooledLimit = 1 << 20

// answerJSON answers 200 with what build appends. Nothing secret may be appended: the
// buffer goes on to other requests.
func (e *exchange) answerJSON(build func(to []byte) []byte) error {
	buffer := buffers.Get().(*[]byte)
	body := build((*buffer)[:0])
	err := e.answer(http.StatusOK, typeJSON, body)
	if cap(body) <= pooledLimit {
		*buffer = body
		buffers.Put(buffer)
	}
	return err
}

// answerList answers 200 with a JSON array. The rule of answerJSON holds.
func answerList[T any](e *exchange, list []T, each func([]byte, T) []byte) error {
	return e.answerJSON(func(to []byte) []byte { return appendList(to, list, each) })
}
