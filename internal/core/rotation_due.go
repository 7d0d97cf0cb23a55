package core

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// DueRotation is a rotation for which there is something to do.
type DueRotation struct {
	Variable  ident.ID
	Due       time.Time
	Scheduled bool // only because its time has come: nobody waits for it
	Check     bool // no more than a login with the present value
}

// dueList has the rotations by the moment at which there is something to do for them. It
// is derived from the rows, and guarded as the graph is.
type dueList struct {
	scheduled, urgent *btree.BTreeG[DueRotation]
	at                map[ident.ID]DueRotation
	states            map[ident.ID]string    // of every variable that rotates
	count             map[string]int         // of these, by state
	failing           map[ident.ID]time.Time // since when they should have been done
	awaiting          map[ident.ID][]string  // the login names of those whose acknowledgement an old value waits for
	wake              chan struct{}
}

func newDueList() dueList {
	return dueList{scheduled: newDueOrder(), urgent: newDueOrder(), at: map[ident.ID]DueRotation{}, states: map[ident.ID]string{}, count: map[string]int{}, failing: map[ident.ID]time.Time{}, awaiting: map[ident.ID][]string{}, wake: make(chan struct{}, 1)}
}

// clear forgets everything, but not who waits for a signal.
func (l *dueList) clear() {
	l.scheduled, l.urgent, l.at, l.awaiting = newDueOrder(), newDueOrder(), map[ident.ID]DueRotation{}, map[ident.ID][]string{}
}

func newDueOrder() *btree.BTreeG[DueRotation] {
	return btree.NewBTreeGOptions(func(a, b DueRotation) bool {
		if a.Due.Equal(b.Due) {
			return a.Variable < b.Variable
		}
		return a.Due.Before(b.Due)
	}, btree.Options{NoLocks: true})
}

func (l *dueList) order(d DueRotation) *btree.BTreeG[DueRotation] {
	if d.Scheduled {
		return l.scheduled
	}
	return l.urgent
}

func (l *dueList) set(d DueRotation) {
	old, had := l.at[d.Variable]
	if had && old == d {
		return
	}
	if had {
		l.order(old).Delete(old)
		delete(l.at, d.Variable)
	}
	if d.Due.IsZero() {
		return
	}
	l.at[d.Variable] = d
	l.order(d).Set(d)
	if first, _ := l.order(d).Min(); first.Variable == d.Variable {
		l.signal()
	}
}

// stands notes the state of a rotation, empty if there is none any more, and since when it
// should have been done if it fails.
func (l *dueList) stands(id ident.ID, state string, failing time.Time) {
	if was := l.states[id]; was != state {
		if was != "" {
			l.count[was]--
		}
		if l.states[id] = state; state == "" {
			delete(l.states, id)
		} else {
			l.count[state]++
		}
	}
	if delete(l.failing, id); !failing.IsZero() {
		l.failing[id] = failing
	}
}

func (l *dueList) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // there is a signal already
	}
}

// schedule brings the due list up to date with a variable. The caller holds the graph.
func (c *Core) schedule(id ident.ID, now time.Time) {
	d := DueRotation{Variable: id}
	state, failing := "", time.Time{}
	delete(c.due.awaiting, id)
	if x := c.graph.Resource(id); x != nil && rotates(x) {
		w, settings := c.rotationOf(x)
		version, expires := newest(x)
		d.Due = rotation.Due(&w, &settings, version, expires, now)
		if check := rotation.CheckDue(&w, &settings, version, now); d.Due.IsZero() || !check.IsZero() && check.Before(d.Due) {
			d.Due, d.Check = check, !check.IsZero()
		}
		if missing := settings.Unacknowledged(&w); !w.RetireBy.IsZero() && len(missing) > 0 {
			c.due.awaiting[id] = missing
		}
		state = shownState(&w)
		if w.Attempts > 0 && state != pausedState && state != rotation.Quarantined && state != rotation.Suspended {
			failing = rotation.Wanted(&w, &settings, now)
		}
		d.Scheduled = (w.State == rotation.Idle || w.State == rotation.Drifted) && w.Version == version && w.RequestedAt.IsZero() && !rotation.Open(&w)
	}
	c.due.stands(id, state, failing)
	c.due.set(d)
}

// pausedState is shown instead of the state that a paused rotation is in.
const pausedState = "paused"

func shownState(w *row.Rotation) string {
	if !w.PausedAt.IsZero() {
		return pausedState
	}
	return w.State
}

// scheduleSet brings the due list up to date with a set that was applied.
func (c *Core) scheduleSet(set *row.Set, now time.Time) {
	if c.targets == nil {
		return
	}
	var gone map[ident.ID]bool
	for _, change := range set.Changes {
		switch r := change.Row.(type) {
		case row.Role:
			if change.Op == row.Delete && len(c.due.awaiting) > 0 {
				if gone == nil {
					gone = map[ident.ID]bool{}
				}
				gone[r.ID] = true
			}
		case row.Rotation:
			c.schedule(r.Variable, now)
		case row.Secret:
			c.schedule(r.Resource, now)
		case row.Resource:
			if r.ID.Kind() == "variable" {
				c.schedule(r.ID, now)
			}
		case row.Annotation:
			if strings.HasPrefix(r.Name, "rotation/") {
				c.schedule(r.Resource, now)
			}
		}
	}
	if gone == nil {
		return
	}
	for id, logins := range c.due.awaiting { // nobody waits for those who are gone
		if slices.ContainsFunc(logins, func(login string) bool { return gone[ident.FromLogin(id.Account(), login)] }) {
			c.schedule(id, now)
		}
	}
}

// RescheduleRotations derives the due list anew, as is needed when the clock has stepped.
func (c *Core) RescheduleRotations() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.targets == nil {
		return
	}
	now := c.now()
	c.graph.Ascend("", func(x *rbac.Resource) bool {
		if rotates(x) {
			c.schedule(x.ID, now)
		}
		return true
	})
	c.due.signal() // what was not due yet may be now
}

// DueRotations visits what is due now, the longest due first, until visit returns false:
// those whose time has come, or those that are urgent. If it has visited them all, wait
// is how long it takes until there is more, negative if that is not known;
// RotationsChanged says when that has come nearer.
func (c *Core) DueRotations(scheduled bool, visit func(DueRotation) bool) (wait time.Duration) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.now()
	wait = -1
	c.due.order(DueRotation{Scheduled: scheduled}).Scan(func(d DueRotation) bool {
		if d.Due.After(now) {
			wait = d.Due.Sub(now)
			return false
		}
		return visit(d)
	})
	return wait
}

// RotationBacklog is how many rotations are due, and for how long the longest of them has
// been: of those whose time has come, or of those that are urgent.
func (c *Core) RotationBacklog(scheduled bool) (due int, oldest time.Duration) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.now()
	c.due.order(DueRotation{Scheduled: scheduled}).Scan(func(d DueRotation) bool {
		if d.Due.After(now) {
			return false
		}
		due, oldest = due+1, max(oldest, now.Sub(d.Due))
		return true
	})
	return due, oldest
}

// RotationsChanged gets a signal when there is something to do earlier than before.
func (c *Core) RotationsChanged() <-chan struct{} { return c.due.wake }
