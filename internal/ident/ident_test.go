package ident_test

import (
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

func TestPartsAreSplitAtTheFirstTwoColons(t *testing.T) {
	id := ident.ID("acme:host:ns:name/x")
	if id.Account() != "acme" || id.Kind() != "host" || id.Identifier() != "ns:name/x" {
		t.Errorf("got %q %q %q", id.Account(), id.Kind(), id.Identifier())
	}
}

func TestParseWantsThreeParts(t *testing.T) {
	for _, bad := range []string{"", "a", "a:b", ":b:c", "a::c", "::"} {
		if _, err := ident.Parse(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%q) = %v", bad, err)
		}
	}
	for _, good := range []string{"a:b:c", "a:b:", "a:b:c:d", "!:!:root"} {
		if id, err := ident.Parse(good); err != nil || string(id) != good {
			t.Errorf("Parse(%q) = %v, %v", good, id, err)
		}
	}
}

func TestQualifyAddsTheAccountToShortIDs(t *testing.T) {
	for in, want := range map[string]ident.ID{"host:a/b": "acme:host:a/b", "other:host:x": "other:host:x", "a:b:c:d": "a:b:c:d"} {
		if got, err := ident.Qualify("acme", in); err != nil || got != want {
			t.Errorf("Qualify(%q) = %q, %v", in, got, err)
		}
	}
	if _, err := ident.Qualify("acme", "alice"); err == nil || err.Error() != "Expected at least 2 tokens in alice" {
		t.Errorf("got %v", err)
	}
}

func TestLoginNames(t *testing.T) {
	cases := []struct {
		login                string
		fromLogin, fromBasic ident.ID
	}{
		{"alice", "a:user:alice", "a:user:alice"},
		{"eve@app-policy", "a:user:eve@app-policy", "a:user:eve@app-policy"},
		{"host/x/y", "a:host:x/y", "a:host:x/y"},
		{"user/alice", "a:user:alice", "a:user:alice"},
		{"group/ops", "a:user:group/ops", "a:group:ops"},
	}
	for _, c := range cases {
		if got := ident.FromLogin("a", c.login); got != c.fromLogin {
			t.Errorf("FromLogin(%q) = %q", c.login, got)
		}
		if got := ident.FromBasic("a", c.login); got != c.fromBasic {
			t.Errorf("FromBasic(%q) = %q", c.login, got)
		}
	}
	if ident.ID("a:host:x/y").Login() != "host/x/y" || ident.ID("a:user:alice").Login() != "alice" {
		t.Error("Login is not the inverse")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a:b:c")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ident.Parse(s)
		if err == nil && ident.New(id.Account(), id.Kind(), id.Identifier()) != id {
			t.Errorf("parts of %q do not make it up again", s)
		}
	})
}
