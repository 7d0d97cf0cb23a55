package core_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/secret"
)

const factories = `
- !policy
  id: app
  body:
    - !layer web
    - !host-factory {id: hf, layers: [!layer web]}
- !group staff
`

func (w *world) factoryToken() secret.Bytes {
	w.t.Helper()
	made, err := w.CreateFactoryTokens(ctx, w.admin(), core.FactoryTokens{Factory: "acme:host_factory:app/hf", Expiration: "2050-01-01"})
	must(w.t, err)
	return made[0].Token
}

func TestTheRecordsOfAnEnrolmentNameTheFactoryAndNoToken(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", factories)
	w.audit.take()
	token := w.factoryToken()
	factory, err := w.FactoryCaller(ctx, here, token)
	must(t, err)
	if _, err := w.EnrolHost(ctx, factory, "h1", core.Annotations{{Name: "authn/api-key-max-age", Value: "90 days"}}); status(err) != 422 {
		t.Errorf("an annotation that cannot be read: %v", err)
	}
	host, err := w.EnrolHost(ctx, factory, "h1", core.Annotations{{Name: "a", Value: "b"}})
	must(t, err)
	must(t, w.RevokeFactoryToken(ctx, w.admin(), token))
	if err := w.RevokeFactoryToken(ctx, w.admin(), token); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := w.FactoryCaller(ctx, here, token); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	lines := w.audit.take()
	for _, want := range []string{
		"acme:user:admin successfully created 1 host factory tokens for acme:host_factory:app/hf\n",
		"acme:host_factory:app/hf successfully created acme:host:h1\n",
		"acme:host_factory:app/hf added membership of acme:host:h1 in acme:layer:app/web\n",
		"acme:host_factory:app/hf added annotation a on acme:host:h1\n",
		"acme:user:admin successfully revoked a host factory token of acme:host_factory:app/hf\n",
		"acme:user:admin failed to revoke a host factory token: there is no such host factory token\n",
		"the host factory token is unknown\n",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	if strings.Contains(lines, token.RevealString()) || strings.Contains(lines, host.Key.RevealString()) {
		t.Error("a secret is in the audit")
	}
}

func TestHostsOutliveARestartWithTheirKeysAndTokensWithTheirFactory(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", factories)
	token := w.factoryToken()
	factory, err := w.FactoryCaller(ctx, here, token)
	must(t, err)
	host, err := w.EnrolHost(ctx, factory, "h1", nil)
	must(t, err)
	w.reopen()
	w.as("host/h1", host.Key)
	_, err = w.FactoryCaller(ctx, here, token)
	must(t, err)
	w.load(policy.Modify, "root", "- !delete {record: !host-factory app/hf}")
	if _, err := w.FactoryCaller(ctx, here, token); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	if _, err := w.Resource(ctx, w.admin(), "acme:host:h1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the host outlived its owner: %v", err)
	}
}

func TestATokenExpiresAndIsForgottenWhenNewOnesAreMade(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", factories)
	hf := ident.ID("acme:host_factory:app/hf")
	made, err := w.CreateFactoryTokens(ctx, w.admin(), core.FactoryTokens{Factory: hf, Expiration: w.now.Add(time.Minute).Format(time.RFC3339)})
	must(t, err)
	_, err = w.FactoryCaller(ctx, here, made[0].Token)
	must(t, err)
	w.now = w.now.Add(time.Minute)
	if _, err := w.FactoryCaller(ctx, here, made[0].Token); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	w.factoryToken()
	shown, err := w.Resource(ctx, w.admin(), hf)
	must(t, err)
	if len(shown.Tokens) != 1 || shown.Tokens[0].Token.Equal(made[0].Token) {
		t.Errorf("%d tokens are left", len(shown.Tokens))
	}
}

// Many may ask for the same host at once: whoever comes last has the key that is good.
func TestEnrolmentsOfOneHostAtOnceLeaveOneKey(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", factories)
	factory, err := w.FactoryCaller(ctx, here, w.factoryToken())
	must(t, err)
	var wg sync.WaitGroup
	keys := make([]secret.Bytes, 8)
	errs := make([]error, len(keys))
	for i := range keys {
		wg.Go(func() {
			var host core.Enrolled
			host, errs[i] = w.EnrolHost(ctx, factory, "h1", nil)
			keys[i] = host.Key
		})
	}
	wg.Wait()
	must(t, errors.Join(errs...))
	good := 0
	for _, key := range keys {
		if _, err := w.AuthenticateKey(ctx, here, "acme", "host/h1", key); err == nil {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d keys are good", good)
	}
}

// However they are made, annotations of one resource are bounded as in policies.
func TestAnnotationsAreBoundedWithoutAPolicyToo(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", factories)
	annotations := func(from, n int) (list core.Annotations) {
		for i := range n {
			list = append(list, core.Annotation{Name: fmt.Sprintf("a%d", from+i), Value: "x"})
		}
		return list
	}
	factory, err := w.FactoryCaller(ctx, here, w.factoryToken())
	must(t, err)
	if _, err := w.EnrolHost(ctx, factory, "h1", annotations(0, policy.MaxAnnotations+1)); !fault.Is(err, fault.Argument) {
		t.Errorf("a host: %v", err)
	}
	if _, err := w.CreateBranch(ctx, w.admin(), "acme", core.NewBranch{Name: "b", Parent: "/", Annotations: annotations(0, policy.MaxAnnotations+1)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a branch: %v", err)
	}
	for _, c := range []struct{ from, n, want int }{{0, policy.MaxAnnotations, 200}, {0, 1, 200}, {policy.MaxAnnotations, 1, 422}} {
		if _, err := w.UpdateBranch(ctx, w.admin(), "acme", "app", core.BranchUpdate{Annotations: annotations(c.from, c.n)}); status(err) != c.want {
			t.Errorf("a branch, %d from %d: %v", c.n, c.from, err)
		}
	}
}

func TestOperationsOfTheSecondVersionAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", factories)
	admin := w.admin()
	admin.Path = "/branches/acme"
	w.audit.take()
	_, err := w.CreateBranch(ctx, admin, "acme", core.NewBranch{Name: "b", Parent: "app", Annotations: core.Annotations{{Name: "k", Value: "v"}}})
	must(t, err)
	lines := w.audit.take()
	for _, want := range []string{
		"acme:user:admin added role acme:policy:app/b\n",
		"acme:user:admin added ownership of acme:policy:app in acme:policy:app/b\n",
		"acme:user:admin successfully created branch app/b with URI path: '/branches/acme' and JSON object: {\"name\":\"b\",\"branch\":\"app\",\"annotations\":{\"k\":\"v\"}}\n",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	if _, err := w.Branch(ctx, admin, "acme", "none"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if lines = w.audit.take(); !strings.HasPrefix(lines, "<85>1 ") || !strings.Contains(lines, `branch [auth@43868 user="acme:user:admin"][subject@43868 edge=""]`) ||
		!strings.Contains(lines, "acme:user:admin failed to retrieve branch none with URI path: '/branches/acme': Branch 'none' not found in account 'acme'") {
		t.Error(lines)
	}
	_, err = w.CreateStaticSecret(ctx, admin, "acme", core.NewStaticSecret{Name: "s", Parent: "app", Value: secret.FromString("hunter2")})
	must(t, err)
	_, err = w.CreateAuthenticator(ctx, admin, "acme", core.NewAuthenticator{Type: "ldap", Name: "x", Data: map[string]any{"bind_password": "hunter2"}})
	if !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if lines = w.audit.take(); strings.Contains(lines, "hunter2") || !strings.Contains(lines, "updated acme:variable:app/s") {
		t.Error(lines)
	}
	w.audit.fail = fmt.Errorf("disk full")
	if _, err := w.Branch(ctx, admin, "acme", "app"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a record: %v", err)
	}
}

func TestSettingsOfAnAuthenticatorAreFetchedLikeSecrets(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !policy conjur/authn-ldap")
	_, err := w.CreateAuthenticator(ctx, w.admin(), "acme", core.NewAuthenticator{Type: "ldap", Name: "x", Data: map[string]any{"bind_password": "hunter2"}})
	must(t, err)
	w.audit.take()
	found, err := w.Authenticator(ctx, w.admin(), "acme", "ldap", "x")
	must(t, err)
	if found.Data()["bind_password"] != "hunter2" {
		t.Errorf("%v", found.Data())
	}
	if lines := w.audit.take(); !strings.Contains(lines, "acme:user:admin fetched acme:variable:conjur/authn-ldap/x/bind-password\n") {
		t.Error(lines)
	}
	if text := fmt.Sprintf("%+v", found); strings.Contains(text, "hunter2") {
		t.Error("a setting prints itself")
	}
	w.reopen()
	if names, _, enabled := w.AuthenticatorNames(ctx); len(names) != 1 || len(enabled) != 1 {
		t.Errorf("%v %v", names, enabled) // it was made disabled
	}
}
