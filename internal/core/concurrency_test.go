package core_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// together runs n functions at once and waits for them.
func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	wg.Wait()
}

// Given several replicas share one key, when all rotate it at once, then exactly one is
// told that it has succeeded, and what it holds is the live key.
func TestOneOfManyRotatesASharedKey(t *testing.T) {
	w := newWorld(t)
	key := w.load(core.Add, "root", "- !host h")["acme:host:h"]
	for generation := range 30 {
		var mu sync.Mutex
		var won []secret.Bytes
		together(8, func(int) {
			caller, err := w.Basic(ctx, here, "acme", "host/h", key)
			if status(err) == 401 {
				return // another one was quicker
			}
			fresh, err := w.RotateKey(ctx, caller, "acme", "")
			mu.Lock()
			defer mu.Unlock()
			switch status(err) {
			case 200:
				won = append(won, fresh)
			case 401:
			default:
				t.Errorf("generation %d: %v", generation, err)
			}
		})
		if len(won) != 1 {
			t.Fatalf("generation %d: %d were told success", generation, len(won))
		}
		if _, err := w.AuthenticateKey(ctx, here, "acme", "host/h", key); status(err) != 401 {
			t.Fatalf("generation %d: the old key: %v", generation, err)
		}
		key = won[0]
		w.as("host/h", key)
	}
	w.reopen()
	w.as("host/h", key)
}

// Rotations, password changes and policy loads of one user never undo each other: in
// each matter the last that was acknowledged holds.
func TestChangesOfOneRoleDoNotUndoEachOther(t *testing.T) {
	w := newWorld(t)
	key := w.load(core.Add, "root", "- !user alice\n- !user helper\n- !permit {role: !user helper, privileges: [update, read], resource: !user alice}")
	must(t, w.ChangePassword(ctx, w.basic("alice", key["acme:user:alice"]), "acme", "", secret.FromString("Password-Number-0")))
	helper, admin := w.as("helper", key["acme:user:helper"]), w.admin()
	last := key["acme:user:alice"]
	const changes = 3
	var rounds atomic.Int32
	together(3, func(i int) {
		switch i {
		case 0: // as often as there is time
			for rounds.Load() < 2 {
				fresh, err := w.RotateKey(ctx, helper, "acme", "user:alice")
				if err != nil {
					t.Errorf("rotation: %v", err)
				}
				last = fresh
			}
		case 1:
			defer rounds.Add(1)
			for n := range changes {
				caller, err := w.Basic(ctx, here, "acme", "alice", secret.FromString(fmt.Sprintf("Password-Number-%d", n)))
				if err == nil {
					err = w.ChangePassword(ctx, caller, "acme", "", secret.FromString(fmt.Sprintf("Password-Number-%d", n+1)))
				}
				if err != nil {
					t.Errorf("password %d: %v", n, err)
				}
			}
		case 2:
			defer rounds.Add(1)
			for n := range 10 * changes {
				text := fmt.Sprintf("- !user {id: alice, restricted_to: 10.0.0.%d}", n)
				if _, err := w.LoadPolicy(ctx, admin, "acme:policy:root", core.Modify, []byte(text)); err != nil {
					t.Errorf("load: %v", err)
				}
			}
		}
	})
	check := func() {
		t.Helper()
		o := core.Origin{IP: netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", 10*changes-1))}
		if _, err := w.AuthenticateKey(ctx, o, "acme", "alice", last); err != nil {
			t.Errorf("the last key from the last network: %v", err)
		}
		if _, err := w.AuthenticateKey(ctx, here, "acme", "alice", last); status(err) != 401 {
			t.Errorf("from elsewhere: %v", err)
		}
		if _, err := w.Basic(ctx, here, "acme", "alice", secret.FromString(fmt.Sprintf("Password-Number-%d", changes))); err != nil {
			t.Errorf("the last password: %v", err)
		}
	}
	check()
	w.reopen()
	check()
}

// Toggling whether a host has a key, while it is rotated, leaves a key that somebody
// was given, or none.
func TestAKeyIsTakenAwayWhileItRotates(t *testing.T) {
	w := newWorld(t)
	first := w.load(core.Add, "root", "- !host {id: h, annotations: {authn/api-key: true}}")["acme:host:h"]
	admin := w.admin()
	var mu sync.Mutex
	given := []secret.Bytes{first}
	var done atomic.Bool
	together(3, func(i int) {
		if i > 0 {
			for !done.Load() {
				fresh, err := w.RotateKey(ctx, admin, "acme", "host:h")
				switch status(err) {
				case 200:
					mu.Lock()
					given = append(given, fresh)
					mu.Unlock()
				case 405, 409: // it has none now; or it changed too fast
				default:
					t.Errorf("rotation: %v", err)
				}
			}
			return
		}
		defer done.Store(true)
		for n := range 40 {
			text := fmt.Sprintf("- !host {id: h, annotations: {authn/api-key: %v}}", n%2 == 1)
			loaded, err := w.LoadPolicy(ctx, admin, "acme:policy:root", core.Modify, []byte(text))
			if status(err) == 409 {
				continue // rotations came between again and again
			}
			if err != nil {
				t.Errorf("load: %v", err)
			}
			mu.Lock()
			for _, r := range loaded.Created {
				given = append(given, r.APIKey)
			}
			mu.Unlock()
		}
	})
	live := 0
	for _, key := range given {
		if _, err := w.AuthenticateKey(ctx, here, "acme", "host/h", key); err == nil {
			live++
		}
	}
	_, err := w.RetrieveKey(ctx, core.Operator(), "acme:host:h")
	if want := map[bool]int{true: 1, false: 0}[err == nil]; live != want {
		t.Errorf("%d of %d keys are live, want %d", live, len(given), want)
	}
}

// Writes to one variable at once make consecutive versions, of which none is lost.
func TestWritesToOneVariable(t *testing.T) {
	const writers, writes = 8, 20
	w := newWorld(t, func(c *core.Config) { c.SecretVersions = writers * writes })
	w.load(core.Add, "root", "- !variable v")
	admin := w.admin()
	together(writers, func(i int) {
		for n := range writes {
			if err := w.SetSecret(ctx, admin, "acme:variable:v", secret.FromString(fmt.Sprintf("%d of %d", n, i))); err != nil {
				t.Error(err)
			}
		}
	})
	next := map[int]int{} // what each writer must have written next
	for version := 1; version <= writers*writes; version++ {
		got, code := w.get(admin, "v", version)
		var n, i int
		if _, err := fmt.Sscanf(got, "%d of %d", &n, &i); code != 200 || err != nil {
			t.Fatalf("version %d: %q, %d", version, got, code)
		}
		if n != next[i] {
			t.Fatalf("version %d: writer %d's number %d comes after %d", version, i, n, next[i]-1)
		}
		next[i]++
	}
}

// Loads of one policy and of several at once all take effect, in some order.
func TestLoadsAtOnce(t *testing.T) {
	const loaders, loads = 6, 8
	w := newWorld(t, func(c *core.Config) { c.PolicyVersions = loaders * loads })
	w.load(core.Add, "root", "- !policy shared\n- !policy b0\n- !policy b1\n- !policy b2\n- !policy b3\n- !policy b4\n- !policy b5")
	admin := w.admin()
	together(loaders, func(i int) {
		for n := range loads {
			for _, branch := range []string{"shared", fmt.Sprint("b", i)} {
				id := ident.New("acme", "policy", branch)
				text := fmt.Sprintf("- !variable %d/%d\n- !host %d/%d", i, n, i, n)
				if _, err := w.LoadPolicy(ctx, admin, id, core.Add, []byte(text)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	n, err := w.CountResources(ctx, admin, core.ResourceQuery{Account: "acme", Kind: "host"})
	if err != nil || n != 2*loaders*loads {
		t.Errorf("%d hosts, %v", n, err)
	}
	view, err := w.Resource(ctx, admin, "acme:policy:shared")
	must(t, err)
	for i, v := range view.PolicyVersions {
		if v.Version != i+1 {
			t.Fatalf("version %d is number %d", i+1, v.Version)
		}
	}
	if len(view.PolicyVersions) != loaders*loads {
		t.Errorf("%d versions", len(view.PolicyVersions))
	}
}

// A revocation that was acknowledged before a read begins is seen by that read, and so
// is a grant.
func TestARevocationIsSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	host := w.as("host/h", w.load(core.Add, "root", "- !host h\n- !group g\n- !variable v\n- !permit {role: !group g, privilege: execute, resource: !variable v}")["acme:host:h"])
	w.set(w.admin(), "v", "value")
	admin := w.admin()
	const changing, granted, revoked = 0, 1, 2
	var state atomic.Int64 // what was acknowledged, and how many changes there were before
	var done atomic.Bool
	var reads atomic.Int64
	together(4, func(i int) {
		if i > 0 {
			for !done.Load() {
				before := state.Load()
				_, code := w.get(host, "v", 0)
				if state.Load() != before {
					continue
				}
				reads.Add(1)
				if what := before % 3; what == revoked && code != 404 || what == granted && code != 200 {
					t.Errorf("state %d: %d", what, code)
				}
			}
			return
		}
		defer done.Store(true)
		for n := range int64(30) {
			verb, after := "grant", int64(granted)
			if n%2 == 1 {
				verb, after = "revoke", revoked
			}
			state.Store(3*n + changing)
			if _, err := w.LoadPolicy(ctx, admin, "acme:policy:root", core.Modify, []byte("- !"+verb+" {role: !group g, member: !host h}")); err != nil {
				t.Error(err)
			}
			state.Store(3*n + after)
			for start := reads.Load(); reads.Load() < start+3 && !t.Failed(); { // somebody looks
			}
		}
	})
	t.Logf("%d reads", reads.Load())
}
