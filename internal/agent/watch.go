package agent

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

const (
	streamAgain = time.Second      // after a stream has ended in order
	askAgain    = 10 * time.Minute // whether a server without events has them now
	surelyAgain = 5 * time.Minute  // while a stream is open values are read again all the same
)

const eventsName = "events"

// watched is what the secrets duty and the stream of events know of each other.
type watched struct {
	ids  atomic.Pointer[[]ident.ID] // whose values were read last; nil before
	told atomic.Pointer[[]ident.ID] // those of whose changes the server tells now; nil for none
}

// poll is when values are to be read again if nothing is told.
func (w *watched) poll(plan Plan) time.Duration {
	ids, told := w.ids.Load(), w.told.Load()
	if ids != nil && told != nil && slices.Equal(*ids, *told) {
		return max(surelyAgain, plan.Poll)
	}
	return plan.Poll
}

// watchDuty has the secrets read again whenever the server tells of a change. A server
// that tells nothing is polled by the secrets duty itself.
func (a *Agent) watchDuty(session *client.Session, who *login, w *watched, secrets *duty) *duty {
	d := newDuty(eventsName, func(ctx context.Context) (time.Duration, error) {
		ids := w.ids.Load()
		if ids == nil || len(*ids) == 0 {
			return streamAgain, nil
		}
		began := func() { w.told.Store(ids); secrets.rouse() }
		err := session.Events(ctx, *ids, began, secrets.rouse)
		w.told.Store(nil)
		switch {
		case fault.Is(err, fault.NotFound):
			return askAgain, nil
		case fault.Is(err, fault.Unauthenticated):
			who.refuse()
		}
		secrets.rouse() // which polls from now on
		return streamAgain, err
	})
	d.endless = true
	return d
}
