package gcp_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/gcp"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/gcptest"
)

const prefix = "rotation/gcp/service-account-key/"

// The server of these tests.
var (
	api       *gcptest.Cloud
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1"); err != nil { // must not matter
			return err
		}
		authority = site.Authority
		api, err = gcptest.Start(site)
		return err
	})
}

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	value := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	elsewhere := strings.Replace(api.URL, "localhost", "127.0.0.1", 1)
	targettest.Issuing{
		Kind:   gcp.Kind(),
		Server: "a server of our own that checks assertions and does what Google documents; no cloud",
		Without: targettest.Without{
			targettest.RefusedValue: "the cloud makes the key",
			targettest.HostileUsers: "the name is in the key file, and what is no key file is refused",
			targettest.StatementLog: "a server of our own has none",
		},
		Modes:    []targettest.Mode{targettest.Self, targettest.Admin},
		Account:  api.Account,
		Endpoint: "iam-endpoint",
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": targettest.Fails(value("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     targettest.Fails(func(a targettest.Account) { a.Annotations[prefix+"token-endpoint"] = elsewhere }, target.Refused, "another host"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that is none": targettest.Fails(value("ca", "trust me"), target.Refused, "PEM"),
			"an administrator without a key": targettest.Fails(func(a targettest.Account) {
				a.Annotations[prefix+"admin-key"], a.Values["admin"] = "admin", `{"type":"authorized_user"}`
			}, target.Refused, "key file"),
		},
	}.Run(t)
}

func bind(t *testing.T, a targettest.Account) target.Target {
	t.Helper()
	return targettest.Bind(t, gcp.Kind(), a)
}

func TestAnAdministratorNeedsNoKeyThatWorksAndHasToLogIn(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Admin})
	made, err := bind(t, a.Account).Apply(t.Context(), a.Wrong, nil)
	if err != nil || !a.Holds(made) {
		t.Fatal(err)
	}
	a.Values["/admin/key"] = a.Wrong[target.Main].RevealString()
	_, err = bind(t, a.Account).Apply(t.Context(), a.Current, nil)
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "admin-key") {
		t.Errorf("%v, want a refusal that names the annotation", err)
	}
}

func TestWhatIsNoKeyFileIsRefused(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Self})
	good := a.Current[target.Main].RevealString()
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "secret", "a list": "[]",
		"a user's":           strings.Replace(good, "service_account", "authorized_user", 1),
		"an email with path": strings.Replace(good, "@project", "/keys?x=@project", 1),
		"an id with path":    strings.Replace(good, gcptest.ID(a.Current), "../x", 1),
		"no private key":     strings.Replace(good, "BEGIN PRIVATE", "BEGIN PUBLIC", 1),
		"half a private key": strings.Replace(good, "MII", "AAA", 1),
	} {
		err := bind(t, a.Account).Probe(t.Context(), gcptest.Credential([]byte(text)))
		if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "key file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheKeyOfAnotherAccountIsNotRetired(t *testing.T) {
	a, b := api.Account(t, targettest.IssuingAsk{Mode: targettest.Self}), api.Account(t, targettest.IssuingAsk{Mode: targettest.Self})
	err := bind(t, a.Account).Retire(t.Context(), a.Current, b.Current)
	if target.ClassOf(err) != target.Refused || !b.Holds(b.Current) {
		t.Error(err)
	}
}

func TestWhatTheAPISaysHasAClass(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Self})
	made := bind(t, a.Account)
	apply := func(ctx context.Context) error { _, err := made.Apply(ctx, a.Current, nil); return err }
	login := func(ctx context.Context) error { return made.Probe(ctx, a.Current) }
	status := func(s string) string { return `{"error":{"status":"` + s + `"}}` }
	for _, test := range []struct {
		method, path string
		call         func(context.Context) error
		status       int
		body         string
		class        target.Class
		words        string
	}{
		{"POST", "/token", login, 400, `{"error":"invalid_grant","error_description":"Token must be in a reasonable timeframe"}`, target.Refused, "clock"},
		{"POST", "/token", login, 400, `{"error":"invalid_grant"}`, target.AuthFailed, "does not accept"},
		{"POST", "/token", login, 401, `{"error":"unauthorized_client"}`, target.Refused, "401"},
		{"POST", "/token", login, 503, ``, target.Unreachable, "503"},
		{"POST", "/token", login, 200, `{}`, target.Refused, "no token"},
		{"POST", "/token", login, 200, `<html>`, target.Unreachable, "something else"},
		{"POST", "/keys", apply, 429, status("RESOURCE_EXHAUSTED"), target.Unreachable, "now"},
		{"POST", "/keys", apply, 409, status("ABORTED"), target.Unreachable, "now"},
		{"POST", "/keys", apply, 400, status("FAILED_PRECONDITION"), target.Refused, "disableServiceAccountKeyCreation"},
		{"POST", "/keys", apply, 503, status("UNAVAILABLE"), target.Uncertain, "503"},
		{"POST", "/keys", apply, 500, `<html>`, target.Uncertain, "500"},
		{"POST", "/keys", apply, 200, `{}`, target.Uncertain, "without a key"},
		{"GET", "/keys", apply, 404, status("NOT_FOUND"), target.Refused, "no service account"},
		{"GET", "/keys", apply, 401, status("UNAUTHENTICATED"), target.Unreachable, "token"},
		{"GET", "/keys", apply, 500, status("INTERNAL"), target.Unreachable, "500"},
		{"GET", "/keys", apply, 302, ``, target.Refused, "redirects are not followed"},
	} {
		api.Lock()
		api.Say = func(r *http.Request) (int, string) {
			if r.Method == test.method && strings.HasSuffix(r.URL.Path, test.path) {
				return test.status, test.body
			}
			return 0, ""
		}
		api.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := test.call(ctx)
		cancel()
		if target.ClassOf(err) != test.class || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s %s answers %d %s: %v, want %v with %q", test.method, test.path, test.status, test.body, err, test.class, test.words)
		}
	}
	api.Lock()
	api.Say = nil
	api.Unlock()
	if keys := a.Keys(); len(keys) != 1 {
		t.Errorf("the account has %d keys", len(keys))
	}
}
