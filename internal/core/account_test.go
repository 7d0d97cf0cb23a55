package core_test

import (
	"slices"
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]int{"acme": 409, "!": 409, "": 422, "a/b": 422, "a b": 422, "a:b": 422, "a\nb": 422, "ünï.c@de": 200} {
		w.audit.take()
		if _, err := w.CreateAccount(ctx, core.Operator(), name, nil); status(err) != want {
			t.Errorf("%q: %v", name, err)
		}
		if n := w.records("account"); n != 1 {
			t.Errorf("%q: %d records", name, n)
		}
	}
	w.now = w.now.Add(1e9)
	first := secret.FromString(strong)
	_, err := w.CreateAccount(ctx, core.Operator(), "beta", &first)
	must(t, err)
	if _, err := w.Basic(ctx, here, "beta", "admin", first); err != nil {
		t.Errorf("the first password: %v", err)
	}
	weak := secret.FromString("weak")
	if _, err := w.CreateAccount(ctx, core.Operator(), "weak", &weak); status(err) != 422 {
		t.Errorf("a weak password: %v", err)
	}
	names, err := w.Accounts(ctx, core.Operator())
	if err != nil || !slices.Equal(names, []string{"acme", "ünï.c@de", "beta"}) {
		t.Errorf("accounts %v, %v", names, err)
	}
	for name, want := range map[string]int{"none": 404, "!": 404, "a/b": 422} {
		if err := w.DeleteAccount(ctx, core.Operator(), name); status(err) != want {
			t.Errorf("deleting %q: %v", name, err)
		}
	}
	for what, err := range map[string]error{
		"list":   func() error { _, err := w.Accounts(ctx, w.admin()); return err }(),
		"create": func() error { _, err := w.CreateAccount(ctx, w.admin(), "other", nil); return err }(),
		"delete": w.DeleteAccount(ctx, w.admin(), "beta"),
	} {
		if status(err) != 403 {
			t.Errorf("%s by the administrator of an account: %v", what, err)
		}
	}
}

// Given an account is deleted and created again, then nothing of the first one counts:
// no token, no key, no value.
func TestAnAccountCanBeCreatedAgain(t *testing.T) {
	w := newWorld(t)
	web := w.load(core.Add, "root", app)["acme:host:app/web"]
	w.set(w.admin(), "app/password", "old")
	token, err := w.AuthenticateKey(ctx, here, "acme", "admin", w.adminKey)
	must(t, err)
	if _, _, err := w.Token(here, header(token)); err != nil { // remembered from now on
		t.Fatal(err)
	}
	must(t, w.DeleteAccount(ctx, core.Operator(), "acme"))
	if _, _, err := w.Token(here, header(token)); status(err) != 401 {
		t.Errorf("a token of the deleted account: %v", err)
	}
	if _, err := w.SigningPublicKey("acme"); status(err) != 404 {
		t.Errorf("the signing key: %v", err)
	}
	old := w.adminKey
	w.adminKey, err = w.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	check := func() {
		t.Helper()
		if _, _, err := w.Token(here, header(token)); status(err) != 401 {
			t.Errorf("an old token: %v", err)
		}
		if _, err := w.AuthenticateKey(ctx, here, "acme", "admin", old); status(err) != 401 {
			t.Errorf("an old key: %v", err)
		}
		if _, err := w.AuthenticateKey(ctx, here, "acme", "host/app/web", web); status(err) != 401 {
			t.Errorf("a host of the old account: %v", err)
		}
	}
	check()
	w.load(core.Add, "root", app)
	if got, code := w.get(w.admin(), "app/password", 0); code != 404 {
		t.Errorf("an old value: %q", got)
	}
	w.reopen()
	check()
}

// Whoever has the privileges on the resource that guards accounts may manage them, and
// holds the administrators of those that it creates.
func TestARoleCreatesAccounts(t *testing.T) {
	w := newWorld(t)
	key, err := w.RetrieveKey(ctx, core.Operator(), "!:user:admin")
	must(t, err)
	special := func(login string, key secret.Bytes) core.Caller {
		t.Helper()
		token, err := w.AuthenticateKey(ctx, here, "!", login, key)
		must(t, err)
		caller, _, err := w.Token(here, header(token))
		must(t, err)
		return caller
	}
	loaded, err := w.LoadPolicy(ctx, special("admin", key), "!:policy:root", core.Add,
		[]byte("- !user maker\n- !permit {role: !user maker, privileges: [execute], resource: !webservice accounts}"))
	must(t, err)
	maker := special("maker", loaded.Created[0].APIKey)
	made, err := w.CreateAccount(ctx, maker, "made", nil)
	must(t, err)
	if _, err := w.AuthenticateKey(ctx, here, "made", "admin", made); err != nil {
		t.Errorf("the new administrator: %v", err)
	}
	if _, err := w.LoadPolicy(ctx, maker, "made:policy:root", core.Add, []byte("- !variable v")); err != nil {
		t.Errorf("who made the account cannot load policies into it: %v", err)
	}
	if _, err := w.LoadPolicy(ctx, maker, "acme:policy:root", core.Add, []byte("- !variable v")); status(err) != 404 {
		t.Errorf("into another account: %v", err)
	}
	if err := w.DeleteAccount(ctx, maker, "made"); status(err) != 403 {
		t.Errorf("deleting takes more: %v", err)
	}
	must(t, w.DeleteAccount(ctx, special("admin", key), "made"))
	for _, record := range []string{"!webservice accounts", "!resource {kind: '!', id: root}", "!user admin"} {
		if _, err := w.LoadPolicy(ctx, special("admin", key), "!:policy:root", core.Modify, []byte("- !delete {record: "+record+"}")); status(err) != 422 {
			t.Errorf("%s is deleted: %v", record, err)
		}
	}
	must(t, w.WhoAmI(ctx, maker)) // the account of a deleted administrator took nobody along
}

func TestMembers(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", `
- !user creator
- !user updater
- !user nobody
- !policy app
- !permit {role: !user creator, privileges: [read, create], resource: !policy app}
- !permit {role: !user updater, privileges: [read, update], resource: !policy app}
`)
	w.load(core.Add, "app", `
- !group g
- !group h
- !permit {roles: [!user /creator, !user /updater], privilege: read, resource: !group g}
- !grant {role: !group h, member: !user /nobody}
`)
	for _, c := range []struct {
		name, who   string
		remove      bool
		role, other string
		want        int
	}{
		{"added with create on the policy", "creator", false, "group:app/g", "user:nobody", 200},
		{"added twice", "creator", false, "group:app/g", "user:nobody", 200},
		{"a circle", "admin", false, "group:app/g", "group:app/g", 200},
		{"added with update only", "updater", false, "group:app/g", "user:creator", 403},
		{"removed with create only", "creator", true, "group:app/g", "user:nobody", 403},
		{"removed with update on the policy", "updater", true, "group:app/g", "user:nobody", 200},
		{"removed twice", "updater", true, "group:app/g", "user:nobody", 404},
		{"a group that is not seen", "creator", false, "group:app/h", "user:nobody", 404},
		{"a group that is not there", "admin", false, "group:app/none", "user:nobody", 404},
		{"a member that is not there", "creator", false, "group:app/g", "user:none", 404},
		{"an owner", "updater", true, "group:app/g", "policy:app", 422},
		{"a role of no policy", "admin", false, "user:admin", "user:nobody", 422},
		{"granted by policy, removed here", "admin", true, "group:app/h", "user:nobody", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := w.admin()
			if c.who != "admin" {
				caller = w.as(c.who, keys["acme:user:"+ident.ID(c.who)])
			}
			change := w.AddMember
			if c.remove {
				change = w.RemoveMember
			}
			if err := change(ctx, caller, "acme:"+ident.ID(c.role), "acme:"+ident.ID(c.other)); status(err) != c.want {
				t.Errorf("got %v, want %d", err, c.want)
			}
		})
	}
	// A member that was added here is not the policy's: loading that leaves it alone.
	must(t, w.AddMember(ctx, w.admin(), "acme:group:app/g", "acme:user:nobody"))
	w.load(core.Modify, "app", "- !revoke {role: !group g, member: !user /nobody}")
	members, err := w.Members(ctx, w.admin(), "acme:group:app/g", core.MemberQuery{Kinds: []string{"user"}})
	if err != nil || len(members) != 1 || members[0].Policy != "" || members[0].Admin {
		t.Errorf("members %+v, %v", members, err)
	}
}

// Given two accounts, an administrator of one learns nothing of the other's roles by
// naming them where roles need not be seen.
func TestRolesOfOtherAccountsAreNotThere(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !policy {id: app, body: [!group g]}\n- !user alice")
	_, err := w.CreateAccount(ctx, core.Operator(), "other", nil)
	must(t, err)
	for _, member := range []ident.ID{"other:user:admin", "other:user:none"} {
		if err := w.AddMember(ctx, w.admin(), "acme:group:app/g", member); status(err) != 404 {
			t.Errorf("%s as a member: %v", member, err)
		}
		if _, err := w.Resources(ctx, w.admin(), core.ResourceQuery{Account: "acme", Owner: string(member)}); status(err) != 404 {
			t.Errorf("%s as an owner: %v", member, err)
		}
	}
	must(t, w.AddMember(ctx, w.admin(), "acme:group:app/g", "acme:user:alice"))
	_, err = w.Resources(ctx, w.admin(), core.ResourceQuery{Account: "acme", Owner: "user:alice"})
	must(t, err)
}
