package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// longestRefusal bounds what is read of an answer that refuses.
const longestRefusal = 1 << 20

// longestAnswer bounds what is read of one that succeeds, so that no server can use up the
// memory of the machine. The longest there is, all resources of an account, is some tens
// of MiB.
const longestAnswer = 256 << 20

// bounded is a body that fails when it is longer than it may be.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		e := fault.New(fault.Unavailable, "the answer is longer than %d MiB", longestAnswer>>20)
		e.Advice = "check the URL, and for long lists ask with a limit"
		return 0, e
	}
	return n, err
}

// wire carries requests. It stops them when the command is interrupted, traces them
// without their secrets, and remembers the last refusal, of which the library keeps
// only the message.
type wire struct {
	ctx     context.Context
	next    http.RoundTripper
	trace   io.Writer
	refused *refusal
	took    time.Duration                     // for the last answer
	skew    time.Duration                     // how far its sender's clock is ahead, if that is a second or more
	asked   map[ident.ID]int                  // what the reader is to acknowledge
	renew   func(*http.Request) *http.Request // may give a refused request another token; nil if nothing does
}

// refusal is an answer with a status of 400 or more.
type refusal struct {
	status int
	kind   string // its content type
	body   []byte
}

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	context.AfterFunc(w.ctx, cancel)
	request = request.Clone(ctx)
	request.Header.Set("User-Agent", "rekey") // `whoami` shows it
	mendBlanks(request.URL)
	began := time.Now()
	w.tell("> %s %s", request.Method, public(request.URL))
	w.tellHeader(">", request.Header, request.ContentLength)
	response, err := w.next.RoundTrip(request)
	if err != nil {
		w.tell("< %v", err)
		return nil, err
	}
	w.took = time.Since(began)
	w.skew = skewOf(response, began, w.took)
	w.tell("< %s in %v", response.Status, w.took.Round(time.Millisecond))
	w.tellHeader("<", response.Header, response.ContentLength)
	if response.StatusCode == http.StatusUnauthorized && w.renew != nil {
		if again := w.renew(request); again != nil {
			_ = response.Body.Close() // the refusal of a token that was remembered too long
			return w.RoundTrip(again)
		}
	}
	if response.StatusCode < http.StatusBadRequest {
		w.hear(response.Header)
		if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") { // which has no end
			response.Body = &bounded{response.Body, longestAnswer}
		}
		return response, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, longestRefusal))
	if closed := response.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	w.refused = &refusal{response.StatusCode, response.Header.Get("Content-Type"), body}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

func (w *wire) tell(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintln(w.trace, Visible(fmt.Sprintf(format, args...)))
	}
}

// mendBlanks writes blanks in ids as paths do. In these places the library writes them
// as a form does, with a plus, which servers take for one.
func mendBlanks(u *url.URL) {
	path := u.EscapedPath()
	asForm := strings.HasSuffix(path, "/authenticate")
	for _, place := range [...]string{"/resources/", "/roles/", "/policies/"} {
		asForm = asForm || strings.Contains(path, place)
	}
	if !asForm || !strings.Contains(path, "+") {
		return
	}
	path = strings.ReplaceAll(path, "+", "%20")
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = plain, path
	}
}

// harmless are the headers that have no secrets, nor hashes of them.
var harmless = []string{"Accept", "Accept-Encoding", "Allow", "Content-Encoding", "Content-Type", "Date", "Location", "Retry-After", "Server"}

// tellHeader tells what is harmless of a header, and how long the body is.
func (w *wire) tellHeader(sign string, header http.Header, length int64) {
	for _, name := range harmless {
		if value := header.Get(name); value != "" {
			w.tell("%s   %s: %s", sign, name, value)
		}
	}
	if header.Get("Authorization") != "" {
		w.tell("%s   Authorization: ***", sign)
	}
	if length > 0 {
		w.tell("%s   %d bytes, not shown", sign, length)
	}
}

// public is a URL without what is secret in URLs: host factory tokens and the
// parameters of single sign-on.
func public(u *url.URL) string {
	shown := *u
	shown.User = nil
	if before, _, ok := strings.Cut(shown.Path, "/host_factory_tokens/"); ok {
		shown.Path, shown.RawPath = before+"/host_factory_tokens/***", ""
	}
	query := shown.Query()
	for _, name := range [...]string{"code", "nonce", "code_verifier", "id_token"} {
		if query.Has(name) {
			query.Set(name, "***")
			shown.RawQuery = query.Encode()
		}
	}
	return shown.String()
}
