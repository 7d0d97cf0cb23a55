package httpapi

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
)

// lines of the metrics, without those of the process and of Go.
func (s *testServer) metrics() string {
	s.Helper()
	return s.call("GET", "/metrics").send().status(200).has("Content-Type", "text/plain; version=0.0.4").body
}

func (s *testServer) measures(lines ...string) {
	s.Helper()
	text := s.metrics()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(text) {
			s.Errorf("the metrics have no line %s in\n%s", line, text)
		}
	}
}

func TestMetricsOfRequestsAndThings(t *testing.T) {
	s := newTestServer(t)
	s.load("- !variable secret-place/name\n- !user mallory\n- !host h\n")
	s.set("secret-place%2Fname", "value-4711")
	s.call("GET", "/secrets/acme/variable/secret-place%2Fname").as(s.admin).is(200, "value-4711")
	s.call("GET", "/secrets/acme/variable/secret-place%2Fname").as(s.admin).is(200, "value-4711")
	s.call("GET", "/secrets/acme/variable/nowhere").as(s.admin).send().status(404)
	s.call("GET", "/somewhere").send().status(401)
	s.measures(
		`conjur_http_server_requests_total\{code="200",operation="getSecret"\} 2`,
		`conjur_http_server_requests_total\{code="404",operation="getSecret"\} 1`,
		`conjur_http_server_requests_total\{code="401",operation="unknown"\} 1`,
		`conjur_http_server_requests_total\{code="201",operation="createSecret"\} 1`,
		`conjur_http_server_request_duration_seconds_count\{operation="getSecret"\} 3`,
		`conjur_http_server_request_duration_seconds_bucket\{operation="loadPolicy",le="10"\} 1`,
		`conjur_resource_count\{kind="variable"\} 1`,
		`conjur_role_count\{kind="host"\} 1`,
		`conjur_server_authenticator\{status="enabled",type="authn"\} 1`,
		`rekey_value_cache_hits_total 2`,
		`rekey_value_cache_misses_total 0`,
		`rekey_store_commit_sets_count [1-9][0-9]*`,
		`rekey_audit_records_total [1-9][0-9]*`,
		`rekey_rotations_due 0`,
		`go_goroutines [1-9][0-9]*`,
	)
	for _, name := range []string{"secret-place", "mallory", "acme", "4711", "nowhere"} {
		if strings.Contains(s.metrics(), name) {
			t.Errorf("the metrics tell of %s", name)
		}
	}
}

func TestMetricsAreText(t *testing.T) {
	s := newTestServer(t)
	s.call("GET", "/metrics").with("Accept", "application/json").is(406, "Supported media types: text/plain")
	for _, accept := range []string{"text/plain", "text/plain; version=0.0.4", "*/*", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"} {
		s.call("GET", "/metrics").with("Accept", accept).send().status(200)
	}
	// Where there are none, nobody learns of the path.
	answer := httptest.NewRecorder()
	New(s.core, Options{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if answer.Code != 401 {
		t.Errorf("without metrics: %d", answer.Code)
	}
}

func TestMetricsAndHealthOfRotations(t *testing.T) {
	s, _, _ := newRotating(t)
	s.call("GET", "/health").is(200, `{"ok":true,"status":"ok","rotation":{"overdue":false,"quarantined":false}}`)
	s.start()
	s.steer("rotate").send().status(204)
	s.until("rotated", func(v rotationView) bool { return v.Version == 2 && v.State == rotation.Idle })
	s.measures(
		`rekey_rotations_succeeded_total\{rotator="memory/password"\} 1`,
		`rekey_rotation_duration_seconds_count\{rotator="memory/password"\} 1`,
		`rekey_rotation_variables\{state="idle"\} 1`,
	)
	s.memory.breaks(target.Errorf(target.AuthFailed, nil, "wrong password"))
	s.steer("rotate").send().status(204)
	s.until("failed", func(v rotationView) bool { return v.Attempts > 0 })
	for s.rotation().State != rotation.Quarantined {
		s.steer("rotate").send() // does not wait for the backoff
	}
	s.measures(
		`rekey_rotations_failed_total\{class="authentication failed",rotator="memory/password"\} [2-5]`,
		`rekey_rotation_variables\{state="quarantined"\} 1`,
		`rekey_rotation_variables\{state="idle"\} 0`,
	)
	s.call("GET", "/health").is(200, `{"ok":true,"status":"degraded","rotation":{"overdue":false,"quarantined":true}}`)
}

// A server that cannot write its audit answers no request, and says so to whoever asks for
// its health, so that requests are sent to another one; and when it can again, though no
// other request has come meanwhile.
func TestHealthTellsThatTheAuditCannotBeWritten(t *testing.T) {
	s := newTestServer(t)
	s.call("GET", "/health").is(200, `{"ok":true,"status":"ok","rotation":{"overdue":false,"quarantined":false}}`)
	s.trail.full.Store(true)
	s.call("GET", "/authn/acme/login").as(basic("admin", s.adminKey)).send().status(503)
	s.call("GET", "/health").is(503, `{"ok":false,"status":"unavailable","rotation":{"overdue":false,"quarantined":false},"unaudited":true}`)
	s.trail.full.Store(false)
	s.call("GET", "/health").is(200, `{"ok":true,"status":"ok","rotation":{"overdue":false,"quarantined":false}}`)
}
