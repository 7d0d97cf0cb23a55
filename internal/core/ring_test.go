package core_test

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store/sqlite"
)

func TestAnotherRootKeyIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	w.close()
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	other, err := seal.ParseRoot("OTHER_KEY", text)
	must(t, err)
	st, err := sqlite.Open(w.dir)
	must(t, err)
	_, err = core.Open(ctx, core.Options{
		Store: st, Audit: audit.To(w.audit), RootKey: other, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err == nil || !strings.Contains(err.Error(), "OTHER_KEY") {
		t.Errorf("got %v", err)
	}
	must(t, st.Close())
	w.open() // the right one still opens it
	w.admin()
}

// The signing key is replaced without anybody having to authenticate again; tokens of
// the old one end when they would have ended anyway.
func TestSigningKeysRotate(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.UserTokenTTL = 5 * time.Hour })
	old, err := w.AuthenticateKey(ctx, here, "acme", "admin", w.adminKey)
	must(t, err)
	before, err := w.SigningPublicKey("acme")
	must(t, err)
	w.now = w.now.Add(time.Hour)
	_, err = w.RotateSigningKey(ctx, core.Operator(), "acme")
	must(t, err)
	after, err := w.SigningPublicKey("acme")
	if err != nil || after == before {
		t.Errorf("the key is the same: %v", err)
	}
	fresh, err := w.AuthenticateKey(ctx, here, "acme", "admin", w.adminKey)
	must(t, err)
	check := func(when string, token []byte, want int) {
		t.Helper()
		if _, _, err := w.Token(here, header(token)); status(err) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("a token of the old key", old, 200)
	check("a token of the new key", fresh, 200)
	w.reopen()
	check("a token of the old key after a restart", old, 200)
	check("a token of the new key after a restart", fresh, 200)
	if again, err := w.SigningPublicKey("acme"); err != nil || again != after {
		t.Errorf("after a restart another key signs: %v", err)
	}
	w.now = w.now.Add(4*time.Hour + time.Second)
	check("a token of the old key after its time", old, 401)
	check("a token of the new key within its time", fresh, 200)
	w.now = w.now.Add(2 * time.Hour)
	check("a token of the new key after its time", fresh, 401)

	// A second rotation forgets the first key, whose last tokens have ended.
	_, err = w.RotateSigningKey(ctx, core.Operator(), "acme")
	must(t, err)
	w.reopen()
	w.admin()
	for account, want := range map[string]int{"acme": 403, "none": 403} {
		if _, err := w.RotateSigningKey(ctx, w.admin(), account); status(err) != want {
			t.Errorf("%s by its administrator: %v", account, err)
		}
	}
	if _, err := w.RotateSigningKey(ctx, core.Operator(), "none"); status(err) != 404 {
		t.Errorf("got %v", err)
	}
}

func TestTokensLiveAsLongAsConfigured(t *testing.T) {
	w := newWorld(t, func(c *core.Config) { c.UserTokenTTL, c.HostTokenTTL = time.Minute, 9*time.Hour })
	key := w.load(core.Add, "root", "- !host h")["acme:host:h"]
	start := w.now
	user, err := w.AuthenticateKey(ctx, here, "acme", "admin", w.adminKey)
	must(t, err)
	host, err := w.AuthenticateKey(ctx, here, "acme", "host/h", key)
	must(t, err)
	for _, c := range []struct {
		after      time.Duration
		user, host int
	}{{59 * time.Second, 200, 200}, {61 * time.Second, 401, 200}, {5*time.Hour - time.Second, 401, 200}, {5*time.Hour + time.Second, 401, 401}} {
		w.now = start.Add(c.after)
		if _, _, err := w.Token(here, header(user)); status(err) != c.user {
			t.Errorf("a user's after %v: %v", c.after, err)
		}
		if _, _, err := w.Token(here, header(host)); status(err) != c.host {
			t.Errorf("a host's after %v: %v", c.after, err)
		}
	}
}

// Nothing that is secret stands in the data directory or in the audit as it is.
func TestNoSecretIsWrittenInTheClear(t *testing.T) {
	w := newWorld(t)
	alice := w.load(core.Add, "root", "- !user alice\n- !variable v")["acme:user:alice"]
	w.set(w.admin(), "v", "a-very-secret-value")
	must(t, w.ChangePassword(ctx, w.basic("alice", alice), "acme", "", secret.FromString(strong)))
	w.basic("alice", secret.FromString(strong))
	w.get(w.admin(), "v", 0)
	written := w.audit.take()
	w.close()
	w.close = func() {}
	written += filesIn(t, w.dir)
	for what, clear := range map[string]string{
		"a value": "a-very-secret-value", "a key": alice.RevealString(), "the administrator's key": w.adminKey.RevealString(), "a password": strong,
	} {
		if strings.Contains(written, clear) {
			t.Errorf("%s is written in the clear", what)
		}
	}
}
