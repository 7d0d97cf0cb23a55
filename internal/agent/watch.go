package agent

import (
	"context"
	"slices"
	"sync"
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

// watched is what the reading of values and the stream of events know of each other.
type watched struct {
	mutex sync.Mutex
	ids   []ident.ID         // whose values are read
	told  bool               // the server tells of their changes now
	stop  context.CancelFunc // ends the stream; nil if there is none
	rouse func()             // has another one begun
}

// want says whose values are read. A stream that tells of others ends.
func (w *watched) want(ids []ident.ID) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if slices.Equal(ids, w.ids) {
		return
	}
	w.ids, w.told = ids, false
	if w.stop != nil {
		w.stop()
	}
	if w.rouse != nil {
		w.rouse()
	}
}

// begin is for a stream that is about to be opened. What it tells of counts from told on
// until its context is done.
func (w *watched) begin(ctx context.Context) (stream context.Context, ids []ident.ID, told, end func()) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	stream, stop := context.WithCancel(ctx)
	w.stop = stop
	told = func() {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.told = stream.Err() == nil
	}
	end = func() {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		stop()
		w.told, w.stop = false, nil
	}
	return stream, w.ids, told, end
}

// poll is when values are to be read again if nothing is told.
func (w *watched) poll(plan Plan) time.Duration {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.told {
		return max(surelyAgain, plan.Poll)
	}
	return plan.Poll
}

// watchDuty has the secrets read again whenever the server tells of a change. A server
// that tells nothing is polled by the secrets duty itself.
func (a *Agent) watchDuty(session *client.Session, who *login, w *watched, secrets *duty) *duty {
	d := newDuty(eventsName, func(ctx context.Context) (time.Duration, error) {
		stream, ids, told, end := w.begin(ctx)
		if len(ids) == 0 {
			end()
			return askAgain, nil
		}
		err := session.Events(stream, ids, func() { told(); secrets.rouse() }, secrets.rouse)
		others := stream.Err() != nil // are wanted now, or it is all over
		end()
		secrets.rouse() // which polls from now on
		switch {
		case others:
			return 0, nil
		case fault.Is(err, fault.NotFound):
			return askAgain, nil
		case fault.Is(err, fault.Unauthenticated):
			who.refuse()
		}
		return streamAgain, err
	})
	d.endless, w.rouse = true, d.rouse
	return d
}
