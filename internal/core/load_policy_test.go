package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
)

func (w *world) tryLoad(caller core.Caller, mode policy.Mode, id, text string) (core.Loaded, error) {
	return w.LoadPolicy(ctx, caller, ident.New("acme", "policy", id), mode, []byte(text))
}

func TestWhoMayLoadWhat(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", `
- !user creator
- !user updater
- !user reader
- !user nobody
- !policy {id: app, body: [!variable theirs]}
- !permit {role: !user creator, privilege: create, resource: !policy app}
- !permit {role: !user updater, privilege: update, resource: !policy app}
- !permit {role: !user reader, privilege: read, resource: !policy app}
- !policy {id: empty}
- !permit {role: !user updater, privilege: update, resource: !policy empty}
`)
	for _, c := range []struct {
		who                  string
		into                 string
		add, modify, replace int
	}{
		{"admin", "app", 200, 200, 200},
		{"creator", "app", 200, 403, 403},
		{"updater", "app", 403, 200, 403}, // there is a variable beneath that it may not update
		{"updater", "empty", 403, 200, 200},
		{"reader", "app", 403, 403, 403},
		{"nobody", "app", 404, 404, 404},
		{"admin", "none", 404, 404, 404},
	} {
		caller := w.admin()
		if c.who != "admin" {
			caller = w.as(c.who, keys[ident.New("acme", "user", c.who)])
		}
		for mode, want := range map[policy.Mode]int{core.Add: c.add, core.Modify: c.modify, core.Replace: c.replace} {
			w.audit.take()
			if _, err := w.tryLoad(caller, mode, c.into, "[]"); status(err) != want {
				t.Errorf("%s, mode %d, into %s: got %v, want %d", c.who, mode, c.into, err, want)
			}
			if n := w.records("policy"); want != 200 && n != 1 {
				t.Errorf("%s, mode %d, into %s: %d records", c.who, mode, c.into, n)
			}
			if want == 200 {
				continue
			}
			if _, err := w.tryLoad(caller, mode, c.into, "- alice: ["); status(err) != want {
				t.Errorf("%s learns that its text is wrong: %v", c.who, err)
			}
		}
	}
	if _, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:app", core.Replace, []byte("[]")); err != nil {
		t.Errorf("an operator: %v", err)
	}
}

func TestWhatALoadAnswers(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"", " \n\t"} {
		_, err := w.tryLoad(w.admin(), core.Add, "root", text)
		if e, ok := err.(*fault.Error); !ok || e.Kind != fault.Validation || e.Target != "policy_text" || e.Message != "is not present" {
			t.Errorf("an empty body: %v", err)
		}
	}
	loaded, err := w.tryLoad(w.admin(), core.Add, "root", "- !user b\n- !host {id: a, annotations: {owner: x}}\n- !group g\n- !role {kind: host, id: r}")
	must(t, err)
	var ids []string
	for _, r := range loaded.Created {
		ids = append(ids, string(r.ID))
	}
	if got := strings.Join(ids, " "); got != "acme:user:b acme:host:a acme:host:r" {
		t.Errorf("created %s", got)
	}
	if len(loaded.Warnings) != 1 || loaded.Version != 1 {
		t.Errorf("warnings %v, version %d", loaded.Warnings, loaded.Version)
	}
	_, err = w.tryLoad(w.admin(), core.Add, "root", "- !grant {role: !group g, member: !user none}")
	if status(err) != 422 {
		t.Errorf("got %v", err)
	}
	loaded, err = w.tryLoad(w.admin(), core.Add, "root", "- !user b")
	if err != nil || loaded.Version != 2 || len(loaded.Created) != 0 {
		t.Errorf("the same again: %+v, %v", loaded, err)
	}
}

func TestPolicyVersionsAreKeptAndTrimmed(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !policy app")
	for i := 1; i <= 23; i++ {
		loaded, err := w.tryLoad(w.admin(), core.Modify, "app", fmt.Sprintf("- !variable v%d", i))
		must(t, err)
		if loaded.Version != i {
			t.Fatalf("version %d instead of %d", loaded.Version, i)
		}
	}
	check := func() {
		t.Helper()
		view, err := w.Resource(ctx, w.admin(), "acme:policy:app")
		must(t, err)
		if n := len(view.PolicyVersions); n != 20 || view.PolicyVersions[0].Version != 4 {
			t.Fatalf("%d versions", n)
		}
		last := view.PolicyVersions[19]
		if last.Version != 23 || last.Text != "- !variable v23" || last.Role != "acme:user:admin" || last.ClientIP != "127.0.0.1" || len(last.SHA256) != 64 {
			t.Errorf("got %+v", last)
		}
	}
	check()
	w.reopen()
	check()
}

// The numbers of versions do not repeat when the one who loaded them is deleted.
func TestPolicyVersionsOutliveTheirLoader(t *testing.T) {
	w := newWorld(t)
	bob := w.load(core.Add, "root", "- !policy app\n- !user bob\n- !permit {role: !user bob, privilege: create, resource: !policy app}")["acme:user:bob"]
	loaded, err := w.tryLoad(w.as("bob", bob), core.Add, "app", "- !variable v")
	must(t, err)
	w.load(core.Modify, "root", "- !delete {record: !user bob}")
	again, err := w.tryLoad(w.admin(), core.Add, "app", "- !variable w")
	if err != nil || again.Version != loaded.Version+1 {
		t.Errorf("got version %d after %d, %v", again.Version, loaded.Version, err)
	}
}

func TestAPolicyMayDeleteItself(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !policy app")
	w.load(core.Add, "app", "- !variable v\n- !host h")
	if _, err := w.tryLoad(w.admin(), core.Modify, "app", "- !delete {record: !policy}"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []ident.ID{"acme:policy:app", "acme:variable:app/v", "acme:host:app/h"} {
		if _, err := w.Resource(ctx, w.admin(), id); status(err) != 404 {
			t.Errorf("%s: %v", id, err)
		}
	}
	w.reopen()
}

func TestAReplacementKeepsTheCredentialsOfWhatStays(t *testing.T) {
	w := newWorld(t)
	const before = "- !group o\n- !host {id: h, owner: !group o}\n- !variable {id: v, owner: !group o}\n- !user gone"
	keys := w.load(core.Add, "root", before)
	w.set(w.admin(), "v", "kept")
	if created := w.load(core.Replace, "root", "- !host h\n- !variable v"); len(created) != 0 {
		t.Errorf("created %v", created)
	}
	w.as("host/h", keys["acme:host:h"])
	if got, _ := w.get(w.admin(), "v", 0); got != "kept" {
		t.Errorf("the value is %q", got)
	}
	if _, err := w.AuthenticateKey(ctx, here, "acme", "gone", keys["acme:user:gone"]); status(err) != 401 {
		t.Errorf("whom the text no longer has: %v", err)
	}
	again := w.load(core.Replace, "root", before)
	if again["acme:user:gone"].Len() == 0 || again["acme:user:gone"].Equal(keys["acme:user:gone"]) {
		t.Error("who comes back has no key, or the old one")
	}
}

// Loads wait for one another; one that waits too long is told to come again.
func TestLoadsQueue(t *testing.T) {
	w := newWorld(t)
	admin := w.admin()
	leave := w.EnterStructure()
	done := make(chan error, 2)
	for i := range 2 {
		go func() {
			_, err := w.tryLoad(admin, core.Add, "root", fmt.Sprintf("- !group g%d", i))
			done <- err
		}()
	}
	select {
	case err := <-done:
		t.Fatalf("a load did not wait: %v", err)
	case <-time.After(20 * time.Millisecond): // long enough to be wrong in
	}
	leave()
	for range 2 {
		must(t, <-done)
	}

	w.SetPatience(time.Millisecond)
	leave = w.EnterStructure()
	_, err := w.tryLoad(admin, core.Add, "root", "- !group late")
	if !fault.Is(err, fault.Busy) || err.Error() != "Concurrent policy load in progress, please retry" {
		t.Errorf("got %v", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	w.SetPatience(time.Hour)
	if _, err := w.LoadPolicy(gone, admin, "acme:policy:root", core.Add, []byte("- !group late")); err == nil {
		t.Error("a client that has gone waits on")
	}
	if _, err := w.Resource(ctx, admin, "acme:group:late"); status(err) != 404 {
		t.Errorf("a refused load changed something: %v", err)
	}
	leave()
	w.load(core.Add, "root", "- !group late")
}
