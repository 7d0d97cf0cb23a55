package core

import (
	"context"
	"errors"
	"slices"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// ErrEnded says that the server is about to stop, and that a listener has to come back
// to the next one.
var ErrEnded = errors.New("nobody is told of changes any more: the server stops")

// Listener is told of the changes of variables that its caller sees. Whether it does is
// asked when it is told, not when it began to listen.
type Listener struct {
	c         *Core
	caller    Caller
	account   string     // if variables is empty: everything in it
	variables []ident.ID // sorted

	// Guarded by the mutex of changes.
	pending []Change
	lost    bool // more than pending can hold
	nudged  bool

	wake chan struct{} // holds one signal: there is something to look at
}

// Listen begins to listen to some variables or, if there are none, to all of an
// account. after is the ID of a change after which to begin; if it is not known any
// more, the first change is Resync. Empty: what happens from now on. Unavailable if
// too many listen. Close must follow.
func (c *Core) Listen(caller Caller, account string, variables []ident.ID, after string) (*Listener, error) {
	variables = slices.Compact(slices.Sorted(slices.Values(variables)))
	l := &Listener{c: c, caller: caller, account: account, variables: variables, wake: make(chan struct{}, 1)}
	c.mu.RLock()
	defer c.mu.RUnlock() // so that no set is applied meanwhile
	if _, err := c.role(caller); err != nil {
		return nil, err
	}
	return l, c.changes.join(l, after)
}

// EndListening ends all listeners, which then fail with ErrEnded.
func (c *Core) EndListening() { c.changes.end() }

func (h *changes) join(l *Listener, after string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.ended:
		return fault.New(fault.Unavailable, "the server is about to stop")
	default:
	}
	if h.total >= MostListeners {
		return fault.New(fault.Unavailable, "%d requests wait for changes already, which is the most: try again later", h.total)
	}
	if h.listeners[l.caller.Role] >= MostListenersOfRole {
		return fault.New(fault.Unavailable, "%s waits for changes with %d requests already, which is the most for one role", l.caller.Role, MostListenersOfRole)
	}
	h.total++
	h.listeners[l.caller.Role]++
	if len(l.variables) == 0 {
		join(h.accounts, l.account, l)
	}
	for _, id := range l.variables {
		join(h.variables, id, l)
	}
	if after == "" {
		return nil
	}
	number, ok := h.since(after)
	if l.lost = !ok; l.lost {
		return nil
	}
	for number++; number <= h.last; number++ {
		change := h.ring[(number-1)%changesKept]
		if _, listed := slices.BinarySearch(l.variables, change.Variable); !listed && (len(l.variables) > 0 || change.Variable.Account() != l.account) {
			continue
		}
		if change.Kind == Deleted {
			l.lost = true // nobody knows any more whether the caller saw it
		}
		l.push(change)
	}
	return nil
}

func join[K comparable](to map[K]map[*Listener]bool, key K, l *Listener) {
	if to[key] == nil {
		to[key] = map[*Listener]bool{}
	}
	to[key][l] = true
}

func leave[K comparable](from map[K]map[*Listener]bool, key K, l *Listener) {
	if delete(from[key], l); len(from[key]) == 0 {
		delete(from, key)
	}
}

// Close ends listening.
func (l *Listener) Close() {
	h := l.c.changes
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	if h.listeners[l.caller.Role]--; h.listeners[l.caller.Role] == 0 {
		delete(h.listeners, l.caller.Role)
	}
	if len(l.variables) == 0 {
		leave(h.accounts, l.account, l)
	}
	for _, id := range l.variables {
		leave(h.variables, id, l)
	}
}

// push, lose and nudge are called by who holds the mutex of changes.

func (l *Listener) push(change Change) {
	if len(l.pending) >= changesPending {
		l.lost = true
	}
	if l.lost {
		l.pending = nil
	} else {
		l.pending = append(l.pending, change)
	}
	l.signal()
}

func (h *changes) lose(l *Listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.lost, l.pending = true, nil
	l.signal()
}

func (l *Listener) nudge() {
	l.nudged = true
	l.signal()
}

func (l *Listener) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // there is a signal already
	}
}

// Next waits until there are changes to tell. It returns none where the caller has to
// prove anew who it is: a credential or a permission has ended. Its errors are ctx's,
// ErrEnded, and Unauthenticated if the caller's role is gone.
func (l *Listener) Next(ctx context.Context) ([]Change, error) {
	for {
		list, nudged := l.take()
		told, err := l.visible(list)
		if err != nil || nudged || len(told) > 0 {
			return told, err
		}
		select {
		case <-l.wake:
		case <-l.c.changes.ended:
			return nil, ErrEnded
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Position is the ID after which to begin if everything up to now has been told.
func (l *Listener) Position() (id string, ok bool) {
	h := l.c.changes
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.id(), len(l.pending) == 0 && !l.lost
}

func (l *Listener) take() (list []Change, nudged bool) {
	h := l.c.changes
	h.mu.Lock()
	defer h.mu.Unlock()
	list, nudged = l.pending, l.nudged
	if l.lost {
		list = []Change{{Kind: Resync, At: l.c.now(), place: h.history.now}}
	}
	l.pending, l.lost, l.nudged = nil, false, false
	for i := range list {
		list[i].ID = h.history.id(list[i].place)
	}
	return list, nudged
}

// visible leaves out what the caller does not see, and what was about an earlier
// variable of the same id.
func (l *Listener) visible(list []Change) ([]Change, error) {
	l.c.mu.RLock()
	defer l.c.mu.RUnlock()
	r, err := l.c.role(l.caller)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(change Change) bool {
		if change.Variable == "" || change.Kind == Deleted {
			return false // was asked when there still was something to ask about
		}
		x := l.c.graph.Resource(change.Variable)
		return x == nil || x.Serial != change.serial || !l.c.graph.Visible(r, x)
	}), nil
}

// Listeners is how many listen at the moment.
func (c *Core) Listeners() int {
	c.changes.mu.Lock()
	defer c.changes.mu.Unlock()
	return c.changes.total
}
