package postgresql

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/secret"
)

func TestAnAddressIsWhatMayFollowTheUserInAURI(t *testing.T) {
	for _, test := range []struct{ text, hosts, database, sslmode string }{
		{"db.example.com", "db.example.com:5432", "", ""},
		{"db.example.com:6432", "db.example.com:6432", "", ""},
		{"db.example.com:6432/app", "db.example.com:6432", "app", ""},
		{"db.example.com/app?sslmode=verify-full&connect_timeout=5", "db.example.com:5432", "app", "verify-full"},
		{"db.example.com?sslmode=disable", "db.example.com:5432", "", "disable"},
		{"h1,h2:1,h3/app%20two", "h1:5432,h2:1,h3:5432", "app two", ""},
		{"[::1]:1/x", "[::1]:1", "x", ""},
		{"[fe80::1]", "[fe80::1]:5432", "", ""},
		{"postgres://db/app", "db:5432", "app", ""},
		{" postgresql://db/app \n", "db:5432", "app", ""},
	} {
		a, err := parseAddress(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if a.String() != test.hosts || a.database != test.database || a.sslmode != test.sslmode {
			t.Errorf("%q is %s, database %q, sslmode %q", test.text, a, a.database, a.sslmode)
		}
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	for text, words := range map[string]string{
		"":                           "host",
		"/app":                       "host",
		":5432":                      "host",
		"/var/run/postgresql":        "host",
		"%2Fvar%2Frun":               "host",
		"a b":                        "host",
		"h1,,h2":                     "host",
		"db:0":                       "port",
		"db:65536":                   "port",
		"db:x":                       "port",
		"[::g]":                      "IPv6",
		"user@db":                    "variables of their own",
		"postgres://user:secret@db":  "variables of their own",
		"https://db":                 "scheme",
		"db/%zz":                     "encoded",
		"db/a%00b":                   "control character",
		"db/a%0d%0aQUIT":             "control character",
		"db?sslmode=%zz":             "encoded",
		"db?sslrootcert=/etc/passwd": "sslrootcert",
		"db?service=x":               "service",
		"db?host=/tmp":               "host",
		"db?options=-c%20x":          "options",
		"db?password=secret":         "password",
	} {
		a, err := parseAddress(text)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v and %v, want an error that says %q", text, a, err, words)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells a secret: %v", text, err)
		}
	}
}

func TestAVerifierHasASaltOfItsOwn(t *testing.T) {
	one, err := verifier(secret.FromString("pencil"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	two, err := verifier(secret.FromString("pencil"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Error("the same verifier twice")
	}
	if _, err := verifier(secret.FromString("pencil"), strings.NewReader("short")); err == nil {
		t.Error("a verifier without randomness")
	}
}

// The example of RFC 7677, section 3: its server's signature and proof follow from this
// stored key.
func TestAVerifierIsThatOfTheStandard(t *testing.T) {
	got, err := verifier(secret.FromString("pencil"), strings.NewReader("[m\x99h\x9d\x12\x35\x8e\xec\xa0K\x14\x12\x36\xfa\x81"))
	if err != nil {
		t.Fatal(err)
	}
	want := "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Whoever may write the variables must not be able to give commands to other servers.
func TestControlCharactersAreSentToNobody(t *testing.T) {
	system, err := open(password.Place{
		Settings: map[string]string{"sslmode": "disable"}, Values: map[string]secret.Bytes{"url": secret.FromString("cache.example.com:6379/x")},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("it connects")
			return nil, errors.New("no")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = system.Login(t.Context(), "x\nFLUSHALL\n", secret.FromString("x"))
	var refused *target.Error
	if !errors.As(err, &refused) || refused.Class != target.Refused || !strings.Contains(err.Error(), "control character") {
		t.Error(err)
	}
}
