package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

const (
	// eventBeat is how often a stream without news says that it lives: often enough for
	// proxies, which cut silent connections after a minute or half of one.
	eventBeat = 15 * time.Second
	// eventWrite is how long a client may take to read what it is sent.
	eventWrite = 10 * time.Second
	// mostFiltered bounds the variables that a stream is narrowed to.
	mostFiltered = 1000
)

var (
	typeEvents = []string{"text/event-stream"}
	unbuffered = []string{"no"}
)

// events tells of changes as they happen, as a stream of server-sent events (HTML
// Living Standard, section 9.2), until the client goes, its token ends or the server
// stops.
func (a *api) events(e *exchange) error {
	variables, err := e.filter()
	if err != nil {
		return err
	}
	after, ok := e.query.lookup("after")
	if sent := header(e.r, "Last-Event-Id"); sent != "" || !ok {
		after = sent
	}
	l, err := a.core.Listen(e.caller, e.path[account], variables, after)
	if err != nil {
		return err
	}
	defer l.Close()
	h := e.start()
	h["Content-Type"] = typeEvents
	h["Cache-Control"] = noStore
	h["X-Accel-Buffering"] = unbuffered // a proxy that collects answers would hold back the news
	e.vary(h)
	e.status = http.StatusOK
	e.w.WriteHeader(http.StatusOK)
	if e.r.Method != http.MethodHead {
		a.stream(e, l)
	}
	return nil
}

// filter are the variables that the client wants to hear of; none: all.
func (e *exchange) filter() ([]ident.ID, error) {
	if !e.query.has("variable_ids") {
		return nil, nil
	}
	variables, err := e.query.variables()
	if err != nil {
		return nil, err
	}
	if len(variables) > mostFiltered {
		return nil, fault.New(fault.Argument, "variable_ids: %d variables, at most %d are watched by one request", len(variables), mostFiltered)
	}
	for _, variable := range variables {
		if variable.Account() != e.path[account] || variable.Kind() != "variable" {
			return nil, fault.New(fault.Argument, "variable_ids: %s is no variable of account %s", variable, e.path[account])
		}
	}
	return variables, nil
}

// stream writes events until there is a reason to end. Whatever that is, the client
// comes back, and a new request tells it.
func (a *api) stream(e *exchange, l *core.Listener) {
	out := eventWriter{http.NewResponseController(e.w), e.w}
	_ = out.SetReadDeadline(time.Time{}) // that of the request; fails only where there is no connection
	ctx := e.r.Context()
	if !e.caller.ExpiresAt.IsZero() {
		var cancel func()
		ctx, cancel = context.WithDeadline(ctx, e.caller.ExpiresAt)
		defer cancel()
	}
	text := []byte("retry: 2000\n")
	for {
		text = appendBeat(text, l)
		if out.send(text) != nil {
			return
		}
		beat, cancel := context.WithTimeout(ctx, eventBeat)
		changes, err := l.Next(beat)
		cancel()
		if err != nil && !(errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil) || a.again(e) != nil {
			return
		}
		text = text[:0]
		for _, change := range changes {
			text = appendEvent(text, change)
		}
	}
}

// eventWriter sends each piece at once, and gives up on clients that do not read.
type eventWriter struct {
	*http.ResponseController
	w http.ResponseWriter
}

func (o eventWriter) send(text []byte) error {
	_ = o.SetWriteDeadline(time.Now().Add(eventWrite)) // fails only where there is no connection
	if _, err := o.w.Write(text); err != nil {
		return err
	}
	return o.Flush()
}

// appendBeat appends a comment and, as an event without data, which clients do not
// see, the ID after which to go on.
func appendBeat(to []byte, l *core.Listener) []byte {
	to = append(to, ":\n"...)
	if id, ok := l.Position(); ok {
		to = append(append(append(to, "id: "...), id...), '\n')
	}
	return append(to, '\n')
}

func appendEvent(to []byte, change core.Change) []byte {
	to = append(append(to, "event: "...), change.Kind...)
	to = append(append(to, "\nid: "...), change.ID...)
	to = append(to, "\ndata: {"...)
	if change.Variable != "" {
		to = append(to, `"variable":`...)
		to = appendString(to, change.Variable)
		to = append(to, ',')
	}
	if change.Version > 0 {
		to = append(to, `"version":`...)
		to = strconv.AppendInt(to, int64(change.Version), 10)
		to = append(to, ',')
	}
	to = append(to, `"at":`...)
	to = appendTime(to, change.At)
	return append(to, "}\n\n"...)
}
