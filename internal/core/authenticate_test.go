package core_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

func TestLogin(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", "- !user alice\n- !host app/h\n- !group g\n- !host {id: keyless, annotations: {authn/api-key: false}}")
	alice := keys["acme:user:alice"]
	must(t, w.ChangePassword(ctx, w.basic("alice", alice), "acme", "", secret.FromString(strong)))
	for _, c := range []struct {
		name, login string
		proof       secret.Bytes
		want        int
		shows       secret.Bytes
	}{
		{"a user by key", "alice", alice, 200, alice},
		{"a user by kind and key", "user/alice", alice, 200, alice},
		{"a user by password", "alice", secret.FromString(strong), 200, alice},
		{"a host by key", "host/app/h", keys["acme:host:app/h"], 200, keys["acme:host:app/h"]},
		{"a wrong password", "alice", secret.FromString(strong + "x"), 401, secret.Bytes{}},
		{"a key with a line break", "alice", secret.FromString(alice.RevealString() + "\n"), 401, secret.Bytes{}},
		{"another's key", "alice", keys["acme:host:app/h"], 401, secret.Bytes{}},
		{"an empty key", "alice", secret.Bytes{}, 401, secret.Bytes{}},
		{"a host by password", "host/app/h", secret.FromString(strong), 401, secret.Bytes{}},
		{"a host without key", "host/keyless", secret.Bytes{}, 401, secret.Bytes{}},
		{"a group", "group/g", secret.Bytes{}, 401, secret.Bytes{}},
		{"nobody", "nobody", alice, 401, secret.Bytes{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.audit.take()
			caller, err := w.Basic(ctx, here, "acme", c.login, c.proof)
			if status(err) != c.want {
				t.Fatalf("got %v, want %d", err, c.want)
			}
			if n := w.records("authn"); n != 1 {
				t.Errorf("%d records", n)
			}
			if err != nil {
				return
			}
			if key, err := w.APIKey(ctx, caller); err != nil || !key.Equal(c.shows) {
				t.Errorf("the key: %v", err)
			}
		})
	}
	if _, err := w.Basic(ctx, here, "none", "alice", alice); status(err) != 401 {
		t.Errorf("another account: %v", err)
	}
	if _, err := w.APIKey(ctx, w.as("alice", alice)); status(err) != 401 {
		t.Errorf("a token shows the key: %v", err)
	}
}

func TestPasswords(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", "- !user alice\n- !user bob\n- !host h")
	alice := keys["acme:user:alice"]
	byKey := func() core.Caller { return w.basic("alice", alice) }
	for _, c := range []struct {
		name   string
		caller core.Caller
		role   string
		fresh  string
		want   int
	}{
		{"a weak one", byKey(), "", "weak", 422},
		{"an empty one", byKey(), "", "", 422},
		{"one with a NUL", byKey(), "", strong + "\x00", 422},
		{"a host's", w.basic("host/h", keys["acme:host:h"]), "", strong, 403},
		{"a host's, before the rule", w.basic("host/h", keys["acme:host:h"]), "", "weak", 403},
		{"one's own by token", w.as("alice", alice), "", strong, 401},
		{"another's by key", byKey(), "user:bob", strong, 401},
		{"another's by token", w.as("alice", alice), "user:bob", strong, 401},
		{"nobody's", byKey(), "user:none", strong, 404},
		{"one's own, named", byKey(), "user:alice", strong, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.audit.take()
			if err := w.ChangePassword(ctx, c.caller, "acme", c.role, secret.FromString(c.fresh)); status(err) != c.want {
				t.Errorf("got %v, want %d", err, c.want)
			}
			if n := w.records("password"); n != 1 {
				t.Errorf("%d records", n)
			}
		})
	}
	must(t, w.ChangePassword(ctx, w.basic("alice", secret.FromString(strong)), "acme", "", secret.FromString("Another-Horse-22")))
	if _, err := w.Basic(ctx, here, "acme", "alice", secret.FromString(strong)); status(err) != 401 {
		t.Errorf("the old password: %v", err)
	}
	w.reopen()
	caller := w.basic("alice", secret.FromString("Another-Horse-22"))
	if key, err := w.APIKey(ctx, caller); err != nil || !key.Equal(alice) {
		t.Errorf("the key is another one: %v", err)
	}
}

func TestPasswordsSetByTheOperator(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.Passwords = map[string]string{"ALICE_APP": strong} })
	w.load(core.Add, "root", "- !policy {id: app, body: [!user alice]}\n- !user bob")
	w.basic("alice@app", secret.FromString(strong))
	if _, err := w.Basic(ctx, here, "acme", "bob", secret.FromString(strong)); status(err) != 401 {
		t.Errorf("somebody else has it: %v", err)
	}
	key, err := w.ResetPassword(ctx, core.Operator(), "acme:user:alice@app", secret.FromString("Another-Horse-22"))
	must(t, err)
	w.basic("alice@app", secret.FromString("Another-Horse-22"))
	w.basic("alice@app", key)
	for id, want := range map[ident.ID]int{"acme:user:none": 404, "acme:policy:app": 422} {
		if _, err := w.ResetPassword(ctx, core.Operator(), id, secret.FromString(strong)); status(err) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestNetworksRestrictAuthenticationOnly(t *testing.T) {
	w := newWorld(t)
	key := w.load(core.Add, "root", "- !host {id: h, restricted_to: [10.0.0.0/8, '2001:db8::/32']}")["acme:host:h"]
	for ip, want := range map[string]int{"10.1.2.3": 200, "::ffff:10.1.2.3": 200, "2001:db8::1": 200, "11.0.0.1": 401, "127.0.0.1": 401} {
		o := core.Origin{IP: netip.MustParseAddr(ip)}
		if _, err := w.AuthenticateKey(ctx, o, "acme", "host/h", key); status(err) != want {
			t.Errorf("from %s: %v", ip, err)
		}
		if _, err := w.Basic(ctx, o, "acme", "host/h", key); err != nil {
			t.Errorf("login from %s: %v", ip, err)
		}
	}
	w.load(core.Modify, "root", "- !host {id: h, restricted_to: 127.0.0.1}")
	w.as("host/h", key)
	w.load(core.Modify, "root", "- !host h")
	if _, err := w.AuthenticateKey(ctx, core.Origin{IP: netip.MustParseAddr("192.0.2.1")}, "acme", "host/h", key); err != nil {
		t.Errorf("without restriction: %v", err)
	}
}

// A host without key logs in by other means. The key is made and destroyed as the
// annotation says, and a new one is never an old one.
func TestHostsWithoutKeys(t *testing.T) {
	w := newWorld(t)
	const without, with = "- !host {id: h, annotations: {authn/api-key: false}}", "- !host {id: h, annotations: {authn/api-key: true}}"
	loaded, err := w.LoadPolicy(ctx, w.admin(), "acme:policy:root", core.Add, []byte(without))
	must(t, err)
	if len(loaded.Created) != 1 || loaded.Created[0].ID != "acme:host:h" || loaded.Created[0].APIKey.Len() != 0 {
		t.Errorf("created: %+v", loaded.Created)
	}
	first := w.load(core.Modify, "root", with)["acme:host:h"]
	w.as("host/h", first)
	if again := w.load(core.Modify, "root", with); len(again) != 0 {
		t.Errorf("loaded again: %v", again)
	}
	w.as("host/h", first)
	w.load(core.Modify, "root", without)
	if _, err := w.AuthenticateKey(ctx, here, "acme", "host/h", first); status(err) != 401 {
		t.Errorf("the destroyed key: %v", err)
	}
	w.reopen()
	if _, err := w.AuthenticateKey(ctx, here, "acme", "host/h", first); status(err) != 401 {
		t.Errorf("the destroyed key after a restart: %v", err)
	}
	second := w.load(core.Modify, "root", with)["acme:host:h"]
	w.as("host/h", second)
	if _, err := w.AuthenticateKey(ctx, here, "acme", "host/h", first); status(err) != 401 {
		t.Errorf("the destroyed key, once there is another: %v", err)
	}
}

func TestHostsAreToSayWhetherTheyHaveKeys(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.APIKeyDefault = false })
	_, err := w.LoadPolicy(ctx, w.admin(), "acme:policy:root", core.Add, []byte("- !host h"))
	if status(err) != 422 || !strings.HasPrefix(err.Error(), "API key authentication for hosts is disabled by default") {
		t.Errorf("got %v", err)
	}
	keys := w.load(core.Add, "root", "- !host {id: a, annotations: {authn/api-key: true}}\n- !host {id: b, annotations: {authn/api-key: false}}\n- !user u")
	if keys["acme:host:a"].Len() == 0 || keys["acme:host:b"].Len() != 0 || keys["acme:user:u"].Len() == 0 {
		t.Errorf("keys: %d, %d, %d", keys["acme:host:a"].Len(), keys["acme:host:b"].Len(), keys["acme:user:u"].Len())
	}
}

// header makes an Authorization header.
func header(token []byte) string {
	return `Token token="` + base64.StdEncoding.EncodeToString(token) + `"`
}

func TestATokenIsWorthNothingOnceItsRoleIsGone(t *testing.T) {
	w := newWorld(t)
	alice := w.as("alice", w.load(core.Add, "root", "- !user alice")["acme:user:alice"])
	must(t, w.WhoAmI(ctx, alice))
	w.load(core.Modify, "root", "- !delete {record: !user alice}")
	if err := w.WhoAmI(ctx, alice); status(err) != 401 {
		t.Errorf("got %v", err)
	}
	if _, err := w.Resources(ctx, alice, core.ResourceQuery{Account: "acme"}); status(err) != 401 {
		t.Errorf("got %v", err)
	}
}

// What strangers claim to be is recorded as far as it could be anybody's name.
func TestRecordsOfStrangersAreBounded(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ name, account, login string }{
		{"a long login", "acme", strings.Repeat("\x01", 100_000)},
		{"a long account", strings.Repeat("a", 100_000), "alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.audit.take()
			_, err := w.AuthenticateKey(ctx, here, c.account, c.login, w.adminKey)
			_, basic := w.Basic(ctx, here, c.account, "host/"+c.login, w.adminKey)
			if status(err) != 401 || status(basic) != 401 {
				t.Errorf("got %.100s and %.100s", err, basic)
			}
			if n := len(w.audit.take()); n == 0 || n > 100_000 {
				t.Errorf("the records have %d bytes", n)
			}
		})
	}
}

func TestATokenIsNotForALaterRoleOfTheSameName(t *testing.T) {
	w := newWorld(t)
	old := w.as("alice", w.load(core.Add, "root", "- !user alice")["acme:user:alice"])
	w.load(core.Modify, "root", "- !delete {record: !user alice}")
	w.now = w.now.Add(2 * time.Second)
	fresh := w.as("alice", w.load(core.Add, "root", "- !user alice")["acme:user:alice"])
	if err := w.WhoAmI(ctx, old); status(err) != 401 {
		t.Errorf("the token of the role before: %v", err)
	}
	must(t, w.WhoAmI(ctx, fresh))
}

func TestACrowdOfPasswordGuessersIsTurnedAway(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.PasswordCost = 10 })
	refusals := make(chan int, 200)
	for range cap(refusals) {
		go func() {
			_, err := w.Basic(ctx, here, "acme", "nobody", secret.FromString("Wrong-Horse-11!"))
			refusals <- status(err)
		}()
	}
	seen := map[int]int{}
	for range cap(refusals) {
		seen[<-refusals]++
	}
	if seen[401] == 0 || seen[503] == 0 || seen[401]+seen[503] != cap(refusals) {
		t.Errorf("answers: %v", seen)
	}
}
