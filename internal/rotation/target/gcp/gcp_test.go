package gcp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/gcp"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const prefix = "rotation/gcp/service-account-key/"

// The server of these tests.
var (
	api       *cloud
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1"); err != nil { // must not matter
		return 0, err
	}
	dir, err := targettest.Dir()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if authority, err = targettest.NewAuthority(); err != nil {
		return 0, err
	}
	if api, err = newCloud(); err != nil {
		return 0, err
	}
	var stop func()
	if api.url, stop, err = authority.HTTPS(dir, api); err != nil {
		return 0, err
	}
	defer stop()
	return m.Run(), nil
}

func credential(text []byte) target.Credential {
	return target.Credential{target.Main: secret.New(text)}
}

// id is the key's in a key file.
func id(c target.Credential) string {
	var f struct {
		ID string `json:"private_key_id"`
	}
	if err := json.Unmarshal(c[target.Main].Reveal(), &f); err != nil {
		return "none"
	}
	return f.ID
}

func account(_ *testing.T, ask targettest.IssuingAsk) targettest.IssuingAccount {
	api.mu.Lock()
	defer api.mu.Unlock()
	a := api.create()
	a.delay = ask.Delay
	first := a.keys[0]
	annotations := map[string]string{prefix + "ca": "ca", prefix + "token-endpoint": api.url, prefix + "iam-endpoint": api.url}
	values := map[string]string{"ca": authority.PEM}
	by := a
	if ask.Mode == targettest.Admin {
		by = api.create()
		annotations[prefix+"admin-key"] = "/admin/key"
		values["/admin/key"] = string(file(by, by.keys[0].id, by.keys[0].pair))
	}
	a.managers[by.email] = !ask.Weak
	return targettest.IssuingAccount{
		Account: targettest.Account{Annotations: annotations, Values: values},
		Current: credential(file(a, first.id, first.pair)),
		Wrong:   credential(file(a, first.id, api.wrong())),
		ID:      id,
		Holds: func(c target.Credential) bool {
			api.mu.Lock()
			defer api.mu.Unlock()
			return slices.ContainsFunc(a.keys, func(k *key) bool {
				return k.id == id(c) && bytes.Equal(file(a, k.id, k.pair), c[target.Main].Reveal())
			})
		},
		Keys: func() (all []string) {
			api.mu.Lock()
			defer api.mu.Unlock()
			for _, k := range a.keys {
				all = append(all, k.id)
			}
			return all
		},
		Foreign: func() string {
			api.mu.Lock()
			defer api.mu.Unlock()
			return api.make(a, 0).id
		},
		Remove: func(id string) {
			api.mu.Lock()
			defer api.mu.Unlock()
			a.keys = slices.DeleteFunc(a.keys, func(k *key) bool { return k.id == id })
		},
	}
}

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	value := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	elsewhere := strings.Replace(api.url, "localhost", "127.0.0.1", 1)
	targettest.Issuing{
		Kind:     gcp.Kind(),
		Modes:    []targettest.Mode{targettest.Self, targettest.Admin},
		Account:  account,
		Endpoint: "iam-endpoint",
		Elsewhere: map[string]targettest.Elsewhere{
			"an authority that did not sign": targettest.Fails(value("ca", other.PEM), target.Refused, "unknown authority"),
			"an authority that is none":      targettest.Fails(value("ca", "trust me"), target.Refused, "PEM"),
			"another host's certificate":     targettest.Fails(func(a targettest.Account) { a.Annotations[prefix+"token-endpoint"] = elsewhere }, target.Refused, "another host"),
			"an administrator without a key": targettest.Fails(func(a targettest.Account) {
				a.Annotations[prefix+"admin-key"], a.Values["admin"] = "admin", `{"type":"authorized_user"}`
			}, target.Refused, "key file"),
		},
	}.Run(t)
}

func bind(t *testing.T, a targettest.Account) target.Target {
	t.Helper()
	var d net.Dialer
	values := map[string]secret.Bytes{}
	for name, value := range a.Values {
		values[name] = secret.FromString(value)
	}
	made, err := gcp.Kind().Bind(target.Binding{Annotations: a.Annotations, Values: values, Dial: d.DialContext, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAnAdministratorNeedsNoKeyThatWorksAndHasToLogIn(t *testing.T) {
	a := account(t, targettest.IssuingAsk{Mode: targettest.Admin})
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
	a := account(t, targettest.IssuingAsk{Mode: targettest.Self})
	good := a.Current[target.Main].RevealString()
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "secret", "a list": "[]",
		"a user's":           strings.Replace(good, "service_account", "authorized_user", 1),
		"an email with path": strings.Replace(good, "@project", "/keys?x=@project", 1),
		"an id with path":    strings.Replace(good, id(a.Current), "../x", 1),
		"no private key":     strings.Replace(good, "BEGIN PRIVATE", "BEGIN PUBLIC", 1),
		"half a private key": strings.Replace(good, "MII", "AAA", 1),
	} {
		err := bind(t, a.Account).Probe(t.Context(), credential([]byte(text)))
		if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "key file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheKeyOfAnotherAccountIsNotRetired(t *testing.T) {
	a, b := account(t, targettest.IssuingAsk{Mode: targettest.Self}), account(t, targettest.IssuingAsk{Mode: targettest.Self})
	err := bind(t, a.Account).Retire(t.Context(), a.Current, b.Current)
	if target.ClassOf(err) != target.Refused || !b.Holds(b.Current) {
		t.Error(err)
	}
}

func TestWhatTheAPISaysHasAClass(t *testing.T) {
	a := account(t, targettest.IssuingAsk{Mode: targettest.Self})
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
		api.mu.Lock()
		api.say = func(r *http.Request) (int, string) {
			if r.Method == test.method && strings.HasSuffix(r.URL.Path, test.path) {
				return test.status, test.body
			}
			return 0, ""
		}
		api.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := test.call(ctx)
		cancel()
		if target.ClassOf(err) != test.class || err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s %s answers %d %s: %v, want %v with %q", test.method, test.path, test.status, test.body, err, test.class, test.words)
		}
	}
	api.mu.Lock()
	api.say = nil
	api.mu.Unlock()
	if keys := a.Keys(); len(keys) != 1 {
		t.Errorf("the account has %d keys", len(keys))
	}
}
