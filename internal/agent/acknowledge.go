package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

// Where the old value of a variable waits for the host of this agent, the server asks for
// an acknowledgement beside the new value, and the agent gives it when the files are
// written and the command has been told. Nothing of it is kept: who has not acknowledged,
// for whatever reason, is asked again when values are next read.

const acknowledgementsName = "acknowledgements"

// taken are the versions that are in use and still to be acknowledged.
type taken struct {
	mutex    sync.Mutex
	versions map[ident.ID]int
	rouse    func() // has them acknowledged
}

func (t *taken) add(versions map[ident.ID]int) {
	if len(versions) == 0 {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	maps.Copy(t.versions, versions)
	t.rouse()
}

func (t *taken) all() map[ident.ID]int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return maps.Clone(t.versions)
}

// settled forgets a version, unless there is another one by now.
func (t *taken) settled(variable ident.ID, version int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.versions[variable] == version {
		delete(t.versions, variable)
	}
}

// acknowledgeDuty tells the server what is in use. It is a duty of its own, so that no value
// comes later for it.
func (a *Agent) acknowledgeDuty(session *client.Session, who *login) (*duty, *taken) {
	t := &taken{versions: map[ident.ID]int{}}
	d := newDuty(acknowledgementsName, func(ctx context.Context) (time.Duration, error) {
		var errs []error
		versions := t.all()
		for _, variable := range slices.Sorted(maps.Keys(versions)) {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			version := versions[variable]
			_, err := session.Acknowledge(variable, version)
			if fault.Is(err, fault.Unauthenticated) {
				who.refuse()
				_, err = session.Acknowledge(variable, version)
			}
			if err != nil && !final(err) {
				errs = append(errs, err)
				continue
			}
			t.settled(variable, version)
			if err != nil {
				a.log.Warn("the server does not take an acknowledgement", "variable", variable, "version", version, "error", err, "advice", advice(err))
				continue
			}
			a.counts.acknowledged.Add(1)
		}
		return surelyAgain, errors.Join(errs...)
	})
	t.rouse = d.rouse
	return d, t
}

// final tells whether the same acknowledgement would be refused again.
func final(err error) bool {
	switch fault.KindOf(err) {
	case fault.Forbidden, fault.NotFound, fault.Conflict, fault.Invalid, fault.NotAllowed:
		return true
	}
	return false
}
