package core

import (
	"sort"
	"strconv"
	"sync"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
)

// ChangeKind says what has become of a variable's value.
type ChangeKind string

// The kinds.
const (
	NewVersion ChangeKind = "version" // it has another value
	Expired    ChangeKind = "expired" // somebody has let its value expire; it stays readable
	Deleted    ChangeKind = "deleted" // the variable is gone
	Resync     ChangeKind = "resync"  // changes may have been missed: look at everything again
)

// Change is what has become of a variable's value. It tells nothing of the value.
type Change struct {
	ID       string // by which a listener goes on after it
	Kind     ChangeKind
	Variable ident.ID // empty for Resync
	Version  int      // newest; 0 for Deleted and Resync
	At       time.Time

	number uint64
	place  place
	serial uint64 // of the variable
}

const (
	changesKept    = 4096 // for listeners that come back
	changesPending = 64   // for one listener, until it is told to look at everything again
	// MostListeners bounds the listeners of the server, and MostListenersOfRole those of one role.
	MostListeners       = 5000
	MostListenersOfRole = 32
	// mostWitnesses bounds the questions whether somebody sees what is being deleted:
	// they are asked while everybody waits for the graph.
	mostWitnesses = 10_000
)

// changes hands every change of a value to those who listen. It is filled where sets
// are applied, so that it never waits for a listener: whoever is slow loses changes,
// and learns that it did. Nobody takes the graph's lock while holding this one.
type changes struct {
	mu        sync.Mutex
	history   history
	last      uint64 // number of the newest change
	ring      []Change
	accounts  map[string]map[*Listener]bool // that listen to everything
	variables map[ident.ID]map[*Listener]bool
	listeners map[ident.ID]int // by role
	total     int
	ended     chan struct{} // closed when nobody may listen any more
}

func newChanges(started time.Time) *changes {
	return &changes{
		history:  history{epoch: strconv.FormatInt(started.UnixNano(), 36)},
		accounts: map[string]map[*Listener]bool{}, variables: map[ident.ID]map[*Listener]bool{}, listeners: map[ident.ID]int{},
		ended: make(chan struct{}),
	}
}

// id is how what has been told up to now goes out.
func (h *changes) id() string { return h.history.id(h.history.now) }

// since is the number of the newest change up to an id; ok is false if what came after it
// is not known.
func (h *changes) since(id string) (number uint64, ok bool) {
	after, ok := h.history.parse(id)
	if !ok {
		return 0, false
	}
	oldest := h.last - uint64(len(h.ring)) + 1
	if h.overflowed() && after.before(h.ring[(oldest-1)%changesKept].place) {
		return 0, false
	}
	later := sort.Search(len(h.ring), func(i int) bool {
		return after.before(h.ring[(oldest-1+uint64(i))%changesKept].place)
	})
	return oldest - 1 + uint64(later), true
}

// overflowed tells whether changes have been forgotten.
func (h *changes) overflowed() bool { return h.last > uint64(len(h.ring)) }

// reach says that what is published from now on is of the next transaction of a history
// that processes share.
func (h *changes) reach(at store.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.history.reach(at)
}

// begin says that what came up to a position of a history that processes share is not
// known here.
func (h *changes) begin(at store.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.history.begin(at)
}

// publish gives a change its number and tells it. to are the only ones to be told; nil
// means all who listen to the variable.
func (h *changes) publish(change Change, to []*Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	change.number, change.place = h.last, h.history.next()
	if len(h.ring) < changesKept {
		h.ring = append(h.ring, change)
	} else {
		h.ring[(h.last-1)%changesKept] = change
	}
	if change.Kind == Deleted {
		for _, l := range to {
			l.push(change)
		}
		return
	}
	for l := range h.variables[change.Variable] {
		l.push(change)
	}
	for l := range h.accounts[change.Variable.Account()] {
		l.push(change)
	}
}

// nudge makes all listeners see whether they still may listen.
func (h *changes) nudge() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.accounts {
		for l := range of {
			l.nudge()
		}
	}
	for _, of := range h.variables {
		for l := range of {
			l.nudge()
		}
	}
}

// loseAll makes all listeners look at everything again, and begins at a position of the
// history.
func (h *changes) loseAll(at store.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lose := func(l *Listener) {
		l.lost, l.pending = true, nil
		l.nudge()
	}
	for _, of := range h.accounts {
		for l := range of {
			lose(l)
		}
	}
	for _, of := range h.variables {
		for l := range of {
			lose(l)
		}
	}
	h.last, h.ring = 0, nil // what came before is not known to be all
	h.history.begin(at)
}

// concerned are the listeners to a variable.
func (h *changes) concerned(id ident.ID) (list []*Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.variables[id] {
		list = append(list, l)
	}
	for l := range h.accounts[id.Account()] {
		list = append(list, l)
	}
	return list
}

// end ends all listeners, and lets no more begin.
func (h *changes) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.ended:
	default:
		close(h.ended)
	}
}

// goodbye is a change that can be judged only as long as the graph still has what it is about.
type goodbye struct {
	change Change
	to     []*Listener
}

// goodbyes are the changes of a set that must be looked at before it is applied. The
// caller holds the graph.
func (c *Core) goodbyes(set *row.Set, now time.Time) (list []goodbye) {
	questions := 0
	for _, change := range set.Changes {
		switch r := change.Row.(type) {
		case row.Resource:
			if change.Op != row.Delete || r.ID.Kind() != "variable" {
				continue
			}
			x := c.graph.Resource(r.ID)
			if x == nil {
				continue // it came and went within the set
			}
			g := goodbye{change: Change{Kind: Deleted, Variable: r.ID, At: now}}
			for _, l := range c.changes.concerned(r.ID) {
				if questions++; questions > mostWitnesses {
					c.changes.lose(l)
				} else if role, err := c.role(l.caller); err == nil && c.graph.Visible(role, x) {
					g.to = append(g.to, l)
				}
			}
			list = append(list, g)
		case row.Secret:
			if change.Op != row.Update || !r.ExpiresAt.IsZero() || r.Resource.Kind() != "variable" {
				continue
			}
			x := c.graph.Resource(r.Resource)
			if x == nil {
				continue
			}
			if _, expires := newest(x); x.Latest() == r.Version && !expires.IsZero() {
				list = append(list, goodbye{change: Change{Kind: Expired, Variable: r.Resource, Version: r.Version, At: now, serial: x.Serial}})
			}
		}
	}
	return list
}

// tell hands on what a set has changed, after it was applied. The caller holds the graph.
func (c *Core) tell(set *row.Set, before []goodbye, now time.Time) {
	for _, g := range before {
		c.changes.publish(g.change, g.to)
	}
	nudge := false
	for _, change := range set.Changes {
		switch r := change.Row.(type) {
		case row.Secret:
			if x := c.graph.Resource(r.Resource); change.Op == row.Insert && x != nil && r.Resource.Kind() == "variable" && x.Latest() == r.Version {
				c.changes.publish(Change{Kind: NewVersion, Variable: r.Resource, Version: r.Version, At: now, serial: x.Serial}, nil)
			}
		case row.Role, row.Permission, row.Membership:
			nudge = nudge || change.Op == row.Delete
		case row.SigningKey:
			nudge = true
		}
	}
	if nudge {
		c.changes.nudge()
	}
}
