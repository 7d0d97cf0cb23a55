package aws_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/aws"
	"rekey/internal/rotation/target/targettest/awstest"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store/sqlite"
)

// house is a core on a real store with an engine that rotates keys of the fake cloud.
type house struct {
	*core.Core
	t      *testing.T
	user   *awstest.User
	trail  strings.Builder // nothing writes while it is read
	caller core.Caller
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, annotation string) *house {
	ctx := t.Context()
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	root, err := seal.ParseRoot("TEST_KEY", text)
	must(t, err)
	rows, err := sqlite.Open(t.TempDir())
	must(t, err)
	h := &house{t: t, user: &awstest.User{Name: "app"}}
	var d net.Dialer
	limits := rotation.DefaultLimits()
	limits.BackoffBase = 10 * time.Millisecond
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	h.Core, err = core.Open(ctx, core.Options{Store: rows, Audit: audit.To(&h.trail), RootKey: root, Config: core.Default(), Now: time.Now, Rand: rand.Reader, Log: quiet,
		Targets: &core.Targets{Kinds: map[string]target.Kind{aws.Kind().Name(): aws.Kind()}, Dial: d.DialContext, Node: "one", Limits: limits}})
	must(t, err)
	_, err = h.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	_, err = h.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, fmt.Appendf(nil, `
- !policy
  id: aws
  body:
    - !variable region
    - !variable access_key_id
    - !variable ca
    - !variable
      id: key
      annotations:
        rotation/rotator: aws/secret-key
        rotation/ttl: P30D
        rotation/aws/secret-key/ca: ca
        rotation/aws/secret-key/iam-endpoint: %[1]s
        rotation/aws/secret-key/sts-endpoint: %[1]s
        description: any
        %[2]s
- !permit { role: !user admin, privileges: [ read, execute ], resource: [ !variable aws/key, !variable aws/access_key_id ] }
`, api.URL, annotation))
	must(t, err)
	key, err := h.RetrieveKey(ctx, core.Operator(), "acme:user:admin")
	must(t, err)
	h.caller, err = h.Basic(ctx, core.Origin{}, "acme", "admin", key)
	must(t, err)
	running, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { engine.New(h.Core, engine.Default(quiet)).Run(running); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		must(t, h.Close())
		must(t, rows.Close())
		api.Lock()
		defer api.Unlock()
		for _, k := range api.Of(h.user) {
			if strings.Contains(h.trail.String(), k.Secret) {
				t.Error("the audit holds a secret access key")
			}
		}
	})
	return h
}

func variable(name string) ident.ID { return ident.New("acme", "variable", "aws/"+name) }

// handOver writes a new key of the user, the secret last.
func (h *house) handOver() *awstest.Key {
	api.Lock()
	k := api.Make(h.user, 0)
	api.Unlock()
	for _, v := range [][2]string{{"region", "eu-central-1"}, {"ca", authority.PEM}, {"access_key_id", k.ID}, {"key", k.Secret}} {
		must(h.t, h.SetSecret(h.t.Context(), core.Operator(), variable(v[0]), secret.FromString(v[1])))
	}
	return k
}

// reaches waits until the rotation is in a state, or its history says something.
func (h *house) reaches(what string, ok func(core.RotationStatus, []row.RotationEvent) bool) core.RotationStatus {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s, err := h.RotationStatus(h.t.Context(), core.Operator(), variable("key"))
		must(h.t, err)
		events, err := h.RotationHistory(h.t.Context(), core.Operator(), variable("key"))
		must(h.t, err)
		if ok(s, events) {
			return s
		}
	}
	s, err := h.RotationStatus(h.t.Context(), core.Operator(), variable("key"))
	h.t.Fatalf("it did not come to pass that %s: %+v %v", what, s, err)
	return s
}

// published are the newest id and secret, which have to be those of a key that works.
func (h *house) published() *awstest.Key {
	h.t.Helper()
	id, err := h.Secret(h.t.Context(), h.caller, variable("access_key_id"), 0)
	must(h.t, err)
	text, err := h.Secret(h.t.Context(), h.caller, variable("key"), 0)
	must(h.t, err)
	api.Lock()
	defer api.Unlock()
	k := api.Keys[id.Value.RevealString()]
	if k == nil || k.Secret != text.Value.RevealString() {
		h.t.Fatal("the published id and secret are not those of a key that works")
	}
	return k
}

func (h *house) keys() int {
	api.Lock()
	defer api.Unlock()
	return len(api.Of(h.user))
}

// Given a key that is handed over, when it rotates, then id and secret change together, and the
// old key goes on for a ttl; when it rotates again, that one is deleted before.
func TestTheEngineRotatesAKey(t *testing.T) {
	h := open(t, "rotation/initial: rotate")
	first := h.handOver()
	s := h.reaches("the key is replaced", func(s core.RotationStatus, _ []row.RotationEvent) bool {
		return s.State == rotation.Retiring && s.Holder == ""
	})
	if left := time.Until(s.RetireAt); left < 29*24*time.Hour || h.published() == first || h.keys() != 2 {
		t.Errorf("the old key goes on for %s, with %d keys in all", left, h.keys())
	}
	second := h.published()
	must(t, h.RotateNow(t.Context(), core.Operator(), variable("key")))
	h.reaches("it is replaced again", func(s core.RotationStatus, _ []row.RotationEvent) bool {
		return s.State == rotation.Retiring && s.Holder == "" && s.Rotation.Version == 3
	})
	api.Lock()
	gone := api.Keys[first.ID] == nil && api.Keys[second.ID] != nil
	api.Unlock()
	if h.published() == second || !gone || h.keys() != 2 {
		t.Errorf("%d keys are there, and the first is gone: %v", h.keys(), gone)
	}
}

// Given answers with new keys that are lost, when it is declared that nobody else makes
// keys, then they are deleted, and the rotation gets there by itself.
func TestTheEngineDeletesKeysThatWereLost(t *testing.T) {
	h := open(t, "rotation/aws/secret-key/lost-keys: delete")
	h.user.Loses = 3
	first := h.handOver()
	h.reaches("the key is replaced", func(s core.RotationStatus, _ []row.RotationEvent) bool {
		return s.State == rotation.Retiring && s.Holder == ""
	})
	if h.published() == first || h.keys() != 2 {
		t.Errorf("%d keys are there", h.keys())
	}
}

// Given an answer that is lost, when nothing is declared, then the key is reported with its
// id, readers keep the one that works, and all goes on when somebody has deleted the other.
func TestTheEngineReportsAKeyThatWasLost(t *testing.T) {
	h := open(t, "rotation/aws/secret-key/lost-keys: report")
	h.user.Loses = 1
	first := h.handOver()
	lost := ""
	h.reaches("a key is reported", func(_ core.RotationStatus, events []row.RotationEvent) bool {
		api.Lock()
		defer api.Unlock()
		for _, k := range api.Of(h.user) {
			for _, e := range events {
				if k.ID != first.ID && e.Class == target.Refused.String() && strings.Contains(e.Message, k.ID) {
					lost = k.ID
				}
			}
		}
		return lost != ""
	})
	if h.published() != first || h.keys() != 2 {
		t.Errorf("%d keys are there, and readers have another", h.keys())
	}
	api.Lock()
	delete(api.Keys, lost)
	api.Unlock()
	must(t, h.RetryRotation(t.Context(), core.Operator(), variable("key")))
	h.reaches("the key is replaced", func(s core.RotationStatus, _ []row.RotationEvent) bool {
		return s.State == rotation.Retiring && s.Holder == ""
	})
	if h.published() == first || h.keys() != 2 {
		t.Errorf("%d keys are there", h.keys())
	}
}

// Given a key of somebody else's, when a rotation is planned, then the plan says so.
func TestThePlanTellsOfAKeyInTheWay(t *testing.T) {
	h := open(t, "rotation/initial: keep")
	h.handOver()
	api.Lock()
	foreign := api.Make(h.user, 0)
	api.Unlock()
	plan, err := h.PlanRotation(t.Context(), core.Operator(), variable("key"))
	if err != nil || !plan.Accepted || !strings.Contains(plan.Problem, foreign.ID) {
		t.Errorf("%+v %v", plan, err)
	}
}
