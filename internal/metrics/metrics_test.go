package metrics_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rekey/internal/metrics"
)

func text(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	var b strings.Builder
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNothingCountsNothing(t *testing.T) {
	var m *metrics.Metrics
	m.Request("getSecret", 200, time.Second)
	m.Exception("getSecret", "internal")
	m.Commit(1, time.Second, nil)
	m.Cached(true)
	m.Audited(1, nil)
	m.RotationBegins()()
	m.Rotated("postgresql/password", time.Second)
	m.RotationFailed("postgresql/password", "refused")
	m.Checked("postgresql/password", "drifted")
	m.Unacknowledged("postgresql/password")
	m.Observe(func() metrics.State { panic("it is not looked up") })
}

func TestWhatIsCountedIsWritten(t *testing.T) {
	m := metrics.New()
	m.Request("getSecret", 200, 30*time.Millisecond)
	m.Exception("getSecret", "defect")
	m.Commit(5, 3*time.Millisecond, nil)
	m.Commit(1, time.Second, errors.New("the disk is full"))
	m.Cached(false)
	m.Audited(3, nil)
	m.Audited(1, errors.New("the disk is full"))
	end := m.RotationBegins()
	m.RotationBegins()()
	m.Rotated("redis/password", 2*time.Second)
	m.RotationFailed("redis/password", "unreachable")
	m.Checked("redis/password", "drifted")
	m.Unacknowledged("redis/password")
	m.Observe(func() metrics.State {
		return metrics.State{Resources: map[string]int{"variable": 7}, Roles: map[string]int{"host": 4}, Rotations: map[string]int{"drifted": 2},
			Authenticators: map[string]map[string]int{"authn": {"enabled": 1}}, Due: 3, Overdue: 1, OldestOverdue: time.Minute}
	})
	got := text(t, m)
	for _, line := range []string{
		`conjur_http_server_requests_total{code="200",operation="getSecret"} 1`,
		`conjur_http_server_request_duration_seconds_bucket{operation="getSecret",le="0.025"} 0`,
		`conjur_http_server_request_duration_seconds_bucket{operation="getSecret",le="0.05"} 1`,
		`conjur_http_server_request_exceptions_total{exception="defect",message="",operation="getSecret"} 1`,
		`rekey_store_commit_sets_bucket{le="4"} 0`,
		`rekey_store_commit_sets_bucket{le="8"} 1`,
		`rekey_store_commit_failures_total 1`,
		`rekey_value_cache_misses_total 1`,
		`rekey_audit_records_total 3`,
		`rekey_audit_failures_total 1`,
		`rekey_rotations_in_flight 1`,
		`rekey_rotations_succeeded_total{rotator="redis/password"} 1`,
		`rekey_rotations_failed_total{class="unreachable",rotator="redis/password"} 1`,
		`rekey_rotation_checks_total{outcome="drifted",rotator="redis/password"} 1`,
		`rekey_rotations_unacknowledged_total{rotator="redis/password"} 1`,
		`conjur_resource_count{kind="variable"} 7`,
		`conjur_role_count{kind="host"} 4`,
		`conjur_server_authenticator{status="enabled",type="authn"} 1`,
		`rekey_rotation_variables{state="drifted"} 2`,
		`rekey_rotations_due 3`,
		`rekey_rotations_overdue 1`,
		`rekey_rotation_overdue_age_seconds 60`,
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	end()
	if !strings.Contains(text(t, m), "\nrekey_rotations_in_flight 0\n") {
		t.Error("what has ended is still in flight")
	}
}
