package core_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/secret"
)

// host is a client that rotates its own key by the protocol: it keeps the key that was
// accepted last until a new one has been accepted, and falls back to it when the new
// one is refused.
type host struct {
	known, fresh secret.Bytes // fresh is empty if there is none
	request      int          // names the rotation under way
}

// server is what must be, as simply as can be.
type server struct {
	current, staged string
	lapses          time.Time
	request, made   int // of the staged key, and of the current one; 0 for none
}

// Whatever dies, and whenever, a host that rotates its own key by the protocol has a key
// that works.
func TestAHostNeverLocksItselfOut(t *testing.T) {
	const worlds, steps = 12, 200
	promotions, deaths, lapses := 0, 0, 0
	for seed := range uint64(worlds) {
		r := rand.New(rand.NewPCG(seed, 6))
		d := newDrill(t)
		h := host{known: d.keys["k0"], request: 1}
		s := server{current: h.known.RevealString()}
		for step := range steps {
			what := ""
			fail := func(format string, args ...any) {
				t.Helper()
				t.Fatalf("seed %d, step %d, %s: %s", seed, step, what, fmt.Sprintf(format, args...))
			}
			// live is what the server makes of a key now.
			live := func(key string) bool {
				return key == s.current || s.staged != "" && key == s.staged && d.now.Before(s.lapses)
			}
			promote := func() {
				s.current, s.made, s.staged = s.staged, s.request, ""
				promotions++
			}
			// death lets the process die in the next commit, before or after it is durable.
			death := 0
			if r.IntN(4) == 0 {
				death = 1 + r.IntN(2)
				d.commit = func(stored func() ([]error, error)) ([]error, error) {
					if death == 2 {
						if _, err := stored(); err != nil {
							t.Error(err)
						}
					}
					deaths++
					return nil, errors.New("the process died")
				}
			}
			lost := r.IntN(4) == 0 // the answer does not arrive
			use := func(key secret.Bytes, accepted, refused func()) {
				was, text := live(key.RevealString()), key.RevealString()
				armed := d.commit != nil
				_, err := d.AuthenticateKey(ctx, here, "acme", "host/h", key)
				died := armed && d.commit == nil
				switch {
				case died && text == s.staged && was: // in the promotion
					if err == nil {
						fail("answered, though the promotion was not durable")
					}
					if death == 2 {
						promote()
					}
				case (err == nil) != was:
					fail("got %v, but the key is live: %v", err, was)
				default:
					if was && text == s.staged {
						promote()
					}
					if died || lost {
						return
					}
					if err == nil {
						accepted()
					} else {
						refused()
					}
				}
			}
			switch n := r.IntN(12); {
			case n < 4:
				what = "stage"
				caller, err := d.Basic(ctx, here, "acme", "host/h", h.known)
				if err != nil {
					if h.fresh.Len() == 0 {
						fail("locked out: %v", err)
					}
					break // it was promoted unnoticed: use of the new one comes next
				}
				armed := d.commit != nil
				key, err := d.Rotate(ctx, caller, "acme", "", core.Rotation{Staged: true, Lapse: "PT10M", Request: fmt.Sprint(h.request)})
				died := armed && d.commit == nil
				if (err != nil) != died {
					fail("got %v", err)
				}
				again := s.made == h.request || s.staged != "" && s.request == h.request && d.now.Before(s.lapses)
				switch {
				case again && died:
					fail("asking again has changed something")
				case died && death == 2:
					s.staged = "what nobody knows"
					s.lapses, s.request = d.now.Add(10*time.Minute), h.request
				case died:
				case again && key.RevealString() != s.current && key.RevealString() != s.staged && s.staged != "what nobody knows":
					fail("another key")
				default:
					if s.made != h.request {
						if !again {
							s.lapses = d.now.Add(10 * time.Minute)
						}
						s.staged, s.request = key.RevealString(), h.request
					}
					if !lost {
						h.fresh = key
					}
				}
			case n < 7 && h.fresh.Len() > 0:
				what = "use the new key"
				use(h.fresh, func() {
					h.known, h.fresh = h.fresh, secret.Bytes{}
					h.request++
				}, func() { h.fresh = secret.Bytes{} })
			case n < 9:
				what = "use the known key"
				use(h.known, func() {}, func() {})
			case n == 9:
				what = "restart"
				d.reopen()
			case n == 10:
				what = "time passes"
				d.now = d.now.Add(time.Duration(r.IntN(15)) * time.Minute)
				if s.staged != "" && !d.now.Before(s.lapses) {
					lapses++
				}
			case r.IntN(4) == 0:
				what = "somebody rotates at once and delivers the key"
				d.commit = nil
				if d.other("delivered", core.Rotation{}) != 200 {
					fail("refused")
				}
				h.known, h.fresh = d.keys["delivered"], secret.Bytes{}
				h.request++
				s = server{current: h.known.RevealString()}
			}
			if death > 0 && d.commit == nil {
				d.reopen() // the process is started again
			}
			d.commit = nil
			// The invariant: one of the keys that the host keeps works.
			if !live(h.known.RevealString()) && (h.fresh.Len() == 0 || !live(h.fresh.RevealString())) {
				fail("locked out by the model")
			}
			if s.current == h.known.RevealString() {
				if _, err := d.AuthenticateKey(ctx, here, "acme", "host/h", h.known); err != nil {
					fail("locked out: %v", err)
				}
			}
		}
		d.close()
		d.close = func() {}
	}
	if promotions < 100 || deaths < 100 || lapses < 20 {
		t.Errorf("too tame: %d promotions, %d deaths, %d lapses", promotions, deaths, lapses)
	}
	t.Logf("%d promotions, %d deaths, %d lapses", promotions, deaths, lapses)
}
