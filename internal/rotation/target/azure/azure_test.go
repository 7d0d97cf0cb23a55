package azure_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/azure"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/azuretest"
	"rekey/internal/secret"
)

const prefix = "rotation/azure/client-secret/"

// The server of these tests.
var (
	api       *azuretest.Cloud
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1"); err != nil { // must not matter
			return err
		}
		authority = site.Authority
		api, err = azuretest.Start(site)
		return err
	})
}

func id(c target.Credential) string { return c[azure.KeyID].RevealString() }

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	value := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	annotation := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Annotations[prefix+name] = value }
	}
	elsewhere := strings.Replace(api.URL, "localhost", "127.0.0.1", 1)
	targettest.Issuing{
		Kind:   azure.Kind(),
		Server: "a server of our own that does what Microsoft documents; no cloud",
		Without: targettest.Without{
			targettest.RefusedValue: "the cloud makes the key",
			targettest.StatementLog: "a server of our own has none",
		},
		Modes:    []targettest.Mode{targettest.Self, targettest.Admin},
		Account:  api.Account,
		Endpoint: "graph-endpoint",
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": targettest.Fails(value("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     targettest.Fails(annotation("login-endpoint", elsewhere), target.Refused, "another host"),
		},
		Hostile: map[string]targettest.Elsewhere{
			"a tenant that is none":       targettest.Fails(value("tenant_id", "a/b"), target.Refused, "tenant"),
			"an application that is none": targettest.Fails(value("client_id", "app') or ('"), target.Refused, "client id"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that is none": targettest.Fails(value("ca", "trust me"), target.Refused, "PEM"),
			"another tenant":            targettest.Fails(value("tenant_id", "fabrikam.onmicrosoft.com"), target.Refused, "AADSTS90002"),
			"another application":       targettest.Fails(value("client_id", "11111111-2222-3333-4444-555555555555"), target.Refused, "AADSTS700016"),
			"half an administrator":     targettest.Fails(annotation("admin-client-id", "admin/id"), target.Refused, "nothing without"),
		},
	}.Run(t)
}

func bind(t *testing.T, a targettest.Account) target.Target {
	t.Helper()
	return targettest.Bind(t, azure.Kind(), a)
}

func TestAnAdministratorNeedsNoSecretThatWorksAndHasToLogIn(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Admin})
	unknown := target.Credential{target.Main: secret.FromString("unknown"), azure.KeyID: a.Current[azure.KeyID]}
	made, err := bind(t, a.Account).Apply(t.Context(), unknown, nil)
	if err != nil || !a.Holds(made) {
		t.Fatal(err)
	}
	a.Values["admin/secret"] = "wrong"
	_, err = bind(t, a.Account).Apply(t.Context(), a.Current, nil)
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "admin-client-secret") {
		t.Errorf("%v, want a refusal that names the variables", err)
	}
}

func TestASecretWithoutItsIDIsRefused(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Self})
	_, err := bind(t, a.Account).Apply(t.Context(), target.Credential{target.Main: a.Current[target.Main]}, nil)
	if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), azure.KeyID) || len(a.Keys()) != 1 {
		t.Error(err)
	}
}

func TestASecretIsGoodForAsLongAsIsSaid(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Self})
	for _, test := range []struct {
		lifetime string
		want     time.Duration // 0: nothing is said
	}{{"", 0}, {"P180D", 180 * 24 * time.Hour}} {
		if test.lifetime != "" {
			a.Annotations[prefix+"lifetime"] = test.lifetime
		}
		made, err := bind(t, a.Account).Apply(t.Context(), a.Current, nil)
		if err != nil {
			t.Fatal(err)
		}
		api.Lock()
		secrets := api.Apps[strings.TrimSpace(a.Values["client_id"])].Secrets
		end := secrets[len(secrets)-1].End
		api.Unlock()
		at, err := time.Parse(time.RFC3339, end)
		if (test.want == 0) != (end == "") || test.want != 0 && (err != nil || time.Until(at.Add(-test.want)).Abs() > time.Minute) {
			t.Errorf("%s: secret %s ends at %q", test.lifetime, id(made), end)
		}
	}
	for _, text := range []string{"180 days", "P0D"} {
		_, err := azure.Kind().Bind(target.Binding{Annotations: map[string]string{prefix + "lifetime": text}, Values: map[string]secret.Bytes{
			"tenant_id": secret.FromString(azuretest.Tenant), "client_id": secret.FromString("11111111-2222-3333-4444-555555555555")}})
		if target.ClassOf(err) != target.Refused {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatTheAPISaysHasAClass(t *testing.T) {
	a := api.Account(t, targettest.IssuingAsk{Mode: targettest.Self})
	made := bind(t, a.Account)
	apply := func(ctx context.Context) error { _, err := made.Apply(ctx, a.Current, nil); return err }
	login := func(ctx context.Context) error { return made.Probe(ctx, a.Current) }
	for _, test := range []struct {
		at     string
		call   func(context.Context) error
		status int
		body   string
		class  target.Class
		words  string
	}{
		{"/token", login, 401, `{"error":"invalid_client","error_codes":[7000222]}`, target.AuthFailed, "does not accept"},
		{"/token", login, 401, `{"error":"invalid_client","error_codes":[7000112]}`, target.Refused, "AADSTS7000112"},
		{"/token", login, 429, `{"error":"too_many","error_codes":[50196]}`, target.Unreachable, "too often"},
		{"/token", login, 503, `{"error":"temporarily_unavailable"}`, target.Unreachable, "now"},
		{"/token", login, 502, `<html>`, target.Unreachable, "502"},
		{"/token", login, 200, `<html>`, target.Unreachable, "something else"},
		{"/token", login, 200, `{}`, target.Refused, "no token"},
		{"/token", login, 307, ``, target.Refused, "redirects are not followed"},
		{"/addPassword", apply, 429, `{"error":{"code":"TooManyRequests"}}`, target.Unreachable, "too often"},
		{"/addPassword", apply, 500, `{"error":{"code":"InternalServerError"}}`, target.Uncertain, "500"},
		{"/addPassword", apply, 409, `{"error":{"code":"Directory_ConcurrencyViolation"}}`, target.Unreachable, "somebody else"},
		{"/addPassword", apply, 200, `{}`, target.Uncertain, "without a client secret"},
		{"/addPassword", apply, 200, strings.Repeat(" ", 2<<20), target.Uncertain, "after the change"},
		{"/addPassword", apply, 400, `{"error":{"code":"CredentialInvalidLifetimeAsPerAppPolicy"}}`, target.Refused, "lifetime"},
		{"/addPassword", apply, 400, `{"error":{"code":"CredentialTypeNotAllowedAsPerAppPolicy"}}`, target.Refused, "policy"},
		{"')", apply, 404, `{"error":{"code":"Request_ResourceNotFound"}}`, target.Refused, "no application"},
		{"')", apply, 401, `{"error":{"code":"InvalidAuthenticationToken"}}`, target.Unreachable, "token"},
		{"')", apply, 200, `{}`, target.Refused, "list"},
		{"')", apply, 400, `{"error":{"code":"x"}}`, target.Refused, "400"},
	} {
		api.Lock()
		api.Say = func(path string) (int, string) {
			if strings.HasSuffix(path, test.at) {
				return test.status, test.body
			}
			return 0, ""
		}
		api.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := test.call(ctx)
		cancel()
		if target.ClassOf(err) != test.class || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s answers %d %.40s: %v, want %v with %q", test.at, test.status, test.body, err, test.class, test.words)
		}
	}
	api.Lock()
	api.Say = nil
	api.Unlock()
	if keys := a.Keys(); len(keys) != 1 {
		t.Errorf("the application has %d secrets", len(keys))
	}
}
