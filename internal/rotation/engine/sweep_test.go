package engine_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/secret"
	"rekey/internal/server"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

// patience is how long a call of a server may take that nothing disturbs, however busy the
// machine is.
const patience = 20 * time.Second

// place is a variable of a world that rotates an account of a stand.
type place struct {
	*world
	stand  stand
	f      *failpoints
	known  *proofs
	folder string
	on     account
	direct target.Target // past the failpoints
	writes []string      // variables that are published with it
	cases  int
	looked time.Time     // when it was last looked whether a credential works
	took   time.Duration // for how long
}

// sweep rotates once for each failpoint and each way in which it can fail. Until the end,
// some credential that is kept works on the target; the published one had worked before it
// was published; and everything comes to rest with a published one that works. It returns
// how many cases there are, and in how many of them something has failed.
func (s stand) sweep(t *testing.T) (swept, total int) {
	p := &place{world: newWorld(t), stand: s, f: &failpoints{}, known: &proofs{worked: map[string]bool{}}}
	defer func() { p.close(); p.close = func() {} }()
	p.wrap = func(rows store.Store) store.Store { return failing{publishing{rows, p.known}, p.f} }
	p.kinds = map[string]target.Kind{s.kind.Name(): exposed{s.kind, p.f, p.known, s.many}}
	p.keep = func() (rows store.Store, err error) {
		// A program that is just being started by another sweep holds the lock of what has
		// been closed meanwhile, until it has become one.
		for range 500 {
			if rows, err = sqlite.Open(p.dir); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return rows, err
	}
	p.limits.Lease = 3 * patience // by the world's clock
	p.close()
	p.open()

	p.move(t, 0)
	names, _ := p.rotate(0, "", "", patience)
	if t.Failed() || len(names) < 14 {
		t.Fatalf("only %d failpoints: %v", len(names), names)
	}
	n := 0
	for i, name := range names {
		for _, how := range ways(name) {
			n++
			if p.fail(t, i, name, how) {
				swept++
			}
			if t.Failed() {
				t.Fatalf("%s %s", how, name)
			}
		}
	}
	return swept, n
}

// fail rotates with a failpoint that fails, and tells whether it has. On a machine that is
// too busy for the time that calls have where one hangs, another may have failed before it;
// then there is more time.
func (p *place) fail(t *testing.T, at int, name, how string) bool {
	for step := p.stand.step; step <= 16*p.stand.step; step *= 4 {
		if p.cases++; p.stand.fresh {
			p.move(t, p.cases)
		}
		if met, hit := p.rotate(at+1, name, how, step); hit && met[at] == name {
			return true
		}
	}
	return false
}

func (p *place) variable(name string) ident.ID {
	if far, ok := strings.CutPrefix(name, "/"); ok {
		return ident.New("acme", "variable", far)
	}
	return ident.New("acme", "variable", p.folder+"/"+name)
}

func (p *place) rotated() ident.ID { return p.variable("rotated") }

// move makes another account, and a variable that has its credential.
func (p *place) move(t *testing.T, n int) {
	t.Helper()
	p.folder, p.on = fmt.Sprint("db", n), p.stand.open(t, fmt.Sprint("r", n))
	annotations := map[string]string{"rotation/rotator": p.stand.kind.Name(), "rotation/verify": "never"}
	maps.Copy(annotations, p.on.Annotations)
	p.writes = p.stand.kind.Siblings(annotations).Writes
	values := map[string]secret.Bytes{}
	for name, value := range p.on.Values {
		values[name] = secret.FromString(value)
	}
	for _, name := range p.writes {
		values[name] = p.on.current[name]
	}
	var text, far strings.Builder
	fmt.Fprintf(&text, "- !policy\n  id: %s\n  body:\n", p.folder)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if elsewhere, ok := strings.CutPrefix(name, "/"); ok {
			fmt.Fprintf(&far, "- !variable %[1]s\n- !permit { role: !policy %[2]s, privileges: [ execute ], resource: !variable %[1]s }\n", elsewhere, p.folder)
		} else {
			fmt.Fprintf(&text, "  - !variable %s\n", name)
		}
	}
	text.WriteString("  - !variable\n    id: rotated\n    annotations:\n")
	for name, value := range annotations {
		fmt.Fprintf(&text, "      %s: %q\n", name, value)
	}
	_, err := p.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, []byte(text.String()+far.String()))
	must(t, err)
	for name, value := range values {
		if value.Len() > 0 {
			must(t, p.SetSecret(ctx, core.Operator(), p.variable(name), value))
		}
	}
	must(t, p.SetSecret(ctx, core.Operator(), p.rotated(), p.on.current[target.Main]))
	p.direct, err = p.stand.kind.Bind(target.Binding{Annotations: annotations, Values: values, Dial: (&net.Dialer{}).DialContext, Rand: rand.Reader})
	must(t, err)
}

// rotate rotates with one failpoint that fails, with a new node after a crash, and returns
// the failpoints that were met, and whether one has failed.
func (p *place) rotate(at int, name, how string, step time.Duration) (met []string, hit bool) {
	p.Helper()
	version := p.state().Rotation.Version
	p.f.late, p.options.StepTime = 2*step, patience
	hangs := how == "hang" && !strings.Contains(name, "commit") // which has no time limit
	if hangs {
		p.options.StepTime = step
	}
	must(p, p.RotateNow(ctx, core.Operator(), p.rotated()))
	p.f.arm(at, how)
	p.start()
	switch {
	case how == "crash":
		p.eventually("the node is dead", func() bool { p.pass(); return p.f.crashed() })
		p.close()
		met, hit = p.f.disarm()
		p.f.revive()
		p.open()
		p.kept("after the crash")
		p.later(p.limits.Lease + time.Second)
		p.start()
	case hangs: // what comes after it has time
		end := time.Now().Add(20 * step)
		p.eventually("a call hangs", func() bool { p.pass(); return p.f.failed() || time.Now().After(end) })
		p.halt()
		p.options.StepTime = patience
		p.later(p.limits.Lease + time.Second) // the engine may have ended in the middle
		p.start()
	case how == "error" && strings.Contains(name, "commit"): // the node has to wait for its own lease
		p.eventually("a commit has failed", func() bool { p.pass(); return p.f.failed() })
		p.later(p.limits.Lease + time.Second)
	}
	p.eventually(fmt.Sprintf("the rotation comes to rest after %s %s", how, name), func() bool {
		p.pass()
		if time.Since(p.looked) > 100*time.Millisecond+4*p.took {
			p.kept("on the way")
		}
		s := p.state()
		return s.State == rotation.Idle && s.Holder == "" && s.Rotation.Version > version
	})
	p.halt()
	if how != "crash" {
		met, hit = p.f.disarm()
	}
	p.f.calls.Wait() // until what is late has arrived, too
	p.atRest(how)
	return met, hit
}

// pass lets a grace go by.
func (p *place) pass() {
	p.Helper()
	if s := p.state(); s.State == rotation.Retiring && s.Holder == "" && s.RetireAt.After(p.now()) {
		p.later(s.RetireAt.Sub(p.now()) + time.Second)
	}
}

func (p *place) atRest(how string) {
	p.Helper()
	p.kept("at rest")
	published := p.published()
	p.known.mu.Lock()
	proved := p.known.published[published[target.Main].RevealString()]
	p.known.mu.Unlock()
	if now := p.works(published); !now || !proved {
		events, err := p.RotationHistory(ctx, core.Operator(), p.rotated())
		p.Errorf("the published value works: %v, had worked: %v; %+v\n%+v %v", now, proved, p.state(), events, err)
	}
	if p.on.tidy != nil {
		p.on.tidy(how)
	}
}

func (p *place) state() core.RotationStatus {
	p.Helper()
	s, err := p.RotationStatus(ctx, core.Operator(), p.rotated())
	must(p, err)
	return s
}

// works tells whether the target accepts a credential.
func (p *place) works(c target.Credential) bool {
	p.Helper()
	if p.on.holds != nil {
		return p.on.holds(c)
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := p.direct.Probe(limited, c)
	if err != nil && target.ClassOf(err) != target.AuthFailed {
		p.Errorf("it cannot be told whether a value works: %v", err)
	}
	return err == nil
}

// published is the newest credential, which readers get.
func (p *place) published() target.Credential {
	p.Helper()
	made := target.Credential{target.Main: p.newest(p.rotated())}
	for _, name := range p.writes {
		made[name] = p.newest(p.variable(name))
	}
	return made
}

// kept tells whether the target accepts a credential that is durable.
func (p *place) kept(when string) {
	p.Helper()
	if p.stand.judged == atRest && when != "at rest" {
		return
	}
	begun := time.Now()
	defer func() { p.looked, p.took = time.Now(), time.Since(begun) }()
	// The candidate becomes current between two reads only if it works then: so look twice.
	for range 10 {
		for _, c := range append(p.slots(p.rotated()), p.published()) {
			if p.works(c) {
				return
			}
		}
	}
	p.Errorf("%s, no credential that is kept works", when)
}

// TestEachFailpoint sweeps each kind of target in each of its modes, and the model of one.
func TestEachFailpoint(t *testing.T) {
	begun := time.Now()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		lines []string
		cases = make(chan struct{}, 12) // sweeps at a time: they wait more than they work
		sum   [2]int
		seen  = map[string]bool{}
	)
	for name, start := range kinds {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				var modes sync.WaitGroup
				for _, s := range start(t) {
					modes.Go(func() {
						cases <- struct{}{}
						defer func() { <-cases }()
						t.Run(s.mode, func(t *testing.T) {
							begun := time.Now()
							swept, total := s.sweep(t)
							mu.Lock()
							defer mu.Unlock()
							seen[s.kind.Name()] = true
							sum[0], sum[1] = sum[0]+swept, sum[1]+total
							lines = append(lines, fmt.Sprintf("%-24s %-24s %3d of %3d swept%s in %s", s.kind.Name(), s.mode, swept, total, s.judged, time.Since(begun).Round(time.Second)))
						})
					})
				}
				modes.Wait()
			})
		})
	}
	all.Wait()
	slices.Sort(lines)
	for _, line := range lines {
		t.Log(line)
	}
	t.Logf("%d of %d swept in %s", sum[0], sum[1], time.Since(begun).Round(time.Second))
	if sum[0] != sum[1] {
		t.Error("something was left out")
	}
	some := strings.Contains(flag.Lookup("test.run").Value.String(), "/") // that somebody has chosen
	for name := range server.RotationKinds(nil) {
		if !seen[name] && !some {
			t.Errorf("%s is a kind of the server's, and is not swept: add it to kinds", name)
		}
	}
}
