package engine_test

import (
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// refusals is how many logins of an account the target has refused in a row.
func (w *world) refusals(name string) int {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	return w.model.account(name).refusals
}

func TestAValueThatTheTargetDoesNotAcceptAnyMoreIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P30D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)

	w.later(27 * time.Hour)
	w.eventually("it is tried once a day", func() bool { return !w.status("password").CheckedAt.IsZero() })
	w.settles("password", rotation.Idle, 2)
	logins := func() int { return strings.Count(w.audit.String(), "db/password: checked") }
	w.eventually("it is in the audit", func() bool { return logins() > 0 }) // which follows the change
	if n := logins(); n != 1 {
		t.Errorf("%d logins are in the audit", n)
	}

	published := w.value("password")
	w.model.set("password", "changed at the target")
	w.later(27 * time.Hour)
	w.settles("password", rotation.Drifted, 2)
	s := w.status("password")
	if s.ErrorClass != "authentication failed" || s.ErrorAt.IsZero() || s.Due.Before(w.now()) || w.value("password") != published {
		t.Errorf("%+v", s)
	}
	w.eventually("it is in the audit", func() bool { return strings.Contains(w.audit.String(), "db/password: drifted") })
	events, err := w.RotationHistory(ctx, core.Operator(), variable("password"))
	must(t, err)
	if last := events[len(events)-1]; last.Event != "drifted" || last.Class != "authentication failed" {
		t.Errorf("the history ends with %+v", last)
	}
	w.later(10 * 24 * time.Hour)
	time.Sleep(50 * time.Millisecond)
	if n := w.refusals("password"); n != 1 {
		t.Errorf("%d logins were refused", n)
	}

	must(t, w.SetSecret(ctx, core.Operator(), variable("password"), secret.FromString("changed at the target")))
	w.settles("password", rotation.Idle, 4)
}

func TestATargetThatIsAwayHasNotDrifted(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P30D", "rotation/verify: PT1H"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	w.halt()
	calls := 0
	w.model.gate = func(call, _ string) error {
		calls++
		return target.Errorf(target.Unreachable, nil, "connection refused")
	}
	w.start()
	w.later(2 * time.Hour)
	w.eventually("it was tried", func() bool {
		return strings.Contains(w.audit.String(), "db/password: not checked") && w.status("password").Holder == ""
	})
	time.Sleep(50 * time.Millisecond)
	w.halt()
	if s := w.status("password"); calls != 1 || s.State != rotation.Idle || !s.ErrorAt.IsZero() {
		t.Errorf("%d calls: %+v", calls, s)
	}
}

// A history has its newest lines and no more, whatever steps had none.
func TestAHistoryDoesNotGrowForEver(t *testing.T) {
	w := newWorld(t)
	w.declare(map[string][]string{"password": {"rotation/ttl: P30D"}})
	w.start()
	w.handOver("password", "first")
	w.settles("password", rotation.Idle, 2)
	for i := range 100 {
		must(t, w.ExpireSecret(ctx, core.Operator(), variable("password"))) // a step without a line
		w.settles("password", rotation.Idle, 3+i)
	}
	events, err := w.RotationHistory(ctx, core.Operator(), variable("password"))
	must(t, err)
	if len(events) != 64 {
		t.Errorf("%d lines are kept", len(events))
	}
	for i, e := range events {
		if e.Revision != events[0].Revision+int64(i) {
			t.Fatalf("line %d is number %d", i, e.Revision)
		}
	}
}
