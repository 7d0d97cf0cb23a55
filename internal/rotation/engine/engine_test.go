package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/secret"
)

func TestAWrittenValueIsReplacedAtOnceAndThenByItsTTL(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	begun := time.Now()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the hand-over took %s", took)
	}
	second := w.value("password")
	if second == "first" || !w.model.works("password", second) {
		t.Errorf("published %q does not work", second)
	}
	s := w.status("password")
	if due := s.Due.Sub(s.LastSuccess); due < 21*time.Hour || due > 27*time.Hour || s.Expires.Sub(s.LastSuccess) != 24*time.Hour {
		t.Errorf("due after %s, expires after %s", due, s.Expires.Sub(s.LastSuccess))
	}
	w.later(20 * time.Hour)
	time.Sleep(50 * time.Millisecond)
	w.settles("password", rotation.Idle, 2)
	w.later(7 * time.Hour)
	w.settles("password", rotation.Idle, 3)
	for _, plain := range []string{"first", second, w.value("password")} {
		if strings.Contains(w.audit.String(), plain) {
			t.Error("a value is in the audit")
		}
	}
	for _, step := range []string{"planned", "applying", "applied", "verified", "published", "retired"} {
		if !strings.Contains(w.audit.String(), "advanced the rotation of acme:variable:db/password: "+step) {
			t.Errorf("the audit does not have %q", step)
		}
	}
}

// Given a grace before the end of the ttl, then a value is replaced so much earlier that it
// ends within its ttl, while the next one works already.
func TestAGraceBeforeTheEndOfTheTTL(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P10D", "rotation/grace: P1D", "rotation/grace-mode: before", "rotation/verify: never", "rotation/model/mode: survey"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Retiring, 2)
	old, published := w.value("password"), w.status("password")
	if due := published.Due.Sub(published.LastSuccess); due != 24*time.Hour || published.Expires.Sub(published.LastSuccess) != 240*time.Hour {
		t.Errorf("the first value is ended after %s: %+v", due, published)
	}
	w.later(25 * time.Hour)
	w.settles("password", rotation.Idle, 2)
	if due := w.status("password").Due.Sub(published.LastSuccess); due < 7*24*time.Hour || due > 9*24*time.Hour {
		t.Errorf("the next one is due after %s", due)
	}
	w.later(8 * 24 * time.Hour)
	w.settles("password", rotation.Retiring, 3)
	if s := w.status("password"); !w.model.works("password", old) || !w.model.works("password", w.value("password")) {
		t.Errorf("not both work: %+v", s)
	}
	w.later(24 * time.Hour) // 10 days and an hour
	w.settles("password", rotation.Idle, 3)
	if w.model.works("password", old) {
		t.Error("the old value goes on after its ttl")
	}
}

func TestARestartRotatesNothingEarly(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	w.close()
	w.open()
	w.start()
	time.Sleep(100 * time.Millisecond)
	w.settles("password", rotation.Idle, 2)
}

func TestAChangedTTLTakesEffectAtOnce(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P30D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	w.later(2 * time.Hour)
	w.declare(map[string][]string{"password": {"rotation/ttl: PT1H"}})
	w.settles("password", rotation.Idle, 3)
}

func TestAFirstValueMayBeKept(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/initial: keep"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 1)
	w.later(28 * time.Hour)
	w.settles("password", rotation.Idle, 2)
}

func TestWithoutTTLOnlyARequestRotates(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": nil})
	w.start()
	for name, ask := range map[string]func(context.Context, core.Caller, ident.ID) error{"rotate": w.RotateNow, "retry": w.RetryRotation, "reconcile": w.ReconcileRotation} {
		if err := ask(ctx, core.Operator(), variable("password")); !fault.Is(err, fault.Conflict) || w.status("password").Revision != 0 {
			t.Errorf("%s without a value: %v", name, err)
		}
	}
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 1)
	w.later(24 * 365 * time.Hour)
	time.Sleep(50 * time.Millisecond)
	if s := w.status("password"); s.Rotation.Version != 1 || !s.LastSuccess.IsZero() || w.model.applies("password") != 0 {
		t.Errorf("something was done: %+v", s)
	}
	must(t, w.RotateNow(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Idle, 2)
	must(t, w.ExpireSecret(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Idle, 3)
}

func TestPeopleSteer(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)

	must(t, w.PauseRotation(ctx, core.Operator(), variable("password"), "freeze"))
	w.later(48 * time.Hour)
	time.Sleep(50 * time.Millisecond)
	if s := w.status("password"); s.Rotation.Version != 2 || !s.Paused || s.PauseReason != "freeze" {
		t.Errorf("paused: %+v", s)
	}
	if err := w.RotateNow(ctx, core.Operator(), variable("password")); !fault.Is(err, fault.Conflict) {
		t.Errorf("a paused one is rotated: %v", err)
	}
	must(t, w.ResumeRotation(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Idle, 3)

	w.model.set("password", "changed at the target")
	must(t, w.RotateNow(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Quarantined, 3)
	list, err := w.Rotations(ctx, core.Operator(), "acme", rotation.Quarantined)
	must(t, err)
	if len(list) != 1 || list[0].ErrorClass != "authentication failed" {
		t.Errorf("quarantined: %+v", list)
	}
	w.model.mu.Lock()
	refusals := w.model.account("password").refusals
	w.model.mu.Unlock()
	if refusals > w.limits.AuthFailures {
		t.Errorf("%d refused logins", refusals)
	}
	plan, err := w.PlanRotation(ctx, core.Operator(), variable("password"))
	must(t, err)
	if plan.Accepted || plan.Problem == "" || plan.Target != "model.example:1 user password" {
		t.Errorf("plan: %+v", plan)
	}
	must(t, w.SetSecret(ctx, core.Operator(), variable("password"), secret.FromString("changed at the target")))
	w.settles("password", rotation.Idle, 5)
	if !w.model.works("password", w.value("password")) {
		t.Error("the published value does not work")
	}
	must(t, w.AdoptRotation(ctx, core.Operator(), variable("password")))
	events, err := w.RotationHistory(ctx, core.Operator(), variable("password"))
	must(t, err)
	if last := events[len(events)-1]; last.Event != "adopted" || len(events) > 64 {
		t.Errorf("%d events, the last %+v", len(events), last)
	}
}

func TestAnotherTargetSuspendsUntilSomebodyResumes(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	held := w.value("password")
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/poison: elsewhere"}})
	must(t, w.RotateNow(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Suspended, 2)
	if !w.model.works("password", held) {
		t.Error("the value was used on the other target")
	}
	must(t, w.ResumeRotation(ctx, core.Operator(), variable("password")))
	must(t, w.RotateNow(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Idle, 3)
}

// Whoever may change an address need not be allowed to have the password. It goes to no
// other target than the one that it was handed over for, however long ago that was.
func TestAValueThatWaitsIsBoundToItsTarget(t *testing.T) {
	operator, password := core.Operator(), variable("password")
	for _, c := range []struct {
		name  string
		lines []string
		steer func(w *world)
	}{
		{"kept", []string{"rotation/ttl: P1D", "rotation/initial: keep"}, nil},
		{"by hand only", nil, nil},
		{"adopted", nil, func(w *world) { must(t, w.AdoptRotation(ctx, operator, password)) }},
		{"resumed", nil, func(w *world) {
			w.declare(map[string][]string{"password": {"rotation/model/poison: another"}})
			must(t, w.RotateNow(ctx, operator, password))
			w.settles("password", rotation.Suspended, 1)
			must(t, w.ResumeRotation(ctx, operator, password))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.declare(map[string][]string{"password": c.lines})
			w.start()
			w.handOver("password", "first")
			w.settles("password", rotation.Idle, 1)
			if c.steer != nil {
				c.steer(w)
			}
			w.declare(map[string][]string{"password": append(c.lines, "rotation/model/poison: elsewhere")})
			w.model.gate = func(call, _ string) error { t.Errorf("%s at the other target", call); return nil }
			plan, err := w.PlanRotation(ctx, operator, password)
			must(t, err)
			if plan.Accepted || !strings.Contains(plan.Problem, "has changed from") || !strings.Contains(plan.Target, "elsewhere") {
				t.Errorf("plan: %+v", plan)
			}
			must(t, w.RotateNow(ctx, operator, password))
			w.settles("password", rotation.Suspended, 1)
			must(t, w.ResumeRotation(ctx, operator, password))
			w.settles("password", rotation.Idle, 1)
			if s := w.status("password"); !strings.Contains(s.Identity, "elsewhere") {
				t.Errorf("resumed: %+v", s)
			}
		})
	}
}

// A target that keeps two values and was restored from a backup has an old one again. The
// rotation that mends that also ends it, since nobody else will.
func TestAValueThatCameBackIsEnded(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/grace: PT1H", "rotation/model/mode: issue"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Retiring, 2)
	w.model.set("password", "first")
	must(t, w.RotateNow(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Retiring, 3)
	if !w.model.works("password", "first") {
		t.Error("the value that came back has no grace")
	}
	w.later(2 * time.Hour)
	w.settles("password", rotation.Idle, 3)
	if w.model.works("password", "first") || !w.model.works("password", w.value("password")) {
		t.Error("the value that came back goes on for ever, or the published one does not work")
	}
}

// TestATargetIsNotCrowded: of many rotations on one address so many call it at once as may.
func TestATargetIsNotCrowded(t *testing.T) {
	w := newWorld(t)
	var here, most atomic.Int32
	w.model.gate = func(string, string) error {
		most.Store(max(most.Load(), here.Add(1)))
		time.Sleep(time.Millisecond)
		here.Add(-1)
		return nil
	}
	w.options.PerTarget = 2
	variables := map[string][]string{}
	for i := range 20 {
		variables[fmt.Sprintf("v%d", i)] = []string{"rotation/ttl: P1D"}
	}
	w.declare(variables)
	for name := range variables {
		w.handOver(name, "first-of-"+name)
	}
	w.start()
	for name := range variables {
		w.settles(name, rotation.Idle, 2)
	}
	if n := most.Load(); n < 1 || n > 2 {
		t.Errorf("%d calls at once", n)
	}
}

func TestReconcileAndPrivilegedAccountsMendWhatNobodyKnows(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D", "rotation/model/mode: admin"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	w.model.set("password", "nobody knows")
	must(t, w.ReconcileRotation(ctx, core.Operator(), variable("password")))
	w.settles("password", rotation.Idle, 3)
	if !w.model.works("password", w.value("password")) {
		t.Error("it was not mended")
	}
}

func TestReconcileWithoutAnAdministratorIsRefused(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.handOver("password", "first")
	err := w.ReconcileRotation(ctx, core.Operator(), variable("password"))
	var told *fault.Error
	if !errors.As(err, &told) || told.Kind != fault.Conflict || !strings.Contains(told.Message, string(variable("password"))) || !strings.Contains(told.Advice, "rotation/model/password/admin-") {
		t.Errorf("%#v", err)
	}
	if s := w.status("password"); s.Reconcile || !s.RequestedAt.IsZero() {
		t.Errorf("it is asked for all the same: %+v", s.Rotation)
	}
}

func TestAPolicyWithUselessAnnotationsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.kinds["model/key"], w.kinds["other/key"] = w.model, w.model
	for annotation, want := range map[string]string{
		"rotation/ttl: 30 days":               "rotation/ttl",
		"rotation/schedule: every day":        "rotation/schedule",
		"rotation/model/length: many":         "rotation/model/length",
		"rotation/tll: P1D":                   "rotation/tll",
		"rotation/ttl: PT0.9S":                "rotation/ttl",
		"rotation/other/key/length: 20":       "rotation/other/key/length",
		"rotation/model/key/length: 20":       "rotation/model/key/length",
		"rotation/initial: never":             "rotation/initial",
		"rotation/window: PT1H":               "rotation/window",
		"rotation/grace-mode: before":         "rotation/grace-mode",
		"rotation/rotator: oracle/password\n": "rotation/rotator",
	} {
		text := strings.Replace(declaration(map[string][]string{"password": {annotation}}), "      rotation/rotator: model/password\n", "", 1)
		if !strings.Contains(annotation, "rotator") {
			text = declaration(map[string][]string{"password": {annotation}})
		}
		_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, []byte(text))
		if !fault.Is(err, fault.PolicyInvalid) || !strings.Contains(fmt.Sprint(err), "'"+want+"'") {
			t.Errorf("%s: %v", annotation, err)
		}
	}
}

// TestPoisonHarmsNoOther: of 1,000 variables ten are poisoned in each known way; the others
// rotate as if nothing were.
// What was to rotate and would not, since no rotator is named or no value is there, is
// told when the policy is loaded, for nothing else would ever tell.
func TestAnnotationsWithoutARotatorAreRefused(t *testing.T) {
	w := newWorld(t)
	for text, want := range map[string]string{
		"- !variable { id: x, annotations: { rotation/rotators: model/password } }": "Did you mean rotation/rotator?",
		"- !variable { id: x, annotations: { rotation/ttl: P1D } }":                 "Add rotation/rotator",
		"- !variable { id: x, annotations: { rotation/model/length: 20 } }":         "Add rotation/rotator",
		"- !host { id: x, annotations: { rotation/rotator: model/password } }":      "Move it to the variable",
		"- !variable { id: x, annotations: { description: rotation/ttl } }":         "",
		"- !host { id: x, annotations: { rotation/note: by hand } }":                "",
	} {
		_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, []byte(text))
		var e *fault.Error
		switch {
		case want == "" && err != nil, want != "" && (!errors.As(err, &e) || e.Kind != fault.PolicyInvalid || !strings.Contains(e.Advice, want)):
			t.Errorf("%s: %+v", text, err)
		}
	}
}

func TestPoisonHarmsNoOther(t *testing.T) {
	poisons := []string{"siblings panic", "bind panics", "bind refuses", "candidate panics",
		"apply panics", "apply hangs", "apply hangs for ever", "apply refuses", "apply refuses the value", "apply is unreachable", "apply fails to log in", "apply breaks off",
		"probe panics", "probe hangs", "probe hangs for ever", "probe refuses", "probe is unreachable", "probe breaks off",
		"retire panics", "retire hangs", "retire refuses"}
	w := newWorld(t)
	variables := map[string][]string{}
	for i := range 1000 {
		lines := []string{"rotation/ttl: P1D"}
		if i < 10*len(poisons) {
			lines = append(lines, "rotation/model/poison: "+poisons[i/10])
		}
		variables[fmt.Sprintf("v%d", i)] = lines
	}
	w.declare(variables)
	w.options.PerTarget = 8
	for name := range variables {
		w.handOver(name, "first-of-"+name)
	}
	begun := time.Now()
	w.start()
	w.eventually("all others have rotated", func() bool {
		for i := 10 * len(poisons); i < 1000; i++ {
			if s := w.status(fmt.Sprintf("v%d", i)); s.State != rotation.Idle || s.Rotation.Version != 2 {
				return false
			}
		}
		return true
	})
	t.Logf("%d others rotated beside %d ways of poison in %s", 1000-10*len(poisons), len(poisons), time.Since(begun).Round(time.Millisecond))
	for i := range 10 * len(poisons) {
		s := w.status(fmt.Sprintf("v%d", i))
		published := s.Rotation.Version == 2
		if wants := strings.HasPrefix(poisons[i/10], "retire"); published && !wants {
			t.Errorf("%s: a poisoned rotation was published: %+v", poisons[i/10], s)
		}
	}
}

// TestStoppingFinishesWhatTheTargetHasHeardOf: until then readers have a dead value.
func TestStoppingFinishesWhatTheTargetHasHeardOf(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P1D"}})
	w.patient(10 * time.Second)
	applied, goOn := make(chan struct{}), make(chan struct{})
	w.model.after = func(call, _ string) error {
		if call == "apply" {
			close(applied)
			<-goOn
		}
		return nil
	}
	w.start()
	w.handOver("password", "first")
	<-applied
	halted := make(chan struct{})
	go func() { w.halt(); close(halted) }()
	close(goOn)
	<-halted
	if s := w.status("password"); s.Rotation.Version != 2 {
		t.Errorf("stopped before it was published: %+v", s)
	}
	if !w.model.works("password", w.value("password")) {
		t.Error("the published value does not work")
	}
}
