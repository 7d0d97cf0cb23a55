package conjur_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/targettest"
)

// sweep runs a call with the network failing at each message in each way.
func sweep(t *testing.T, call func(t *testing.T, n *targettest.Network, ctx context.Context)) {
	calm := targettest.NewNetwork(targettest.Fault{})
	call(t, calm, t.Context())
	calm.Close()
	for at := 1; at <= calm.Sent(); at++ {
		for _, fault := range []targettest.Fault{{At: at}, {At: at, Delivered: true}, {At: at, Delivered: true, Hang: true}} {
			t.Run(fmt.Sprintf("%+v", fault), func(t *testing.T) {
				n := targettest.NewNetwork(fault)
				defer n.Close()
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				if fault.Hang {
					ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
				}
				defer cancel()
				call(t, n, ctx)
				if end, ok := ctx.Deadline(); ok && time.Since(end) > 5*time.Second {
					t.Error("it went on after its time was over")
				}
			})
		}
	}
}

// Whatever the network does while a key is asked for, the class tells the truth, and what
// the engine does next ends with a key that works: it logs in with the key that it knows,
// and asks again by the same name. Only a host that is alone with a Conjur can be locked
// out, and then it is told so: it was uncertain, and the key that it knows does not work.
func TestFaultsWhileAKeyIsMade(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			seen := map[string]int{}
			attempt := func(t *testing.T, n *targettest.Network, ctx context.Context) {
				p := open(t, m)
				intent := p.intent()
				made, err := p.target(n.Dial).Apply(ctx, p.current(), intent)
				replaced := server.Key(t, p.host) != p.host.Key
				switch {
				case err == nil:
					if m := p.target(nil).Probe(p.context(), made); m != nil {
						t.Errorf("no error, but the new key: %v", m)
					}
					return
				case target.ClassOf(err) == target.Uncertain:
					seen[fmt.Sprintf("uncertain, replaced: %v", replaced)]++
				default:
					p.class("apply", err, target.Unreachable)
					seen["unreachable"]++
					if replaced {
						t.Errorf("%v, but the key is another one", err)
					}
				}
				if !m.admin && !m.old && replaced {
					t.Error("the present key has ended before the new one was used")
				}
				known := p.target(nil).Probe(p.context(), p.current())
				if !m.admin && m.old && replaced {
					p.class("probe of the key that is known", known, target.AuthFailed)
					seen["locked out"]++
					return
				}
				next := p.issue(intent)
				if err := p.target(nil).Probe(p.context(), next); err != nil || !p.works(next) {
					t.Errorf("asked again: %v", err)
				}
			}
			// Messages that follow each other closely may travel as one, so a sweep can
			// miss the one that matters.
			for range 5 {
				sweep(t, attempt)
				if seen["unreachable"] > 0 && seen["uncertain, replaced: false"] > 0 && (seen["uncertain, replaced: true"] > 0) == (m.admin || m.old) && (seen["locked out"] > 0) == (m.old && !m.admin) {
					return
				}
			}
			t.Errorf("not each outcome was met, or one too many: %v", seen)
		})
	}
}

// A broken network is never taken for a wrong key, and a staged key that was used without
// an answer works when it is used again.
func TestFaultsWhileAKeyIsProbedAndRetired(t *testing.T) {
	sweep(t, func(t *testing.T, n *targettest.Network, ctx context.Context) {
		p := open(t, modes[0])
		next := p.issue(p.intent())
		if err := p.target(n.Dial).Probe(ctx, next); err != nil {
			p.class("probe of the new key", err, target.Unreachable)
		}
		if !p.works(p.current()) && server.Key(t, p.host) != next[target.Main].RevealString() {
			t.Error("neither key works")
		}
		if err := p.target(nil).Probe(p.context(), next); err != nil {
			t.Error(err)
		}
	})
	sweep(t, func(t *testing.T, n *targettest.Network, ctx context.Context) {
		p := open(t, modes[0])
		old := p.current()
		p.annotations["rotation/grace"] = "PT1H"
		next := p.issue(p.intent())
		if err := p.target(nil).Probe(p.context(), next); err != nil {
			t.Fatal(err)
		}
		p.class("retire", p.target(n.Dial).Retire(ctx, target.Credential{target.Main: next[target.Main]}, old), target.Unreachable, target.Refused)
		if !p.works(next) {
			t.Error("the new key does not work")
		}
	})
}

func TestAServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := func(address string) target.Dial {
		return func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}
	}
	for _, m := range modes {
		for name, test := range map[string]struct {
			dial target.Dial
			want target.Class
		}{
			"nobody listens": {to("127.0.0.1:1"), target.Unreachable},
			"it is silent":   {to(l.Addr().String()), target.Unreachable},
			"it is not allowed": {func(context.Context, string, string) (net.Conn, error) {
				return nil, target.Errorf(target.Refused, nil, "the server's list of allowed targets does not have it")
			}, target.Refused},
		} {
			p := open(t, m)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			_, err := p.target(test.dial).Apply(ctx, p.current(), p.intent())
			p.class(name, err, test.want)
			p.class(name, p.target(test.dial).Probe(ctx, p.current()), test.want)
			cancel()
		}
	}
}
