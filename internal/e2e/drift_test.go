package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation"
)

// Given roles of a real PostgreSQL server whose passwords somebody changes there, then that
// is noticed by one login; an administrator mends it when a rotation is asked for, while a
// user who rotates alone is in quarantine until somebody writes down what works.
func TestAPasswordThatWasChangedOnTheTarget(t *testing.T) {
	t.Parallel()
	target := newPostgres(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(target.exec("boss", bossPassword, `CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'dba-Password-1';
		CREATE ROLE self LOGIN PASSWORD 'first-Password-1'; CREATE ROLE admin LOGIN PASSWORD 'first-Password-1'`))
	s, key := start(t, "--telemetry-enabled")
	c := newClient(s.url).as(t, "admin", key)
	modes := []string{"self", "admin"}
	policy := "- !policy { id: dba, body: [ !variable username, !variable password ] }\n"
	for _, mode := range modes {
		v := &rotated{name: mode, mode: mode}
		policy += strings.Replace(v.policy(), "rotation/ttl: PT1S", "rotation/ttl: P1D\n      rotation/verify: PT1S", 1)
	}
	c.load(t, "POST", "root", policy)
	set := func(variable, value string) {
		t.Helper()
		c.must(t, http.StatusCreated, "POST", "/secrets/"+account+"/variable/"+url.PathEscape(variable), value)
	}
	path := func(mode, selector string) string {
		return "/rotations/" + account + "/variable/" + url.PathEscape(mode+"/password") + selector
	}
	type status struct {
		State     string
		Version   int
		CheckedAt string `json:"checked_at"`
		Error     *struct{ Class string }
	}
	until := func(mode, state string, version int) (v status) {
		t.Helper()
		for range 3000 {
			v = status{}
			must(json.Unmarshal([]byte(c.must(t, http.StatusOK, "GET", path(mode, ""), "").body), &v))
			if v.State == state && v.Version == version {
				return v
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%s does not become %s at version %d: %+v", mode, state, version, v)
		return v
	}
	published := func(mode string) string {
		t.Helper()
		return c.must(t, http.StatusOK, "GET", "/secrets/"+account+"/variable/"+url.PathEscape(mode+"/password"), "").body
	}
	health := func(want string) {
		t.Helper()
		if got := c.must(t, http.StatusOK, "GET", "/health", ""); !strings.Contains(got.body, `"status":"`+want+`"`) {
			t.Errorf("health: %v, want %s", got, want)
		}
	}

	set("dba/username", "dba")
	set("dba/password", "dba-Password-1")
	for _, mode := range modes {
		set(mode+"/url", fmt.Sprintf("127.0.0.1:%d/postgres?sslmode=disable", target.port))
		set(mode+"/username", mode)
		set(mode+"/password", "first-Password-1")
	}
	for _, mode := range modes {
		until(mode, rotation.Idle, 2)
	}
	health("ok")
	must(target.exec("boss", bossPassword, "ALTER ROLE self PASSWORD 'elsewhere-Password-1'; ALTER ROLE admin PASSWORD 'elsewhere-Password-1'"))
	for _, mode := range modes {
		v := until(mode, rotation.Drifted, 2)
		if v.Error == nil || v.Error.Class != "authentication failed" {
			t.Errorf("%s: %+v", mode, v)
		}
		time.Sleep(1500 * time.Millisecond)
		if again := until(mode, rotation.Drifted, 2); again.CheckedAt != v.CheckedAt {
			t.Errorf("%s: a login that was refused was tried again: %+v, then %+v", mode, v, again)
		}
		c.must(t, http.StatusNoContent, "POST", path(mode, "?rotate"), "")
	}
	until("admin", rotation.Idle, 3)
	if !target.accepts(t, "admin", published("admin")) {
		t.Error("the administrator has not mended it")
	}
	until("self", rotation.Quarantined, 2)
	if !target.accepts(t, "self", "elsewhere-Password-1") {
		t.Error("what was set on the target does not work any more")
	}
	health("degraded")
	metrics := c.must(t, http.StatusOK, "GET", "/metrics", "").body
	for _, line := range []string{`rekey_rotation_variables{state="quarantined"} 1`, `rekey_rotation_checks_total{outcome="drifted",rotator="postgresql/password"} 2`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no line %s", line)
		}
	}

	set("self/password", "elsewhere-Password-1")
	until("self", rotation.Idle, 4)
	if !target.accepts(t, "self", published("self")) {
		t.Error("the published password does not work")
	}
	health("ok")
}
