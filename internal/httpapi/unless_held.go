package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

// Entity tags of secrets are strong (RFC 9110, section 8.8.3): they name versions, and
// are not made of values, of which a hash may be as good as the value.

func valueTag(tags ...string) string { return `"` + tags[0] + `"` }

// batchTag is of several values in one encoding.
func batchTag(ids []ident.ID, tags []string, encoded bool) string {
	hash := sha256.New()
	for i := range ids {
		_, _ = hash.Write([]byte(string(ids[i]) + "\x00" + tags[i] + "\x00")) // a hash does not fail
	}
	kind := "text-"
	if encoded {
		kind = "base64-"
	}
	return `"` + kind + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
}

// held tells whether the client names a tag in If-None-Match; nil if it names none.
func (e *exchange) held(tag func(...string) string) func(...string) bool {
	named := e.r.Header["If-None-Match"]
	if len(named) == 0 {
		return nil
	}
	return func(tags ...string) bool { return matches(named, tag(tags...)) }
}

// unchanged answers that the client has what it asks for. Nothing on the way may keep
// what a tag stands for, so the answer says no-store as the value did.
func (e *exchange) unchanged() error {
	h := e.start()
	h["Cache-Control"] = noStore
	e.vary(h)
	e.status = http.StatusNotModified
	e.w.WriteHeader(http.StatusNotModified)
	return nil
}

// longestWait is how long a request may wait for a change.
const longestWait = 5 * time.Minute

// wait reads how long to wait for a change, 0 for not at all.
func (q query) wait() (time.Duration, error) {
	text, ok := q.lookup("wait")
	if !ok {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > longestWait {
		e := fault.New(fault.Argument, "invalid value for parameter 'wait': '%s'", text)
		e.Advice = "Give a number with its unit, such as 30s, up to 5m."
		return 0, e
	}
	return wait, nil
}

// whenChanged reads once or, with ?wait, again at each change of the variables until
// the client does not hold what is read, its time is over, or it may not read any more.
func (a *api) whenChanged(e *exchange, variables []ident.ID, read func() (held bool, err error)) error {
	wait, err := e.query.wait()
	if err != nil {
		return err
	}
	held, err := read()
	if err != nil || !held || wait == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(e.r.Context(), wait)
	defer cancel()
	l, err := a.core.Listen(e.caller, "", variables, "")
	if err != nil {
		return err
	}
	defer l.Close()
	for held, err = read(); err == nil && held; held, err = read() { // it may have changed before there was a listener
		switch _, err := l.Next(ctx); {
		case errors.Is(err, core.ErrEnded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return err
		}
		if err := a.again(e); err != nil {
			return err
		}
	}
	return err
}

// again proves anew who the caller is: a token ends, and its key may be replaced.
func (a *api) again(e *exchange) error {
	err := a.core.CatchUp(e.r.Context())
	if err != nil {
		return err
	}
	e.caller, _, err = a.core.Token(e.origin, header(e.r, "Authorization"))
	return err
}
