package core_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	w.watchCommits(func(sets []*row.Set, store func() ([]error, error)) ([]error, error) {
		if transactions++; len(sets) != len(rest) {
			t.Errorf("a transaction of %d loads", len(sets))
		}
		return store()
	})
	let(nil)
	must(t, <-first)
	for _, done := range rest {
		must(t, <-done)
	}
	w.watchCommits(nil)
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
