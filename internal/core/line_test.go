package core_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// history is what was stored by loads: the number that each has in its text, and the
// changes of each, in the order in which they became durable.
type history struct {
	order   []int
	changes map[int][]string
}

// take notes a set that was stored.
func (h *history) take(set *row.Set) {
	number, lines := -1, []string{}
	for _, c := range set.Changes {
		switch r := c.Row.(type) {
		case row.PolicyVersion:
			if c.Op == row.Insert {
				fmt.Sscanf(r.Text, "# %d\n", &number)
			}
			r.Role = ""
			c.Row = r
		case row.APIKey:
			r.Digest, r.Sealed = [32]byte{}, nil
			c.Row = r
		case row.Secret:
			r.Sealed = nil
			c.Row = r
		}
		lines = append(lines, fmt.Sprintf("%d %T %+v", c.Op, c.Row, c.Row))
	}
	slices.Sort(lines)
	if number >= 0 {
		h.order = append(h.order, number)
		h.changes[number] = lines
	}
}

// sameRows are all rows but what is drawn at random.
func (w *world) sameRows() map[string]string {
	rows := map[string]string{}
	for k, r := range w.stored() {
		if key, ok := r.(row.APIKey); ok {
			key.Digest = [32]byte{}
			r = key
		}
		rows[k] = fmt.Sprintf("%+v", r)
	}
	return rows
}

// Given clients that load random policies at once, into one branch and into several, on
// a store that refuses some sets and loses some transactions: what was acknowledged is
// what the same loads lead to one after the other, in the order in which they became
// durable, load by load; what was refused changed nothing.
func TestLoadsSideBySideAreLoadsOneAfterTheOther(t *testing.T) {
	const clients, each = 8, 25
	together_, refused := 0, 0
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t)
			w.lay()
			stored := &history{changes: map[int][]string{}}
			faults := rand.New(rand.NewPCG(seed, 1))
			w.watch = func(sets []*row.Set, store func() ([]error, error)) ([]error, error) {
				if faults.IntN(30) == 0 {
					return nil, errors.New("the disk is tired")
				}
				for _, set := range sets {
					if set.Chained && faults.IntN(10) == 0 {
						set.Require = append(set.Require, row.RoleExists{Role: "acme:user:none"})
					}
				}
				results, err := store()
				if err != nil {
					return results, err
				}
				if len(sets) > 1 {
					together_++
				}
				for i, set := range sets {
					if results[i] == nil {
						stored.take(set)
					} else {
						refused++
					}
				}
				return results, nil
			}
			var mu sync.Mutex
			texts, done := map[int]attempt{}, map[int]bool{}
			together(clients, func(i int) {
				a := &author{Rand: rand.New(rand.NewPCG(seed, uint64(100+i)))}
				for n := range each {
					number := i*each + n
					try := a.attempt()
					try.text = fmt.Sprintf("# %d\n%s", number, try.text)
					mu.Lock()
					texts[number] = try
					mu.Unlock()
					err := w.try(try)
					mu.Lock()
					done[number] = err == nil
					mu.Unlock()
					if s := status(err); s != 200 && s != 404 && s != 422 && s != 503 {
						t.Errorf("%v of\n%s", err, try.text)
					}
				}
			})
			w.watch = nil
			var live string
			w.View(func(g *rbac.Graph) { live = dump(g) })

			again := newWorld(t)
			again.lay()
			replayed := &history{changes: map[int][]string{}}
			again.watch = func(sets []*row.Set, store func() ([]error, error)) ([]error, error) {
				for _, set := range sets {
					replayed.take(set)
				}
				return store()
			}
			for _, number := range stored.order {
				if !done[number] {
					t.Errorf("load %d was stored and not acknowledged", number)
				}
				delete(done, number)
				if err := again.try(texts[number]); err != nil {
					t.Fatalf("alone: %v of\n%s", err, texts[number].text)
				}
				if got, want := stored.changes[number], replayed.changes[number]; !slices.Equal(got, want) {
					t.Fatalf("side by side, load %d led to\n%s\nand alone to\n%s\nof\n%s", number, strings.Join(got, "\n"), strings.Join(want, "\n"), texts[number].text)
				}
			}
			for number, acknowledged := range done {
				if acknowledged {
					t.Errorf("load %d was acknowledged and not stored", number)
				}
			}
			got, want := w.sameRows(), again.sameRows()
			for k := range want {
				if got[k] != want[k] {
					t.Errorf("%s is %s side by side, and %s alone", k, got[k], want[k])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d rows side by side, %d alone", len(got), len(want))
			}
			w.reopen()
			w.View(func(g *rbac.Graph) {
				if restarted := dump(g); restarted != live {
					t.Errorf("memory was\n%s\nand after a restart is\n%s", live, restarted)
				}
			})
		})
	}
	t.Logf("%d transactions were shared, %d sets refused", together_, refused)
	if !t.Failed() && (together_ < 20 || refused < 20) {
		t.Errorf("too tame: %d transactions were shared, %d sets refused", together_, refused)
	}
}

// Loads into one branch at once all count: each has a version of its own.
func TestNoLoadIntoABranchIsLost(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !policy b")
	const clients = 16
	var mu sync.Mutex
	versions := map[int]bool{}
	together(clients, func(i int) {
		loaded, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:b", policy.Add, fmt.Appendf(nil, "- !group g%d\n", i))
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		versions[loaded.Version] = true
	})
	if len(versions) != clients || !versions[1] || !versions[clients] {
		t.Errorf("the versions are %v", versions)
	}
	for i := range clients {
		if _, err := w.Resource(ctx, w.admin(), ident.ID(fmt.Sprint("acme:group:b/g", i))); err != nil {
			t.Error(err)
		}
	}
}

// hold starts a load, and keeps its commit from happening until let is called with nil,
// or with the error that it is to fail with.
func (w *world) hold(branch, text string) (done <-chan error, let func(error)) {
	w.t.Helper()
	begun, outcome := make(chan struct{}), make(chan error)
	w.commit = func(store func() ([]error, error)) ([]error, error) {
		close(begun)
		if err := <-outcome; err != nil {
			return nil, err
		}
		return store()
	}
	done = w.start(w.loading(branch, text))
	<-begun
	return done, func(err error) { outcome <- err }
}

// start does something beside the test, which adds one to the line, and returns when it
// has; the result says how it ended.
func (w *world) start(do func() error) <-chan error {
	w.t.Helper()
	before := w.Line()
	done := make(chan error, 1)
	go func() { done <- do() }()
	for w.Line() == before {
		select {
		case err := <-done:
			w.t.Fatalf("it ended at once: %v", err)
		default:
			runtime.Gosched()
		}
	}
	w.EnterStructure()() // then it has left the gate
	return done
}

func (w *world) loading(branch, text string) func() error {
	return func() error {
		_, err := w.LoadPolicy(ctx, core.Operator(), ident.New("acme", "policy", branch), policy.Modify, []byte(text))
		return err
	}
}

// Given a transaction that takes its time, the loads that come meanwhile are stored in
// one transaction after it.
func TestLoadsShareATransaction(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !policy a\n- !policy b\n- !policy c")
	first, let := w.hold("root", "- !group g")
	var rest []<-chan error
	for _, branch := range []string{"a", "b", "c", "a"} {
		rest = append(rest, w.start(w.loading(branch, fmt.Sprintf("- !group g%d", len(rest)))))
	}
	transactions := 0
	w.watch = func(sets []*row.Set, store func() ([]error, error)) ([]error, error) {
		if transactions++; len(sets) != len(rest) {
			t.Errorf("a transaction of %d loads", len(sets))
		}
		return store()
	}
	let(nil)
	must(t, <-first)
	for _, done := range rest {
		must(t, <-done)
	}
	w.watch = nil
	if transactions != 1 {
		t.Errorf("%d transactions", transactions)
	}
}

// What a change was answered with is true of what is durable: given changes that are on
// their way when it is planned, it is answered after them, and if they fail it is
// planned without them.
func TestAnAnswerWaitsForWhatItWasPlannedOn(t *testing.T) {
	broken := errors.New("the disk is tired")
	for _, c := range []struct {
		name     string
		fails    error
		text     string // of the first load
		do       func(w *world, alice core.Caller) error
		status   int
		contains string // a resource that is there in the end
		lacks    string
	}{
		{name: "a privilege that is being taken", text: "- !deny {role: !user alice, privilege: [create, update], resource: !policy b}", status: 403, lacks: "acme:group:b/g"},
		{name: "a privilege that was not taken after all", text: "- !deny {role: !user alice, privilege: [create, update], resource: !policy b}", fails: broken, status: 200, contains: "acme:group:b/g"},
		{name: "a privilege that is being given", text: "- !permit {role: !user bob, privilege: [create, update], resource: !policy b}", status: 200, contains: "acme:group:b/g",
			do: func(w *world, _ core.Caller) error {
				_, err := w.tryLoad(w.as("bob", w.key("bob")), policy.Modify, "b", "- !group g")
				return err
			}},
		{name: "a branch that is being made", text: "- !policy {id: b, body: [!policy x]}", status: 409,
			do: func(w *world, alice core.Caller) error {
				_, err := w.CreateBranch(ctx, alice, "acme", core.NewBranch{Name: "x", Parent: "b"})
				return err
			}, contains: "acme:policy:b/x"},
		{name: "a branch that was not made after all", text: "- !policy {id: b, body: [!policy x]}", fails: broken, status: 200,
			do: func(w *world, alice core.Caller) error {
				_, err := w.CreateBranch(ctx, alice, "acme", core.NewBranch{Name: "x", Parent: "b"})
				return err
			}, contains: "acme:policy:b/x"},
		{name: "nothing to do, which is so when the first is stored", text: "- !grant {role: !group team, member: !user alice}", status: 200,
			do: func(w *world, alice core.Caller) error {
				return w.AddMember(ctx, w.admin(), "acme:group:team", "acme:user:alice")
			}},
		{name: "a member of what is going", text: "- !delete {record: !group team}", status: 404,
			do: func(w *world, alice core.Caller) error {
				return w.AddMember(ctx, w.admin(), "acme:group:team", "acme:user:alice")
			}, lacks: "acme:group:team"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.keys = w.load(policy.Add, "root", "- !policy b\n- !group team\n- !user alice\n- !user bob\n- !permit {role: !user alice, privilege: [read, create, update], resource: !policy b}\n"+
				"- !permit {role: !user bob, privilege: read, resource: !policy b}")
			alice := w.as("alice", w.key("alice"))
			if c.do == nil {
				c.do = func(w *world, alice core.Caller) error {
					_, err := w.tryLoad(alice, policy.Modify, "b", "- !group g")
					return err
				}
			}
			if c.name == "a privilege that is being given" {
				must(t, w.loading("root", "- !permit {role: !user bob, privilege: update, resource: !policy b}")())
			}
			first, let := w.hold("root", c.text)
			second := make(chan error, 1)
			go func() { second <- c.do(w, alice) }()
			for range 2000 { // long enough to be wrong in
				runtime.Gosched()
			}
			select {
			case err := <-second:
				t.Errorf("it was answered before what it was planned on was durable: %v", err)
				second <- err
			default:
			}
			let(c.fails)
			if err := <-first; (err != nil) != (c.fails != nil) {
				t.Errorf("the first: %v", err)
			}
			if err := <-second; status(err) != c.status {
				t.Errorf("got %v, want %d", err, c.status)
			}
			for id, want := range map[string]int{c.contains: 200, c.lacks: 404} {
				if id == "" {
					continue
				}
				if _, err := w.Resource(ctx, w.admin(), ident.ID(id)); status(err) != want {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
}

// Credentials and values of what is on its way count as those of what is there.
func TestALoadBuildsOnCredentialsThatAreOnTheirWay(t *testing.T) {
	w := newWorld(t)
	first, let := w.hold("root", "- !host {id: h, restricted_to: 10.0.0.1, annotations: {authn/api-key: true}}\n- !user {id: u, public_keys: [ssh-rsa AAAA laptop]}")
	second := w.start(w.loading("root", "- !host {id: h, restricted_to: 10.0.0.2, annotations: {authn/api-key: false}}"))
	// The value of a public key can only be compared when it is stored.
	third := make(chan error, 1)
	go func() { third <- w.loading("root", "- !user {id: u, public_keys: [ssh-rsa BBBB laptop]}")() }()
	for range 2000 {
		runtime.Gosched()
	}
	let(nil)
	for _, done := range []<-chan error{first, second, third} {
		must(t, <-done)
	}
	w.View(func(g *rbac.Graph) {
		if h := g.Role("acme:host:h"); h.Key != nil || fmt.Sprint(h.Networks) != "[10.0.0.2/32]" {
			t.Errorf("the host has the key %v and the networks %v", h.Key, h.Networks)
		}
		if v := g.Resource("acme:public_key:user/u/laptop").Secrets; len(v) != 2 {
			t.Errorf("the public key has the versions %v", v)
		}
	})
}

// One client that goes, or whose plan panics, is no harm to those behind it.
func TestWhoeverLeavesTheLineHarmsNobody(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !policy b")
	first, let := w.hold("root", "- !group g1")
	leaving, leave := context.WithCancel(ctx)
	gone := w.start(func() error {
		_, err := w.LoadPolicy(leaving, core.Operator(), "acme:policy:root", policy.Add, []byte("- !policy gone"))
		return err
	})
	third := w.start(w.loading("b", "- !group g3"))
	fourth := w.start(w.loading("root", "- !group {id: g4, owner: !policy gone}"))
	leave()
	if err := <-gone; err == nil {
		t.Error("who has gone was told success")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = w.Change(ctx, func(tx *rbac.Tx) error { // it panics
			tx.InsertRole(row.Role{ID: "acme:user:ghost"})
			panic("a defect")
		})
	}()
	let(nil)
	must(t, errors.Join(<-first, <-third))
	if err := <-fourth; status(err) != 422 || !strings.Contains(err.Error(), "Policy 'gone' not found") {
		t.Errorf("what was planned on a load that never happened: %v", err)
	}
	w.View(func(g *rbac.Graph) {
		for id, want := range map[ident.ID]bool{"acme:group:g1": true, "acme:group:b/g3": true, "acme:group:g4": false, "acme:policy:gone": false, "acme:user:ghost": false} {
			if (g.Role(id) != nil) != want {
				t.Errorf("%s is there: %v", id, !want)
			}
		}
	})
	w.load(policy.Add, "root", "- !group after")
}

// A load whose set waits for too long is told to come again, as one that waits for its
// turn is; what is being stored already is waited for.
func TestALoadThatWaitsTooLongInTheLineIsBusy(t *testing.T) {
	w := newWorld(t)
	w.SetPatience(500 * time.Millisecond)
	first, let := w.hold("root", "- !group g1")
	if err := w.loading("root", "- !group g2")(); !fault.Is(err, fault.Busy) {
		t.Errorf("got %v", err)
	}
	let(nil)
	must(t, <-first)
	must(t, w.loading("root", "- !group {id: g2, owner: !group g1}")())
}
