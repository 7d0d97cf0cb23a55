package targettest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/target"
)

// brief is a context for what is to end soon.
func (d *desk) brief() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	d.t.Cleanup(cancel)
	return ctx
}

// everything are the calls of a target, over a network.
func (d *desk) everything(dial target.Dial, intent, next target.Credential) map[string]func(context.Context) error {
	made := d.target(dial)
	calls := map[string]func(context.Context) error{
		"apply":  func(ctx context.Context) error { _, err := made.Apply(ctx, d.Current, intent); return err },
		"probe":  func(ctx context.Context) error { return made.Probe(ctx, d.Current) },
		"retire": func(ctx context.Context) error { return made.Retire(ctx, next, d.Current) },
	}
	if looks, ok := made.(target.Surveyor); ok {
		calls["survey"] = func(ctx context.Context) error { _, err := looks.Survey(ctx, d.Current); return err }
	}
	return calls
}

// unreachable: nobody listens there, or it must not be dialled.
func (s Issuing) unreachable(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode})
	intent := d.intent()
	next := d.issue(intent)
	d.retire(d.Current, next)
	for what, call := range d.everything(func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, "127.0.0.1:1")
	}, intent, next) {
		d.class(what, call(d.context()), target.Unreachable)
	}
	for what, call := range d.everything(func(context.Context, string, string) (net.Conn, error) {
		return nil, target.Errorf(target.Refused, nil, "the server's list of allowed targets does not have it")
	}, intent, next) {
		d.class(what+" of what must not be dialled", call(d.context()), target.Refused)
	}
	d.only("in the end", d.ID(d.Current))
}

// silent: somebody takes the connection and says nothing.
func (s Issuing) silent(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode})
	intent := d.intent()
	next := d.issue(intent)
	d.retire(d.Current, next)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for what, call := range d.everything(func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, l.Addr().String())
	}, intent, next) {
		ctx := d.brief()
		d.class(what, d.timely(ctx, func() error { return call(ctx) }), target.Unreachable)
	}
}

// faultsOfApply: whatever the network does, the class tells the truth about what has
// happened, the current key goes on, and another attempt leaves no key that nobody knows.
func (s Issuing) faultsOfApply(t *testing.T, mode Mode) {
	var mu sync.Mutex
	seen := map[string]int{}
	for range 5 {
		sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
			d := s.desk(t, IssuingAsk{Mode: mode})
			s.declare(d)
			intent := d.intent()
			var made target.Credential
			err := d.timely(ctx, func() (err error) {
				made, err = d.target(n.Dial).Apply(ctx, d.Current, intent)
				return err
			})
			issued := len(d.Keys()) == 2
			outcome := "unreachable"
			switch {
			case err == nil:
				outcome = "done"
				if !d.Holds(made) {
					t.Error("no error, but the new key does not work")
				}
			case target.ClassOf(err) == target.Uncertain:
				d.discreet("apply", err)
				outcome = "uncertain, nothing issued"
				if issued {
					outcome = "uncertain, issued"
				}
			default:
				d.class("apply", err, target.Unreachable)
				if issued {
					t.Errorf("%v, but a key was issued", err)
				}
			}
			mu.Lock()
			seen[outcome]++
			mu.Unlock()
			if !d.Holds(d.Current) {
				t.Error("the current key does not work any more")
			}
			// Whatever the answer was, it has not been stored: the engine begins again.
			next := d.issue(intent)
			d.retire(next, d.Current)
			d.only("in the end", d.ID(next))
			d.has("new", next)
		})
		if seen["unreachable"] > 0 && seen["uncertain, issued"] > 0 && seen["uncertain, nothing issued"] > 0 {
			return
		}
	}
	t.Errorf("not each outcome was met: %v", seen)
}

// faultsOfReading: a broken network is never taken for a wrong key, nor for a right one.
func (s Issuing) faultsOfReading(t *testing.T, mode Mode) {
	d := s.desk(t, IssuingAsk{Mode: mode})
	sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
		d := &desk{&rig{t: t, suite: d.suite, account: d.account, secrets: d.secrets}, d.IssuingAccount}
		if err := d.timely(ctx, func() error { return d.target(n.Dial).Probe(ctx, d.Current) }); err != nil {
			d.class("probe of the right key", err, target.Unreachable)
		}
	})
	sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
		d := &desk{&rig{t: t, suite: d.suite, account: d.account, secrets: d.secrets}, d.IssuingAccount}
		d.class("probe of a wrong key", d.timely(ctx, func() error { return d.target(n.Dial).Probe(ctx, d.Wrong) }), target.Unreachable, target.AuthFailed)
	})
	if _, looks := d.target(nil).(target.Surveyor); looks {
		sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
			d := &desk{&rig{t: t, suite: d.suite, account: d.account, secrets: d.secrets}, d.IssuingAccount}
			if err := d.timely(ctx, func() error { _, err := d.survey(ctx, n.Dial); return err }); err != nil {
				d.class("survey", err, target.Unreachable)
			}
		})
	}
	d.only("in the end", d.ID(d.Current))
}

// faultsOfRetire: the new key works throughout, and a repetition ends the old one.
func (s Issuing) faultsOfRetire(t *testing.T, mode Mode) {
	sweep(t, func(t *testing.T, n *Network, ctx context.Context) {
		d := s.desk(t, IssuingAsk{Mode: mode})
		next := d.issue(d.intent())
		if err := d.timely(ctx, func() error { return d.target(n.Dial).Retire(ctx, next, d.Current) }); err != nil {
			d.class("retire", err, target.Unreachable, target.Uncertain)
		} else if d.Holds(d.Current) {
			t.Error("no error, but the old key works")
		}
		if !d.Holds(next) {
			t.Error("the new key does not work")
		}
		d.retire(next, d.Current)
		d.only("in the end", d.ID(next))
	})
}
