// Package httpapi is the wire: it turns HTTP requests into calls of the use cases and
// their results into the statuses, headers and bodies that clients of the protocol
// know. The table in routes.go is the whole surface; failure.go is the only place
// that turns an error into an answer.
//
// It promises that a request is admitted before it is routed, so that nobody without a
// token learns which paths exist; that it never redirects; that a body is never read
// beyond the limit of its route; and that no answer that carries a secret, an API key
// or a token may be cached. It decides nothing about who may do what: core does.
//
// It imports core, metrics, the rooms below it, and the description of itself that it serves.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/metrics"
)

// Options are what an operator may set of the wire's behaviour.
type Options struct {
	// Log receives defects and broken dependencies, once each, with the request's id.
	// Nil discards them.
	Log *slog.Logger
	// TrustedProxies may speak for other addresses in X-Forwarded-For; loopback
	// always may.
	TrustedProxies []netip.Prefix
	// ListLimit is the longest page of resources; 0 for no limit.
	ListLimit int
	// Metrics counts requests and is shown at /metrics; nil for neither.
	Metrics *metrics.Metrics
	// OverdueLimit is for how long a rotation may be overdue while the server is well.
	OverdueLimit time.Duration
	// Leader is the URL of a server that takes changes, for those that this one refuses
	// because it is read-only; it may be empty.
	Leader string
	// NoHostFactories takes the routes of host factories away.
	NoHostFactories bool
}

type api struct {
	core      *core.Core
	log       *slog.Logger
	proxies   []netip.Prefix
	listLimit int
	routes    routing
	bodies    *semaphore.Weighted // room for large ones
	metrics   *metrics.Metrics
	overdue   time.Duration
	leader    string
}

// New is the handler of the whole API. It is safe for concurrent use and follows the
// core's state; it has none of its own.
func New(c *core.Core, opts Options) http.Handler {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	served := slices.DeleteFunc(slices.Clone(routes), func(r route) bool {
		return opts.NoHostFactories && strings.HasPrefix(r.pattern, "/host_factor") || opts.Metrics == nil && r.pattern == "/metrics"
	})
	return &api{core: c, log: log, proxies: opts.TrustedProxies, listLimit: opts.ListLimit, routes: newRouting(served), bodies: semaphore.NewWeighted(roomForBodies),
		metrics: opts.Metrics, overdue: opts.OverdueLimit, leader: opts.Leader}
}

// ServeHTTP answers one request. The order of the steps is part of the protocol.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodTrace:
	case http.MethodOptions:
		if r.URL.Path == "/" {
			heartbeat(w)
			return
		}
	default:
		http.Error(w, r.Method+" method is not supported", http.StatusNotImplemented)
		return
	}
	e := &exchange{w: w, r: r, room: a.bodies}
	defer e.release()
	if a.metrics != nil {
		defer a.measure(e, time.Now())
	}
	e.origin.RequestID = requestID(r.Header["X-Request-Id"])
	e.origin.UserAgent = r.UserAgent()
	defer a.recover(e)
	if err := a.serve(e); err != nil {
		a.fail(e, err)
	}
}

func (a *api) serve(e *exchange) error {
	var acceptable, legible bool
	e.accept, acceptable = parseAccept(header(e.r, "Accept"))
	e.query, legible = parseQuery(e.parameters[:0], e.r.URL.RawQuery)

	var err error
	if e.origin.IP, err = clientIP(e.r, a.proxies); err != nil {
		return err
	}
	route, rule := a.routes.find(e)
	if route == nil || route.asksCore() {
		if err := a.core.CatchUp(e.r.Context()); err != nil {
			return err
		}
	}
	if done, err := a.admit(e, rule); done || err != nil {
		return err
	}
	path := e.r.URL.Path // decoded, for a look at its characters only
	switch {
	case route == nil:
		return e.fallback(http.StatusNotFound)
	case !acceptable:
		e.accept = accept{}
		return e.fallback(http.StatusNotAcceptable)
	case !legible:
		return fault.New(fault.BadRequest, "The query cannot be read: a percent escape is malformed or the text is not UTF-8")
	case !utf8.ValidString(path):
		return fault.New(fault.BadRequest, "The path cannot be read: it is not UTF-8")
	case strings.IndexByte(path, 0) >= 0 && route.credential == none:
		return fault.New(fault.Unauthenticated, "the login has a NUL character")
	case strings.IndexByte(path, 0) >= 0 || e.query.hasNull():
		return fault.New(fault.Argument, "string contains null byte")
	}
	e.limit = route.body
	return route.handle(a, e)
}

// admit is the token filter. done tells that it has answered.
func (a *api) admit(e *exchange, rule credential) (done bool, err error) {
	if rule == none {
		return false, nil
	}
	if authorization := header(e.r, "Authorization"); authorization != "" {
		caller, present, err := a.core.Token(e.origin, authorization)
		switch {
		case !present: // another scheme, for the action to read
		case fault.Is(err, fault.Unauthenticated):
			return true, e.filtered(http.StatusUnauthorized, message(err))
		case fault.Is(err, fault.Forbidden):
			return true, e.filtered(http.StatusForbidden, message(err))
		case err != nil:
			return true, err
		default:
			e.caller, e.hasToken = caller, true
			return false, nil
		}
	}
	if rule == optional {
		return false, nil
	}
	if e.accept.v2 {
		return true, e.filtered(http.StatusUnauthorized, "")
	}
	return true, e.filtered(http.StatusUnauthorized, "Authorization missing")
}

// fail answers with an error. Here, and nowhere else, is it logged.
func (a *api) fail(e *exchange, err error) {
	f := failureOf(err, e.accept.v2)
	level := slog.LevelDebug
	if fault.Is(err, fault.ReadOnly) {
		if a.leader != "" {
			e.w.Header()["Rekey-Leader"] = []string{a.leader}
		}
	} else if f.status >= 500 && !errors.Is(err, context.Canceled) {
		level = slog.LevelError
	}
	if f.status >= 500 {
		a.metrics.Exception(operation(e.r), exception(f.status))
	}
	a.log.Log(e.r.Context(), level, "request failed", "request_id", e.origin.RequestID, "method", e.r.Method,
		"path", e.shownPath(), "status", f.status, "error", err)
	e.failed(f)
}

// recover turns a panic, always a defect, into an answer and one line in the log.
func (a *api) recover(e *exchange) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	a.metrics.Exception(operation(e.r), "defect")
	a.log.Error("defect", "request_id", e.origin.RequestID, "method", e.r.Method, "path", e.shownPath(),
		"panic", p, "stack", string(debug.Stack()))
	if e.status != 0 {
		panic(http.ErrAbortHandler) // too late for another answer: cut the connection
	}
	clear(e.w.Header()) // of the answer that was under way
	e.failed(failure{status: http.StatusInternalServerError, fallback: true})
}

// shownPath is the path for the log: without the token that some paths end in.
func (e *exchange) shownPath() string {
	const tokens = "/host_factory_tokens/"
	if path := collapse(e.r.URL.Path); strings.HasPrefix("/"+path, tokens) {
		return tokens + "[secret]"
	}
	return e.r.URL.Path
}

// header is the first value of a header; the name is in canonical form.
func header(r *http.Request, name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
