package core_test

import (
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// The statuses that the wire gives to kinds of faults.
var statuses = map[fault.Kind]int{
	fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404, fault.NotAllowed: 405, fault.Conflict: 409, fault.Busy: 409,
	fault.Argument: 422, fault.Invalid: 422, fault.Validation: 422, fault.PolicyInvalid: 422, fault.Unavailable: 503,
}

func status(err error) int {
	if err == nil {
		return 200
	}
	return statuses[fault.KindOf(err)]
}

const staff = `
- !user {id: alice}
- !user bob
- !host h
- !host {id: keyless, annotations: {authn/api-key: false}}
- !group ops
- !permit {role: !user alice, privileges: [update], resources: [!host h, !host keyless, !group ops]}
- !permit {role: !user bob, privileges: [read], resources: [!host h, !host keyless, !group ops]}
- !policy {id: other, body: [!host hidden]}
`

const strong = "Correct-Horse-1"

// basic is a caller by Basic credentials.
func (w *world) basic(login string, proof secret.Bytes) core.Caller {
	w.t.Helper()
	caller, err := w.Basic(ctx, here, "acme", login, proof)
	must(w.t, err)
	return caller
}

func TestWhoMayRotateWhoseKey(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", staff)
	alice, bob, h := keys["acme:user:alice"], keys["acme:user:bob"], keys["acme:host:h"]
	must(t, w.ChangePassword(ctx, w.basic("alice", alice), "acme", "", secret.FromString(strong)))
	live := map[ident.ID]secret.Bytes{"acme:user:alice": alice, "acme:user:bob": bob, "acme:host:h": h, "acme:user:admin": w.adminKey}

	token := func(login string) core.Caller {
		return w.as(login, live[ident.FromLogin("acme", login)])
	}
	key := func(login string) core.Caller { return w.basic(login, live[ident.FromLogin("acme", login)]) }
	for _, c := range []struct {
		name   string
		caller func() core.Caller
		role   string
		want   int
		says   string // exact, where clients see it
		whose  ident.ID
	}{
		{"oneself by key", func() core.Caller { return key("alice") }, "", 200, "", "acme:user:alice"},
		{"oneself by password", func() core.Caller { return w.basic("alice", secret.FromString(strong)) }, "", 200, "", "acme:user:alice"},
		{"oneself by key, named", func() core.Caller { return key("alice") }, "user:alice", 200, "", "acme:user:alice"},
		{"oneself by key, named in full", func() core.Caller { return key("alice") }, "acme:user:alice", 200, "", "acme:user:alice"},
		{"a host itself by key", func() core.Caller { return key("host/h") }, "", 200, "", "acme:host:h"},
		{"oneself by token", func() core.Caller { return token("alice") }, "", 401, "Credential strength is insufficient", ""},
		{"oneself by token, named", func() core.Caller { return token("alice") }, "user:alice", 401, "Credential strength is insufficient", ""},
		{"another by key", func() core.Caller { return key("alice") }, "host:h", 401, "", ""},
		{"another by password", func() core.Caller { return w.basic("alice", secret.FromString(strong)) }, "host:h", 401, "", ""},
		{"another by token with update", func() core.Caller { return token("alice") }, "host:h", 200, "", "acme:host:h"},
		{"another by token of its owner", func() core.Caller { return token("admin") }, "user:alice", 200, "", "acme:user:alice"},
		{"another by token with read", func() core.Caller { return token("bob") }, "host:h", 403, "", ""},
		{"an invisible one by token", func() core.Caller { return token("alice") }, "host:other/hidden", 404, "CONJ00123E Resource 'acme:host:other/hidden' requested by role 'acme:user:alice' not found", ""},
		{"an invisible one by key", func() core.Caller { return key("alice") }, "host:other/hidden", 401, "", ""},
		{"one that does not exist", func() core.Caller { return token("alice") }, "host:none", 404, "CONJ00123E Resource 'host:none' requested by role 'acme:user:alice' not found", ""},
		{"one that does not exist, by key", func() core.Caller { return key("alice") }, "host:none", 404, "CONJ00123E Resource 'host:none' requested by role 'acme:user:alice' not found", ""},
		{"one of an account that does not exist", func() core.Caller { return token("alice") }, "none:user:alice", 404, "CONJ00123E Resource 'none:user:alice' requested by role 'acme:user:alice' not found", ""},
		{"no role at all", func() core.Caller { return token("alice") }, "alice", 422, "Expected at least 2 tokens in alice", ""},
		{"a group with update", func() core.Caller { return token("alice") }, "group:ops", 405, "CONJ00126E Role 'acme:group:ops' is not applicable for key rotation", ""},
		{"a group with read", func() core.Caller { return token("bob") }, "group:ops", 403, "", ""},
		{"a host without key with update", func() core.Caller { return token("alice") }, "host:keyless", 405, "CONJ00126E Role 'acme:host:keyless' is not applicable for key rotation", ""},
		{"a host without key with read", func() core.Caller { return token("bob") }, "host:keyless", 403, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := c.caller()
			w.audit.take()
			fresh, err := w.RotateKey(ctx, caller, "acme", c.role)
			if got := status(err); got != c.want || c.says != "" && err.(*fault.Error).Message != c.says {
				t.Fatalf("got %d %v, want %d %s", got, err, c.want, c.says)
			}
			if lines := w.records("api-key"); lines != 1 {
				t.Errorf("%d records", lines)
			}
			if (err == nil) != (fresh.Len() > 0) {
				t.Error("a key and an error, or neither")
			}
			if err == nil {
				if _, err := w.AuthenticateKey(ctx, here, "acme", c.whose.Login(), live[c.whose]); status(err) != 401 {
					t.Errorf("the old key: %v", err)
				}
				live[c.whose] = fresh
			}
			for id, key := range live {
				if _, err := w.AuthenticateKey(ctx, here, "acme", id.Login(), key); err != nil {
					t.Errorf("the key of %s: %v", id, err)
				}
			}
		})
	}
}

// records counts the records of a kind that were written since they were last taken.
func (w *world) records(msgID string) int {
	return strings.Count(w.audit.take(), " "+msgID+" [")
}

func TestWhenAKeyWasRotatedIsShownToWhoMayRotateIt(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", staff)
	created := w.now
	w.now = w.now.Add(90e9)
	alice := w.as("alice", keys["acme:user:alice"])
	if _, at, err := w.KeyRotatedAt(ctx, alice, "acme", "host:h"); err != nil || !at.Equal(created) {
		t.Errorf("got %v, %v", at, err)
	}
	fresh, err := w.RotateKey(ctx, alice, "acme", "host:h")
	must(t, err)
	id, at, err := w.KeyRotatedAt(ctx, w.basic("host/h", fresh), "acme", "")
	if err != nil || id != "acme:host:h" || !at.Equal(w.now) {
		t.Errorf("got %s, %v, %v", id, at, err)
	}
	if _, _, err := w.KeyRotatedAt(ctx, alice, "acme", ""); status(err) != 401 {
		t.Errorf("by a token, of oneself: %v", err)
	}
	if _, _, err := w.KeyRotatedAt(ctx, w.as("bob", keys["acme:user:bob"]), "acme", "host:h"); status(err) != 403 {
		t.Errorf("with read: %v", err)
	}
}

// Given somebody has proved itself by a key or password, when that is replaced before
// the request goes on, then the request is refused: a thief who asks all the time must
// not win against the replacement of what was stolen.
func TestAProofIsWorthNothingOnceItIsReplaced(t *testing.T) {
	w := newWorld(t)
	alice := w.load(core.Add, "root", "- !user alice")["acme:user:alice"]
	must(t, w.ChangePassword(ctx, w.basic("alice", alice), "acme", "", secret.FromString(strong)))
	thieves := map[string]core.Caller{"key": w.basic("alice", alice), "password": w.basic("alice", secret.FromString(strong))}
	const next = "Another-Horse-22"
	fresh, err := w.ResetPassword(ctx, core.Operator(), "acme:user:alice", secret.FromString(next))
	must(t, err)
	for proof, thief := range thieves {
		if _, err := w.APIKey(ctx, thief); status(err) != 401 {
			t.Errorf("by %s, login: %v", proof, err)
		}
		if _, err := w.RotateKey(ctx, thief, "acme", ""); status(err) != 401 {
			t.Errorf("by %s, rotation: %v", proof, err)
		}
		if err := w.ChangePassword(ctx, thief, "acme", "", secret.FromString("Thief-Was-Here-1")); status(err) != 401 {
			t.Errorf("by %s, password change: %v", proof, err)
		}
	}
	if shown, err := w.APIKey(ctx, w.basic("alice", secret.FromString(next))); err != nil || !shown.Equal(fresh) {
		t.Errorf("the new credentials: %v", err)
	}
}

// Given a key is rotated just while it is shown, then whoever showed the old one does
// not get the new one, and an operator does.
func TestAKeyIsRotatedWhileItIsShown(t *testing.T) {
	w := newWorld(t)
	key := w.load(core.Add, "root", "- !host h")["acme:host:h"]
	caller, admin := w.basic("host/h", key), w.admin()
	var fresh secret.Bytes
	rotate := func() {
		var err error
		fresh, err = w.RotateKey(ctx, admin, "acme", "host:h")
		must(t, err)
	}
	w.between = rotate
	if shown, err := w.APIKey(ctx, caller); status(err) != 401 || shown.Len() > 0 {
		t.Errorf("login with the old key: %v", err)
	}
	w.between = rotate
	if shown, err := w.RetrieveKey(ctx, core.Operator(), "acme:host:h"); err != nil || !shown.Equal(fresh) {
		t.Errorf("an operator: %v", err)
	}
}

func TestOperatorsSeeKeys(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", staff)
	for id, want := range map[ident.ID]int{"acme:user:alice": 200, "acme:host:h": 200, "acme:host:keyless": 405, "acme:group:ops": 405, "acme:user:none": 404} {
		got, err := w.RetrieveKey(ctx, core.Operator(), id)
		if status(err) != want || want == 200 && !got.Equal(keys[id]) {
			t.Errorf("%s: got %v", id, err)
		}
	}
	if _, err := w.RetrieveKey(ctx, w.admin(), "acme:user:alice"); status(err) != 403 {
		t.Errorf("somebody else: %v", err)
	}
}

func TestRolesOfOtherAccountsDoNotShow(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", "- !user alice")
	if _, err := w.CreateAccount(ctx, core.Operator(), "other", nil); err != nil {
		t.Fatal(err)
	}
	alice, err := w.Basic(ctx, here, "acme", "alice", keys["acme:user:alice"])
	must(t, err)
	for _, id := range []string{"other:user:admin", "other:user:nobody"} {
		if _, err := w.RotateKey(ctx, alice, "acme", id); status(err) != 404 {
			t.Errorf("rotating the key of %s: %v", id, err)
		}
		if err := w.ChangePassword(ctx, alice, "acme", id, secret.FromString("MySecretP@SS1")); status(err) != 404 {
			t.Errorf("changing the password of %s: %v", id, err)
		}
	}
	if _, err := w.RotateKey(ctx, alice, "acme", "user:admin"); status(err) != 401 {
		t.Errorf("within the account: %v", err)
	}
}
