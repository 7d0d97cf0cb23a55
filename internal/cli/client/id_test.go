package client

import (
	"strings"
	"testing"

	"rekey/internal/ident"
)

func TestIDsAreReadInAllTheirForms(t *testing.T) {
	url, key := serve(t)
	configure(t, url)
	logInAs(t, "admin", key)
	s, err := Open(t.Context(), Options{})
	check(t, err)
	for _, c := range []struct {
		text, kind string
		want       ident.ID // "" for an error
	}{
		{"demo:variable:db/password", "", "demo:variable:db/password"},
		{"variable:db/password", "", "demo:variable:db/password"},
		{"other:host:web", "", "other:host:web"},
		{"demo:thing:x", "", "demo:thing:x"},
		{"db/password", "", ""},
		{"", "", ""},
		{"db/password", "variable", "demo:variable:db/password"},
		{"variable:db/password", "variable", "demo:variable:db/password"},
		{"demo:variable:db/password", "variable", "demo:variable:db/password"},
		{"a:b:c", "variable", "demo:variable:a:b:c"},
		{"a:b", "variable", "demo:variable:a:b"},
		{"demo:host:web", "variable", ""},
		{"", "variable", ""},
		{"web", "host", "demo:host:web"},
		{"host/web", "host", "demo:host:web"},
		{"host:web", "host", "demo:host:web"},
		{"user:alice", "host", ""},
		{"apps/system:serviceaccount:ns:web", "host", "demo:host:apps/system:serviceaccount:ns:web"},
		{"demo:policy:root", "policy", "demo:policy:root"},
		{"root", "policy", "demo:policy:root"},
	} {
		got, err := s.ID(c.text, c.kind)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q as %q: %q, %v", c.text, c.kind, got, err)
		}
		if err != nil && advice(err) == "" {
			t.Errorf("%q as %q: no advice with %v", c.text, c.kind, err)
		}
	}
	for text, want := range map[string]ident.ID{
		"alice": "demo:user:alice", "host/web": "demo:host:web", "layer:web": "demo:layer:web", "o:user:a": "o:user:a",
	} {
		if got, err := s.RoleID(text); got != want || err != nil {
			t.Errorf("role %q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"alice": "alice", "host/web": "host/web", "demo:host:web": "host/web", "host:web": "host/web", "demo:user:alice@shop": "alice@shop",
	} {
		if got, err := s.Login(text); got != want || err != nil {
			t.Errorf("login %q: %q, %v", text, got, err)
		}
	}
	if _, err := s.Login("other:user:a"); err == nil || !strings.Contains(err.Error(), "of account 'other'") {
		t.Error(err)
	}
}
