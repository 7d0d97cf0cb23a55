package engine_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
)

// consumed declares a variable whose old value waits for hosts, which may read it.
func (w *world) consumed(hosts ...string) {
	w.Helper()
	w.declare(map[string][]string{"password": {"rotation/model/mode: issue", "rotation/grace: PT0.001S",
		"rotation/consumers: host/" + strings.Join(hosts, " host/")}})
	text := ""
	for _, host := range hosts {
		text += "- !host " + host + "\n- !permit {role: !host " + host + ", privileges: [read, execute], resource: !variable db/password}\n"
	}
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Add, []byte(text))
	must(w, err)
}

// caller is a host that has logged in.
func (w *world) caller(host string) core.Caller {
	w.Helper()
	key, err := w.RetrieveKey(ctx, core.Operator(), ident.New("acme", "host", host))
	must(w, err)
	caller, err := w.Basic(ctx, core.Origin{}, "acme", "host/"+host, key)
	must(w, err)
	return caller
}

func (w *world) rotatesTo(version int) {
	w.Helper()
	must(w, w.RotateNow(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Retiring, version)
}

// Given an old value for which nobody cares any more, when the longest time is over, then
// it is ended, and that is on record.
func TestAnOldValueDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t)
	w.consumed("a", "b")
	w.start()
	w.handOver("password", "first")
	w.rotatesTo(2)
	done, err := w.AcknowledgeRotation(ctx, w.caller("a"), variable("password"), 2)
	if err != nil || done.Outcome != rotation.Acknowledged {
		t.Fatal(done, err)
	}
	w.later(6 * 24 * time.Hour)
	time.Sleep(50 * time.Millisecond)
	if s := w.status("password"); s.State != rotation.Retiring || !w.model.works("password", "first") {
		t.Fatalf("ended too early: %+v", s)
	}
	w.later(25 * time.Hour)
	w.settles("password", rotation.Idle, 2)
	if w.model.works("password", "first") {
		t.Error("the old value still works")
	}
	if !strings.Contains(w.audit.String(), "advanced the rotation of acme:variable:db/password: unacknowledged: not acknowledged by host/b") {
		t.Error("it is not in the audit")
	}
	if s := w.status("password"); len(s.Unacknowledged) != 1 || s.Unacknowledged[0] != "acme:host:b" {
		t.Errorf("it is not seen who has not: %v", s.Unacknowledged)
	}
	if done, err := w.AcknowledgeRotation(ctx, w.caller("b"), variable("password"), 0); err != nil || done.Outcome != rotation.Acknowledged || len(w.status("password").Unacknowledged) > 0 {
		t.Errorf("whoever is late: %+v %v", done, err)
	}
}

// Given consumers that acknowledge until they are answered, when the server crashes or fails
// at any moment of that and of what follows, then the old value works until all of them
// are on record, and is ended then.
func TestEachFailpointOfAcknowledging(t *testing.T) {
	// Before and after the commits of two acknowledgements and of the claim, before and after
	// the call of the target, and before and after the last commit.
	for how, moments := range map[string][]int{"crash": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "error": {1, 3, 5, 7, 8, 9}} {
		for _, at := range moments {
			t.Run(fmt.Sprintf("%s at %d", how, at), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				f := &failpoints{}
				w.wrap = func(s store.Store) store.Store { return failing{s, f} }
				w.kinds[w.model.Name()] = exposed{w.model, f, &proofs{worked: map[string]bool{}}, false}
				w.consumed("a", "b")
				w.close()
				w.open()
				w.start()
				w.handOver("password", "first")
				w.rotatesTo(2)
				f.arm(at, how)
				promised := func() {
					t.Helper()
					works := w.model.works("password", "first") // before what is on record is looked at
					var kept row.Rotation
					must(t, w.rows.Load(ctx, func(r row.Row) error {
						if r, ok := r.(row.Rotation); ok {
							kept = r
						}
						return nil
					}))
					if !works && kept.Awaited != "" {
						t.Fatalf("the old value has ended without %s", kept.Awaited)
					}
				}
				again := func() { // a new node, if there has been a crash
					f.mu.Lock()
					dead := f.dead
					f.mu.Unlock()
					if !dead {
						return
					}
					w.close()
					f.mu.Lock()
					f.armed, f.dead = false, false
					f.mu.Unlock()
					w.open()
					promised()
					w.start()
				}
				for _, host := range []string{"a", "b"} {
					w.eventually(host+" is answered", func() bool {
						again()
						promised()
						_, err := w.AcknowledgeRotation(ctx, w.caller(host), variable("password"), 2)
						return err == nil
					})
				}
				w.eventually("the old value is ended", func() bool {
					again()
					promised()
					s := w.status("password")
					return s.State == rotation.Idle && s.Holder == ""
				})
				f.mu.Lock()
				defer f.mu.Unlock()
				if w.model.works("password", "first") || f.count < at {
					t.Errorf("%d failpoints were passed: %v", f.count, f.names)
				}
			})
		}
	}
}

// Given two servers on one database, when consumers acknowledge at any of them at the same
// moment, then no word is lost, and the old value is ended.
func TestAcknowledgementsAtTwoServers(t *testing.T) {
	url := postgrestest.Started(t, "fsync=off").Database(t)
	first := newWorld(t)
	var all []*world
	for i := range 2 {
		w := &world{TB: t, model: first.model, kinds: first.kinds, dir: t.TempDir(), root: first.root, limits: rotation.DefaultLimits(), audit: &trail{},
			keep: func() (store.Store, error) { return postgres.Open(ctx, url) }, starts: 100 * i, options: engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))}
		w.options.Pause = 10 * time.Millisecond
		w.open()
		t.Cleanup(func() { w.close() })
		all = append(all, w)
	}
	one, two := all[0], all[1]
	_, err := one.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	var hosts []string
	for i := range 10 {
		hosts = append(hosts, fmt.Sprint("h", i))
	}
	one.consumed(hosts...)
	must(t, two.CatchUp(ctx))
	one.start()
	one.handOver("password", "first")
	one.rotatesTo(2)
	must(t, two.CatchUp(ctx))
	var callers []core.Caller
	for i, host := range hosts {
		callers = append(callers, all[i%2].caller(host))
	}
	asked := func(c *core.Core) bool {
		v, err := c.Secret(ctx, callers[0], variable("password"), 0)
		must(t, err)
		return v.Rotation.Awaited
	}
	if !asked(one.Core) || asked(readOnly(t, first, url)) {
		t.Error("readers are asked where they can acknowledge, and only there")
	}
	var said sync.WaitGroup
	for i, caller := range callers {
		said.Go(func() {
			if _, err := all[i%2].AcknowledgeRotation(ctx, caller, variable("password"), 2); err != nil {
				t.Error(err)
			}
		})
	}
	said.Wait()
	one.eventually("the old value is ended", func() bool {
		must(t, one.CatchUp(ctx))
		s := one.status("password")
		return s.State == rotation.Idle && len(s.Unacknowledged) == 0
	})
	must(t, two.CatchUp(ctx))
	if s := two.status("password"); s.State != rotation.Idle || first.model.works("password", "first") {
		t.Errorf("%+v", s)
	}
}

// readOnly is a server on a database that changes nothing.
func readOnly(t *testing.T, w *world, url string) *core.Core {
	rows, err := postgres.Open(ctx, url)
	must(t, err)
	config := core.Default()
	config.ReadOnly = true
	c, err := core.Open(ctx, core.Options{Store: rows, Audit: audit.To(io.Discard), RootKey: w.root, Config: config, Now: time.Now, Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), Targets: &core.Targets{Kinds: w.kinds, Node: "reads", Limits: w.limits}})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()); must(t, rows.Close()) })
	return c
}
