package engine_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/rotation/target/postgresql"
	"rekey/internal/secret"
	"rekey/internal/store/postgres/postgrestest"
)

// What policies and programs that were written for Conjur rely on. The engine is set as
// it is by default.

// base58 are the characters of Conjur's generated passwords.
const base58 = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"

func conjurs(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.options = engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))
	w.patient(w.options.StepTime)
	return w
}

// enact loads a policy for the whole account.
func (w *world) enact(mode policy.Mode, text string) {
	w.Helper()
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", mode, []byte(text))
	must(w, err)
}

func (w *world) set(id, value string) {
	w.Helper()
	must(w, w.SetSecret(ctx, core.Operator(), ident.New("acme", "variable", id), secret.FromString(value)))
}

// versions are what the resource of a variable tells of its values.
func (w *world) versions(name string) []core.SecretVersion {
	w.Helper()
	view, err := w.Resource(ctx, w.admin(), variable(name))
	must(w, err)
	return view.Secrets
}

// Given the policy of Conjur's documentation, siblings url and username, and a password that
// works, when that is stored, then it is replaced: by as many characters of base 58 as the
// annotation says, or by 20.
func TestAPolicyOfConjurs(t *testing.T) {
	w, s := conjurs(t), postgrestest.Started(t, "fsync=off")
	w.kinds["postgresql/password"] = postgresql.Kind()
	w.enact(policy.Modify, `
- !policy
  id: db
  body:
    - !variable url
    - !variable username
    - !variable
      id: password
      annotations:
        rotation/rotator: postgresql/password
        rotation/ttl: P1D
        rotation/postgresql/password/length: 32
- !policy
  id: db/default
  body:
    - !variable url
    - !variable username
    - !variable
      id: password
      annotations:
        rotation/rotator: postgresql/password
        rotation/ttl: PT1H
`)
	w.start()
	for name, length := range map[string]int{"password": 32, "default/password": 20} {
		folder := strings.TrimSuffix("db/"+name, "password")
		user := fmt.Sprintf("app%d", length)
		must(t, s.Run("CREATE ROLE "+user+" LOGIN PASSWORD 'p@ss:w/ord?1#[%41] '"))
		w.set(folder+"url", fmt.Sprintf("127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=5", s.Port))
		w.set(folder+"username", user)
		w.set(folder+"password", "p@ss:w/ord?1#[%41] ")
		w.settles(name, rotation.Idle, 2)
		value := w.value(name)
		if len(value) != length || strings.Trim(value, base58) != "" {
			t.Errorf("%s is %d characters, not all of base 58", name, len(value))
		}
		if err := s.RunAs(user, value, "SELECT 1"); err != nil {
			t.Error(err)
		}
	}
}

// The engine hears of a value that is stored, and does not find it by and by.
func TestAFirstValueIsReplacedWithinASecond(t *testing.T) {
	w := conjurs(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	time.Sleep(100 * time.Millisecond) // it has nothing to do, and waits
	begun := time.Now()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAReaderNeverWaitsForATarget(t *testing.T) {
	w := conjurs(t)
	w.options.StepTime = 3 * time.Second
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/poison: apply hangs"}})
	w.handOver("password", "first")
	held := w.value("password")
	w.start()
	w.eventually("the target hangs", func() bool { return w.status("password").State == rotation.Applying })
	begun := time.Now()
	for range 10 {
		if got := w.read("password"); got != held {
			t.Errorf("a reader gets %q", got)
		}
	}
	// A writer does not either, and its value is kept beside the one that hangs.
	must(t, w.SetSecret(ctx, core.Operator(), variable("password"), secret.FromString("second")))
	if took := time.Since(begun); took > w.options.StepTime/2 {
		t.Errorf("reading and writing took %s", took)
	}
	if got := w.read("password"); got != "second" {
		t.Errorf("a reader gets %q after a write", got)
	}
}

// A value that somebody writes has no expiry, one that was rotated expires a ttl later, and
// ?expirations takes that away: all stay readable.
func TestExpiriesAreThoseOfConjur(t *testing.T) {
	w := conjurs(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}, "plain": nil})
	w.handOver("password", "first")
	if v := w.versions("password"); len(v) != 1 || !v[0].ExpiresAt.IsZero() {
		t.Errorf("written: %+v", v)
	}
	w.start()
	w.settles("password", rotation.Idle, 2)
	v := w.versions("password")
	if left := v[1].ExpiresAt.Sub(w.now()); len(v) != 2 || left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("rotated: %+v", v)
	}
	w.halt()
	held := w.value("password")
	must(t, w.ExpireSecret(ctx, core.Operator(), variable("password")))
	for _, v := range w.versions("password") {
		if !v.ExpiresAt.IsZero() {
			t.Errorf("expired: %+v", v)
		}
	}
	if got := w.value("password"); got != held {
		t.Errorf("an expired value reads as %q", got)
	}
	w.start()
	w.settles("password", rotation.Idle, 3)
	// The same value once more is no other one: it makes no version, and nothing rotates.
	w.set("db/password", w.value("password"))
	time.Sleep(100 * time.Millisecond)
	w.settles("password", rotation.Idle, 3)
	// Without a rotator it is answered in the same way.
	w.enact(policy.Modify, "- !variable other")
	must(t, w.ExpireSecret(ctx, core.Operator(), "acme:variable:other"))
}

func TestWithoutItsAnnotationsAVariableIsLikeAnyOther(t *testing.T) {
	w := conjurs(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	held := w.value("password")
	w.enact(policy.Replace, "- !policy\n  id: db\n  body:\n  - !variable username\n  - !variable password\n")
	w.later(48 * time.Hour)
	time.Sleep(100 * time.Millisecond)
	if got := w.value("password"); got != held {
		t.Errorf("it has rotated to %q", got)
	}
	if _, err := w.RotationStatus(ctx, core.Operator(), variable("password")); !fault.Is(err, fault.NotFound) {
		t.Errorf("its rotation: %v", err)
	}
}

// An annotation counts whichever branch of the policy it was loaded by, and a variable at
// the top of the account has its siblings there.
func TestWhereConjurRotatesInVain(t *testing.T) {
	w := conjurs(t)
	w.enact(policy.Modify, "- !variable username\n- !variable { id: top, annotations: { rotation/rotator: model/password, rotation/model/account: top, rotation/ttl: P1D } }\n- !policy\n  id: db\n  body:\n  - !variable password\n")
	w.enact(policy.Modify, "- !variable { id: db/password, annotations: { rotation/rotator: model/password, rotation/model/account: password, rotation/ttl: P1D } }")
	w.start()
	w.set("username", "somebody")
	w.model.set("top", "first")
	w.set("top", "first")
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	w.eventually("the one at the top rotates", func() bool {
		s, err := w.RotationStatus(ctx, core.Operator(), "acme:variable:top")
		must(t, err)
		return s.Rotation.Version == 2 && s.State == rotation.Idle
	})
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	if !w.model.read["somebody"] {
		t.Error("its sibling was not read")
	}
}
