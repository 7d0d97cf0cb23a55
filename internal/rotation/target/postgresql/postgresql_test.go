package postgresql_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/postgresql"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/postgresqltest"
	"rekey/internal/secret"
)

const prefix = "rotation/postgresql/password/"

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	targettest.Suite{
		Kind:      postgresql.Kind(),
		Server:    "PostgreSQL",
		Without:   targettest.Without{targettest.OwnPrivilege: "a role may always change its own password"},
		Modes:     []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Account:   tls.Account,
		Login:     tls.Login,
		Foresees:  []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		TakesBack: true,
		Kept:      tls.Kept,
		Users:     []string{`Robert'); DROP ROLE boss; --`, `"quoted" \`, " spaces  around ", "100%41%", "Größe名", "UPPER", strings.Repeat("x", 63-len("rk4194304_1000b"))},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]&sslmode=disable",
			"tab\tand\nline 1", strings.Repeat("long1", 200)},
		BadValue: func(user string) string { return user },
		Log:      func(t *testing.T) string { return tls.Log(t) + plain.Log(t) },
		Trace:    " PASSWORD 'SCRAM-SHA-256$4096:",
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d/postgres", tls.Port)), target.Refused, "another host"),
			"a server without TLS":           fails(set("url", plain.Address("")), target.Refused, "has no TLS"),
			"a method that shows the password": fails(func(a targettest.Account) {
				a.Values["username"] = "clear"
			}, target.Refused, "scram-sha-256"),
			"a method that asks for none": fails(func(a targettest.Account) { a.Values["username"] = "trusted" }, target.Refused, "scram-sha-256"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"a user whom the server bars": fails(func(a targettest.Account) { a.Values["username"] = "barred" }, target.Refused, "pg_hba"),
			"no such database":            fails(set("url", fmt.Sprintf("localhost:%d/nowhere", tls.Port)), target.Refused, "nowhere"),
			"a URL with a password":       fails(set("url", "someone:else@localhost/postgres"), target.Refused, "variables of their own"),
			"a socket":                    fails(set("url", "%2Frun%2Fpostgresql/db"), target.Refused, "host"),
			"a file of the server's":      fails(set("url", tls.Address("?sslkey=/etc/shadow")), target.Refused, "sslkey"),
			"a mode that falls back":      fails(set("url", tls.Address("?sslmode=prefer")), target.Refused, "verify-full"),
			"an authority that is none":   fails(set("ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)

	t.Run("no password is in the log of statements", func(t *testing.T) {
		log := tls.Log(t)
		if n := strings.Count(log, "SCRAM-SHA-256$"); n < 100 {
			t.Fatalf("the log has %d verifiers: it does not see what it should", n)
		}
		for _, line := range strings.Split(log, "\n") {
			if strings.Contains(line, "ALTER ROLE") && !strings.Contains(line, "PASSWORD 'SCRAM-SHA-256$4096:") && !strings.HasSuffix(line, "PASSWORD NULL") {
				t.Errorf("a statement with something else than a verifier: %s", line)
			}
		}
	})
}

func bind(t *testing.T, a targettest.Account) target.Target {
	t.Helper()
	return targettest.Bind(t, postgresql.Kind(), a)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

func TestTheLogShowsNoNewPassword(t *testing.T) {
	a := tls.Account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"logged"}, Password: "old-Password-1"})
	if _, err := bind(t, a).Apply(within(t, 10*time.Second), credential("old-Password-1"), credential("Shibboleth-4711")); err != nil {
		t.Fatal(err)
	}
	log := tls.Log(t)
	if !strings.Contains(log, `ALTER ROLE "logged" PASSWORD`) {
		t.Error("the log does not have the statement")
	}
	if strings.Contains(log, "Shibboleth") {
		t.Error("the log has the password")
	}
}

func TestTLSCanBeWeakenedOnPurposeOnly(t *testing.T) {
	for _, test := range []struct {
		name, url, sslmode string
		server             *postgresqltest.Server
		ca                 bool
	}{
		{"the certificate's name does not matter", fmt.Sprintf("127.0.0.1:%d/postgres?sslmode=verify-ca", tls.Port), "", tls, true},
		{"nothing of the certificate matters", tls.Address("?sslmode=require"), "", tls, false},
		{"by annotation", tls.Address("?sslmode=verify-full"), "require", tls, false},
		{"no TLS", plain.Address("?sslmode=disable"), "", plain, false},
		{"a whole URL", "postgres://" + plain.Address("?sslmode=disable&connect_timeout=3"), "", plain, false},
		{"the writable one of several hosts", fmt.Sprintf("127.0.0.1:1,127.0.0.1:%d/postgres?sslmode=disable", plain.Port), "", plain, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			user := strings.ReplaceAll(test.name, "'", "")
			test.server.Create(t, user, "old-Password-1")
			a := targettest.Account{Annotations: map[string]string{}, Values: map[string]string{"url": test.url, "username": user}}
			if test.sslmode != "" {
				a.Annotations[prefix+"sslmode"] = test.sslmode
			}
			if test.ca {
				a.Annotations[prefix+"ca"], a.Values["ca"] = "ca", authority.PEM
			}
			made, next := bind(t, a), credential("new-Password-1")
			if _, err := made.Apply(within(t, 10*time.Second), credential("old-Password-1"), next); err != nil {
				t.Fatal(err)
			}
			if err := made.Probe(within(t, 10*time.Second), next); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheIdentityChangesWithWhatIsTrusted(t *testing.T) {
	a := tls.Account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"identified"}, Password: "old-Password-1"})
	first := bind(t, a).Identity()
	for name, change := range map[string]func(map[string]string){
		"host": func(v map[string]string) { v["url"] = "elsewhere:5432" },
		"port": func(v map[string]string) { v["url"] = "localhost:1" },
		"user": func(v map[string]string) { v["username"] = "another" },
		"mode": func(v map[string]string) { v["url"] += "?sslmode=require" },
		"ca": func(v map[string]string) {
			other, err := targettest.NewAuthority()
			if err != nil {
				t.Fatal(err)
			}
			v["ca"] = other.PEM
		},
	} {
		b := targettest.Account{Annotations: a.Annotations, Values: maps.Clone(a.Values)}
		if got := bind(t, b).Identity(); got != first {
			t.Errorf("the same account has identity %s and %s", first, got)
		}
		change(b.Values)
		if got := bind(t, b).Identity(); got == first {
			t.Errorf("another %s has the same identity %s", name, got)
		}
	}
}

func TestAServerThatIsBusyIsAskedAgain(t *testing.T) {
	a := tls.Account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"busy"}, Password: "old-Password-1"})
	made := bind(t, a)
	tls.Must(t, `ALTER ROLE busy SET default_transaction_read_only = on`)
	_, err := made.Apply(within(t, 10*time.Second), credential("old-Password-1"), credential("new-Password-1"))
	if target.ClassOf(err) != target.Unreachable {
		t.Errorf("a read-only server: %v", err)
	}
	tls.Must(t, `ALTER ROLE busy SET default_transaction_read_only = off; ALTER ROLE busy CONNECTION LIMIT 0`)
	if err := made.Probe(within(t, 10*time.Second), credential("old-Password-1")); target.ClassOf(err) != target.Unreachable {
		t.Errorf("a server with too many connections: %v", err)
	}
	tls.Must(t, `DROP ROLE busy`)
	if err := made.Probe(within(t, 10*time.Second), credential("old-Password-1")); target.ClassOf(err) != target.AuthFailed {
		t.Errorf("a role that is gone: %v", err)
	}
}

func TestCharactersThatClientsNormaliseDifferentlyAreRefused(t *testing.T) {
	a := tls.Account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"normal"}, Password: "old-Password-1"})
	_, err := bind(t, a).Apply(within(t, 10*time.Second), credential("old-Password-1"), credential("ﬁrst-Password-1"))
	e, ok := err.(*target.Error)
	if !ok || e.Class != target.Refused || !e.BadValue {
		t.Errorf("a ligature: %v", err)
	}
}

func TestTheEnvironmentOfTheProcessDoesNotMatter(t *testing.T) {
	a := tls.Account(t, targettest.Ask{Mode: targettest.Self, Users: []string{"surrounded"}, Password: "old-Password-1"})
	for name, value := range map[string]string{"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "boss", "PGSSLMODE": "disable",
		"PGOPTIONS": "-c default_transaction_read_only=on", "PGSSLROOTCERT": "/nowhere", "PGREQUIREAUTH": "none"} {
		t.Setenv(name, value)
	}
	if _, err := bind(t, a).Apply(within(t, 10*time.Second), credential("old-Password-1"), credential("new-Password-1")); err != nil {
		t.Error(err)
	}
}

func TestTheNewPasswordIsNotSent(t *testing.T) {
	for _, mode := range []targettest.Mode{targettest.Self, targettest.Admin} {
		a := plain.Account(t, targettest.Ask{Mode: mode, Users: []string{"overheard_" + string(mode)}, Password: "old-Password-1"})
		a.Values["url"] = plain.Address("?sslmode=disable")
		targettest.SendsAVerifier(t, postgresql.Kind(), a)
	}
}
