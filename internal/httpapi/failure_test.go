package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/policy"
)

func TestFailures(t *testing.T) {
	cases := []struct {
		name   string
		err    error
		status int
		body   string // "" for none
		v2     string // body where the second version of the protocol is asked for; "" for the same
	}{
		{"unauthenticated", fault.New(fault.Unauthenticated, "for the log"), 401, ``, ``},
		{"unauthenticated, public", &fault.Error{Kind: fault.Unauthenticated, Message: "Credential strength is insufficient", Public: true},
			401, `{"error":{"code":"unauthorized","message":"Credential strength is insufficient"}}`, `-`},
		{"forbidden", fault.New(fault.Forbidden, "for the log"), 403, ``, ``},
		{"record not found", &fault.Error{Kind: fault.NotFound, ID: "acme:host_factory:app/x"},
			404, `{"error":{"code":"not_found","message":"Host_factory 'app/x' not found in account 'acme'","target":"host_factory",` +
				`"details":{"code":"not_found","target":"id","message":"acme:host_factory:app/x"}}}`,
			`{"code":"404","message":"Host_factory 'app/x' not found in account 'acme'"}`},
		{"record not found, in other words", &fault.Error{Kind: fault.NotFound, Message: "Account 'x' not found", Target: "account", ID: "x"},
			404, `{"error":{"code":"not_found","message":"Account 'x' not found","target":"account","details":{"code":"not_found","target":"id","message":"x"}}}`,
			`{"code":"404","message":"Account 'x' not found"}`},
		{"not found", fault.New(fault.NotFound, "CONJ00076E Variable acme:variable:x is empty or not found."),
			404, `{"error":{"code":"not_found","message":"CONJ00076E Variable acme:variable:x is empty or not found."}}`,
			`{"code":"404","message":"CONJ00076E Variable acme:variable:x is empty or not found."}`},
		{"not allowed", fault.New(fault.NotAllowed, "no"), 405, `{"error":{"code":"method_not_allowed","message":"no"}}`, ``},
		{"not acceptable", fault.New(fault.NotAcceptable, "no"), 406, `{"error":{"code":"not_acceptable","message":"no"}}`, ``},
		{"record exists", &fault.Error{Kind: fault.Conflict, Target: "account", ID: "acme"},
			409, `{"error":{"code":"conflict","message":"account \"acme\" already exists","target":"account","details":{"code":"conflict","target":"id","message":"acme"}}}`,
			`{"code":"409","message":"account \"acme\" already exists"}`},
		{"conflict", fault.New(fault.Conflict, "again"), 409, `{"error":{"code":"conflict","message":"again"}}`, `{"code":"409","message":"again"}`},
		{"busy", fault.New(fault.Busy, "Concurrent policy load in progress, please retry"),
			409, `{"error":{"code":"policy_conflict","message":"Concurrent policy load in progress, please retry"}}`, ``},
		{"too large", fault.New(fault.TooLarge, "too much"), 413, `{"error":{"code":"payload_too_large","message":"too much"}}`, ``},
		{"argument", fault.New(fault.Argument, "<privilege>"), 422, `{"error":{"code":"argument_error","message":"\u003cprivilege\u003e"}}`, ``},
		{"invalid", fault.New(fault.Invalid, "no"), 422, `{"error":{"code":"unprocessable_entity","message":"no"}}`, `{"code":"422","message":"no"}`},
		{"validation", &fault.Error{Kind: fault.Validation, Target: "password", Message: "CONJ00046E weak"},
			422, `{"error":{"code":"validation_failed","message":"password CONJ00046E weak","details":[{"code":"validation_failed","target":"password","message":"CONJ00046E weak"}]}}`, ``},
		{"policy, meaning", fault.New(fault.PolicyInvalid, "Group 'zz' not found in account 'acme'"),
			422, `{"error":{"code":"policy_invalid","message":"Group 'zz' not found in account 'acme'"}}`, ``},
		{"policy, with a place", &fault.Error{Kind: fault.PolicyInvalid, Message: "no", Line: 2, Column: 8},
			422, `{"error":{"code":"policy_invalid","message":"no","innererror":{"code":"policy_invalid","filename":"policy","line":2,"column":8}}}`, ``},
		{"policy, a statement", &fault.Error{Kind: fault.PolicyInvalid, Message: "No such attribute 'foo' on type User", Line: 2, Column: 8, Cause: policy.ErrStatement},
			422, `{"error":{"code":"policy_invalid","message":"Error at line 2, column 8 in policy : No such attribute 'foo' on type User",` +
				`"innererror":{"code":"policy_invalid","filename":"policy","line":2,"column":8}}}`, ``},
		{"bad request", fault.New(fault.BadRequest, ""), 400, ``, ``},
		{"bad request that says why", fault.New(fault.BadRequest, "no JSON"), 400, `{"error":{"code":"bad_request","message":"no JSON"}}`, `{"code":"400","message":"no JSON"}`},
		{"unavailable", fault.New(fault.Unavailable, "the store does not answer"), 503, `{"error":{"code":"unavailable","message":"the store does not answer"}}`, ``},
		{"advice stands beside the message", &fault.Error{Kind: fault.Argument, Message: "no", Advice: "do"}, 422, `{"error":{"code":"argument_error","message":"no","advice":"do"}}`, ``},
		{"wrapped", fmt.Errorf("context: %w", fault.New(fault.Argument, "privilege")), 422, `{"error":{"code":"argument_error","message":"privilege"}}`, ``},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := failureOf(c.err, false)
			if got.status != c.status || string(got.body) != c.body || got.v2 || got.fallback {
				t.Errorf("%d %s", got.status, got.body)
			}
			want := c.v2
			switch want {
			case "":
				want = c.body
			case "-":
				want = ""
			}
			got = failureOf(c.err, true)
			if got.status != c.status || string(got.body) != want || got.v2 != (want != c.body && want != "") {
				t.Errorf("second version: %d %s", got.status, got.body)
			}
		})
	}
}

func TestInternalFailuresTellNothing(t *testing.T) {
	for _, err := range []error{errors.New("disk"), fault.New(fault.Internal, "disk"), fault.Wrap(errors.New("disk"), "reading"), &fault.Error{Kind: 99, Message: "disk"}} {
		if f := failureOf(err, false); f.status != 500 || !f.fallback || f.body != nil {
			t.Errorf("%v: %+v", err, f)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for range 100 {
		seconds, err := strconv.Atoi(failureOf(fault.New(fault.Busy, ""), false).retryAfter)
		if err != nil || seconds < 1 || seconds > 8 {
			t.Fatal(seconds, err)
		}
	}
	if failureOf(fault.New(fault.Conflict, ""), false).retryAfter != "" {
		t.Error("an ordinary conflict is not mended by waiting")
	}
}

func TestRecordNotFound(t *testing.T) {
	for id, want := range map[string]string{
		"acme:variable:app/x": "Variable 'app/x' not found in account 'acme'",
		"acme:USER:x":         "User 'x' not found in account 'acme'",
		"acme:variable:a:b":   "Variable 'a:b' not found in account 'acme'",
		"user:x":              "X '' not found in account 'user'",
		"":                    "Unknown kind '' not found in account 'unknown account'",
	} {
		if got := recordNotFound(id); got != want {
			t.Errorf("%q: %s", id, got)
		}
	}
	if got := string(failureOf(&fault.Error{Kind: fault.NotFound, ID: "x", Message: "m"}, false).body); got !=
		`{"error":{"code":"not_found","message":"m","target":null,"details":{"code":"not_found","target":"id","message":"x"}}}` {
		t.Error(got)
	}
}
