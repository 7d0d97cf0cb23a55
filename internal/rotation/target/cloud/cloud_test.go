package cloud_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

func TestOnlyAKeyMadeRightAfterTheSurveyIsLost(t *testing.T) {
	asked := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	intent := cloud.ReadIntent(cloud.Intent{Known: []string{"current", "foreign"}, Asked: asked}.Credential())
	for _, test := range []struct {
		name, id string
		made     time.Time
		want     bool
	}{
		{"in the same second", "new", asked, true},
		{"a little later", "new", asked.Add(14 * time.Minute), true},
		{"by a clock that is a little slow", "new", asked.Add(-30 * time.Second), true},
		{"much later", "new", asked.Add(16 * time.Minute), false},
		{"before", "new", asked.Add(-2 * time.Minute), false},
		{"but it was there before", "foreign", asked.Add(time.Second), false},
	} {
		if got := intent.Lost(test.id, test.made); got != test.want {
			t.Errorf("%s: lost %v", test.name, got)
		}
	}
	for name, c := range map[string]target.Credential{
		"none": nil, "a credential": {target.Main: secret.FromString("x")}, "one with a time that is none": {"asked": secret.FromString("soon")},
	} {
		if cloud.ReadIntent(c).Lost("new", asked) || cloud.ReadIntent(c).Lost("new", time.Time{}) {
			t.Errorf("by %s, a key is lost", name)
		}
	}
}

func TestSettlingEndsBeforeItsTime(t *testing.T) {
	fresh := target.Credential{cloud.Fresh: secret.FromString("yes")}
	wrong, down := target.Errorf(target.AuthFailed, nil, "no"), target.Errorf(target.Unreachable, nil, "down")
	for _, test := range []struct {
		name    string
		c       target.Credential
		time    time.Duration // 0: no end is set
		answers []error       // the last one again and again
		want    error
		logins  int
	}{
		{"it is known at once", fresh, time.Minute, []error{nil}, nil, 1},
		{"it is known at the third login", fresh, time.Minute, []error{wrong, wrong, nil}, nil, 3},
		{"it is not fresh", target.Credential{}, time.Minute, []error{wrong}, wrong, 1},
		{"it cannot be told", fresh, time.Minute, []error{wrong, down}, down, 2},
		{"there is no time", fresh, time.Second, []error{wrong}, wrong, 1},
		{"there is no end", fresh, 0, []error{wrong}, wrong, 1},
	} {
		ctx, cancel := context.Background(), func() {}
		if test.time > 0 {
			ctx, cancel = context.WithTimeout(ctx, test.time)
		}
		logins := 0
		err := cloud.Settle(ctx, test.c, func() error {
			logins++
			return test.answers[min(logins, len(test.answers))-1]
		})
		cancel()
		if !errors.Is(err, test.want) || logins != test.logins {
			t.Errorf("%s: %v after %d logins, want %v after %d", test.name, err, logins, test.want, test.logins)
		}
	}
}

func TestAnEndpointIsAnHTTPSServerAndNoMore(t *testing.T) {
	for text, want := range map[string]string{
		"https://iam.example.com": "iam.example.com:443", "https://localhost:8443/": "localhost:8443", "https://[::1]:8443": "[::1]:8443",
		"http://iam.example.com": "", "iam.example.com": "", "https://": "", "https://a/b": "", "https://u:p@a": "", "https://a?b": "", "https://a#b": "",
	} {
		u, err := cloud.ParseEndpoint(text)
		if (err != nil) != (want == "") || err == nil && cloud.Address(u) != want {
			t.Errorf("%s: %v, %v; want %q", text, u, err, want)
		}
	}
}

func TestWhatChangesNothingIsNeverUncertain(t *testing.T) {
	err := cloud.Unchanged(target.Errorf(target.Uncertain, nil, "no answer in time"))
	if target.ClassOf(err) != target.Unreachable || err.Error() != "unreachable: no answer in time" {
		t.Error(err)
	}
	refused := target.Errorf(target.Refused, nil, "no")
	if got := cloud.Unchanged(refused); got != error(refused) || cloud.Unchanged(nil) != nil {
		t.Error(got)
	}
}
