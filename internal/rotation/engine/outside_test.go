package engine_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/policy"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

// exposed is a real kind, with failpoints around the calls of its targets, none of which
// may be a target.Surveyor. It remembers what the engine's probes have logged in with.
type exposed struct {
	target.Kind
	f      *failpoints
	proofs *proofs
}

// proofs are the values that had worked, and those of them when one was published.
type proofs struct {
	mu                sync.Mutex
	worked, published map[string]bool
}

func (k exposed) Bind(b target.Binding) (target.Target, error) {
	made, err := k.Kind.Bind(b)
	if err != nil {
		return nil, err
	}
	return exposedTarget{made, k}, nil
}

func (k exposed) Lasts() bool {
	kind, ok := k.Kind.(target.Lasting)
	return ok && kind.Lasts()
}

type exposedTarget struct {
	target.Target
	kind exposed
}

func (t exposedTarget) Resets() bool {
	resetter, ok := t.Target.(target.Resetter)
	return ok && resetter.Resets()
}

func (t exposedTarget) call(ctx context.Context, call string, do func(context.Context) error) error {
	err := t.kind.f.meet("before " + call)
	if ctx.Err() != nil { // it has hung, and arrives when nobody waits for it any more
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		ctx = late
	}
	if err == errTwice {
		err = do(ctx)
	}
	if err != nil {
		return err
	}
	if err = do(ctx); err == nil {
		if err = t.kind.f.meet("after " + call); err == errTwice {
			err = do(ctx)
		}
	}
	return err
}

func (t exposedTarget) Apply(ctx context.Context, current, next target.Credential) (made target.Credential, err error) {
	err = t.call(ctx, "apply", func(ctx context.Context) (err error) {
		made, err = t.Target.Apply(ctx, current, next)
		return err
	})
	return made, err
}

func (t exposedTarget) Probe(ctx context.Context, c target.Credential) error {
	return t.call(ctx, "probe", func(ctx context.Context) error {
		err := t.Target.Probe(ctx, c)
		if err == nil {
			t.kind.proofs.mu.Lock()
			defer t.kind.proofs.mu.Unlock()
			t.kind.proofs.worked[c[target.Main].RevealString()] = true
		}
		return err
	})
}

func (t exposedTarget) Retire(ctx context.Context, current, old target.Credential) error {
	return t.call(ctx, "retire", func(ctx context.Context) error { return t.Target.Retire(ctx, current, old) })
}

// publishing is a store that notes what had worked when a value is published.
type publishing struct {
	store.Store
	proofs *proofs
}

func (s publishing) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	for _, set := range sets {
		for _, change := range set.Changes {
			if _, ok := change.Row.(row.Secret); ok {
				s.proofs.mu.Lock()
				s.proofs.published = maps.Clone(s.proofs.worked)
				s.proofs.mu.Unlock()
			}
		}
	}
	return s.Store.Commit(ctx, sets)
}

// step is how long a call of a real server may take, also on a busy machine.
const step = 300 * time.Millisecond

// TestEachFailpointWithRealServers holds real servers to what TestEachFailpoint says of
// the model. That a credential works is then a login with it.
func TestEachFailpointWithRealServers(t *testing.T) {
	begun := time.Now()
	var all sync.WaitGroup
	for name, start := range map[string]func(*testing.T) outside{
		"postgresql self": postgresqlSelf, "postgresql admin": postgresqlAdmin, "redis self": redisSelf, "mysql self": mysqlSelf, "ldap self": ldapSelf,
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) { start(t).sweep(t) })
		})
	}
	all.Wait()
	t.Logf("it took %s", time.Since(begun).Round(time.Second))
}

func (o outside) sweep(t *testing.T) {
	var total int
	var names []string
	t.Run("undisturbed", func(t *testing.T) { total, names = o.rotate(t, "r0", 0, "", 20*step) })
	if t.Failed() || total < 14 {
		t.Fatalf("only %d failpoints: %v", total, names)
	}
	type fault struct {
		at  int
		how string
	}
	faults := make(chan fault)
	var workers sync.WaitGroup
	var mu sync.Mutex
	swept := 0
	for range 3 {
		workers.Go(func() {
			for x := range faults {
				t.Run(fmt.Sprintf("%s at %d, %s", x.how, x.at, names[x.at-1]), func(t *testing.T) {
					if passed, _ := o.rotate(t, fmt.Sprintf("r%d%s", x.at, x.how), x.at, x.how, step); passed < x.at {
						t.Errorf("only %d failpoints were passed", passed)
					}
					mu.Lock()
					defer mu.Unlock()
					swept++
				})
			}
		})
	}
	for at := 1; at <= total && !t.Failed(); at++ {
		for _, how := range []string{"crash", "error", "hang", "twice"} {
			faults <- fault{at, how}
		}
	}
	close(faults)
	workers.Wait()
	t.Logf("%d failpoints in 4 ways each: %d of %d swept", total, swept, 4*total)
}

// rotate rotates the password of a new user, with one fault.
func (o outside) rotate(t *testing.T, user string, at int, how string, step time.Duration) (int, []string) {
	w := newWorld(t)
	defer func() { w.close(); w.close = func() {} }()
	f, known := &failpoints{late: 2 * step}, &proofs{worked: map[string]bool{}}
	w.wrap = func(s store.Store) store.Store { return failing{publishing{s, known}, f} }
	w.kinds = map[string]target.Kind{o.kind.Name(): exposed{o.kind, f, known}}
	w.keep = func() (rows store.Store, err error) {
		// A program that is just being started by another run holds the lock of what has
		// been closed meanwhile, until it has become one.
		for range 100 {
			if rows, err = sqlite.Open(w.dir); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return rows, err
	}
	w.options.StepTime, w.limits.Lease = step, 5*step/2
	w.close()
	w.open()

	must(t, o.create(user, "first-Password-1"))
	values := maps.Clone(o.values)
	values["username"] = user
	if o.username != nil {
		values["username"] = o.username(user)
	}
	annotations := map[string]string{"rotation/rotator": o.kind.Name(), "rotation/ttl": "P1D"}
	for name, value := range o.annotations {
		annotations["rotation/"+o.kind.Name()+"/"+name] = value
	}
	var text strings.Builder
	text.WriteString("- !policy\n  id: db\n  body:\n")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&text, "  - !variable %s\n", name)
	}
	text.WriteString("  - !variable\n    id: password\n    annotations:\n")
	for name, value := range annotations {
		fmt.Fprintf(&text, "      %s: %s\n", name, value)
	}
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, []byte(text.String()))
	must(t, err)
	secrets := map[string]secret.Bytes{}
	for name, value := range values {
		secrets[name] = secret.FromString(value)
		must(t, w.SetSecret(ctx, core.Operator(), variable(name), secrets[name]))
	}
	must(t, w.SetSecret(ctx, core.Operator(), variable("password"), secret.FromString("first-Password-1")))

	direct, err := o.kind.Bind(target.Binding{Annotations: annotations, Values: secrets, Dial: (&net.Dialer{}).DialContext, Rand: rand.Reader})
	must(t, err)
	works := func(value string) bool {
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		err := direct.Probe(limited, target.Credential{target.Main: secret.FromString(value)})
		if err != nil && target.ClassOf(err) != target.AuthFailed {
			t.Errorf("it cannot be told whether a value works: %v", err)
		}
		return err == nil
	}
	var looked time.Time
	count, names := w.endure(f, at, how, func(when string) {
		if when == "on the way" { // a login costs more than with the model
			time.Sleep(20 * time.Millisecond)
			if time.Since(looked) < step/4 {
				return
			}
		}
		w.kept(when, works)
		looked = time.Now()
	})
	w.kept("in the end", works)
	published := w.value("password")
	known.mu.Lock()
	proved := known.published[published]
	known.mu.Unlock()
	if now := works(published); !now || !proved {
		events, err := w.RotationHistory(ctx, core.Operator(), variable("password"))
		t.Errorf("the published value works: %v, had worked: %v; %+v\n%+v %v\n%v", now, proved, w.status("password"), events, err, names)
	}
	return count, names
}
