package targettest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rekey/internal/rotation/target"
)

// patience is how long a call may go on after its context has ended, on a machine that
// is busy with something else.
const patience = 5 * time.Second

// unreachable: nobody listens there.
func (s Suite) unreachable(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	next := r.next()
	closed := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, "127.0.0.1:1")
	}
	down := r.target(closed)
	_, err := down.Apply(r.context(), r.current, next)
	r.class("apply", err, target.Unreachable)
	r.class("probe of the right password", down.Probe(r.context(), r.current), target.Unreachable)
	r.class("probe of a wrong password", down.Probe(r.context(), next), target.Unreachable)
	if mode == Alternating || s.Keeps {
		r.class("retire", down.Retire(r.context(), next, r.current), target.Unreachable)
	}
	forbidden := r.target(func(context.Context, string, string) (net.Conn, error) {
		return nil, target.Errorf(target.Refused, nil, "the server's list of allowed targets does not have it")
	})
	r.class("probe of what must not be dialled", forbidden.Probe(r.context(), r.current), target.Refused)
	r.works("current", r.current)
}

// silent: somebody takes the connection and says nothing.
func (s Suite) silent(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mute := r.target(func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, l.Addr().String())
	})
	next := r.next()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	r.class("probe", r.timely(ctx, func() error { return mute.Probe(ctx, r.current) }), target.Unreachable)
	ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	r.class("apply", r.timely(ctx, func() error {
		_, err := mute.Apply(ctx, r.current, next)
		return err
	}), target.Unreachable)
}

// together is how many faults are tried at a time: they mostly wait.
const together = 4

// sweep runs a call with the network failing at each message in each way. The number of
// messages comes from a run in which nothing fails.
func sweep(t *testing.T, call func(t *testing.T, n *Network, ctx context.Context)) {
	calm := NewNetwork(Fault{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	call(t, calm, ctx)
	calm.Close()
	if calm.Sent() == 0 {
		t.Fatal("nothing went over the network")
	}
	var running errgroup.Group
	running.SetLimit(together)
	for at := 1; at <= calm.Sent(); at++ {
		for _, fault := range []Fault{{At: at}, {At: at, Delivered: true}, {At: at, Delivered: true, Hang: true}} {
			running.Go(func() error {
				t.Run(fmt.Sprintf("%+v", fault), func(t *testing.T) {
					n := NewNetwork(fault)
					defer n.Close()
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
					if fault.Hang {
						ctx, cancel = context.WithTimeout(context.Background(), 500*time.Millisecond)
					}
					defer cancel()
					call(t, n, ctx)
				})
				return nil
			})
		}
	}
	_ = running.Wait() // each has told its test
}

// faultsOfApply: whatever the network does, the class tells the truth about what has
// happened, and the engine finds a password that works among the two.
func (s Suite) faultsOfApply(t *testing.T, mode Mode) {
	var mu sync.Mutex
	seen := map[string]int{}
	attempt := func(t *testing.T, n *Network, ctx context.Context) {
		r := s.rig(t, mode)
		old, next := r.current, r.next()
		err := r.timely(ctx, func() error {
			_, err := r.target(n.Dial).Apply(ctx, old, next)
			return err
		})
		applied := r.probes(next)
		outcome := "done"
		switch {
		case err == nil && !applied:
			t.Error("no error, but the new password does not work")
		case err == nil:
		case target.ClassOf(err) == target.Uncertain:
			r.discreet("apply", err)
			outcome = fmt.Sprintf("uncertain, applied: %v", applied)
		default:
			r.class("apply", err, target.Unreachable)
			outcome = "unreachable"
			if applied {
				t.Errorf("%v, but the new password works", err)
			}
		}
		mu.Lock()
		seen[outcome]++
		mu.Unlock()
		// A server may come to an end of what it was asked for between two looks.
		if !applied && !r.probes(old) && !r.probes(next) {
			t.Error("neither the old nor the new password works")
		}
		// The engine goes on from what it finds, and gets there.
		r.apply(next)
		r.retire(next, old)
		if !r.probes(next) || r.probes(old) {
			t.Error("the new password does not work, or the old one still does")
		}
	}
	// Messages that follow each other closely may travel as one, so a sweep can miss the
	// one that matters.
	for range 5 {
		sweep(t, attempt)
		if seen["unreachable"] > 0 && seen["uncertain, applied: true"] > 0 && seen["uncertain, applied: false"] > 0 {
			return
		}
	}
	t.Errorf("not each outcome was met: %v", seen)
}

// faultsOfProbe: a broken network is never taken for a wrong password, nor for a right one.
func (s Suite) faultsOfProbe(t *testing.T, mode Mode) {
	r := s.rig(t, mode)
	wrong := r.credential(r.users[0], "wrong-Password-2")
	sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
		r := *r
		r.t = t
		if err := r.timely(ctx, func() error { return r.target(n.Dial).Probe(ctx, r.current) }); err != nil {
			r.class("probe of the right password", err, target.Unreachable)
		}
	})
	sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
		r := *r
		r.t = t
		r.class("probe of a wrong password", r.timely(ctx, func() error { return r.target(n.Dial).Probe(ctx, wrong) }), target.Unreachable, target.AuthFailed)
	})
}

// faultsOfRetire: the new password works throughout, and a repetition ends the old one.
func (s Suite) faultsOfRetire(t *testing.T, mode Mode) {
	if mode != Alternating && !s.Keeps {
		return // there is nothing to end, so nothing goes over the network
	}
	sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
		r := s.rig(t, mode)
		old, next := r.current, r.next()
		r.apply(next)
		if err := r.timely(ctx, func() error { return r.target(n.Dial).Retire(ctx, next, old) }); err != nil {
			r.class("retire", err, target.Unreachable, target.Uncertain)
		} else if r.probes(old) {
			t.Error("no error, but the old password works")
		}
		r.retire(next, old)
		if !r.probes(next) || r.probes(old) {
			t.Error("the new password does not work, or the old one still does")
		}
	})
}

// probes tells whether a password works, of which the network leaves no doubt.
func (r *rig) probes(c target.Credential) bool {
	r.t.Helper()
	err := r.target(nil).Probe(r.context(), c)
	if err != nil {
		r.class("probe", err, target.AuthFailed)
	}
	return err == nil
}

// timely wants a call to end soon after its context.
func (r *rig) timely(ctx context.Context, call func() error) error {
	r.t.Helper()
	err := call()
	if end, ok := ctx.Deadline(); ok && time.Since(end) > patience {
		r.t.Errorf("the call went on for %s after its time was over", time.Since(end))
	}
	return err
}
