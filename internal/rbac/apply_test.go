package rbac

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/row"
)

// small has a role with a resource and something of each kind on it.
func small(t *testing.T) *Graph {
	return load(t, []row.Row{
		row.DataKey{ID: 1},
		row.Account{Name: "a"},
		row.SigningKey{Account: "a", KeyID: "k"},
		row.Role{ID: "a:user:u"},
		row.Resource{ID: "a:user:u", Owner: "a:user:u"},
		row.Membership{Role: "a:user:u", Member: "a:user:u", Ownership: true, Admin: true},
		row.Permission{Resource: "a:user:u", Role: "a:user:u", Privilege: "read"},
		row.Annotation{Resource: "a:user:u", Name: "n", Value: "v"},
		row.APIKey{Role: "a:user:u", Sealed: []byte("sealed value")},
		row.Secret{Resource: "a:user:u", Version: 2},
		row.PolicyVersion{Policy: "a:user:u", Version: 2},
		row.HostFactoryToken{Digest: [32]byte{1}, Factory: "a:user:u"},
	})
}

func TestChangesThatDoNotFitAreRefused(t *testing.T) {
	for _, c := range []row.Change{
		{Op: row.Insert, Row: nil},
		{Op: row.Insert, Row: row.SigningKey{Account: "a", KeyID: "k"}},
		{Op: row.Delete, Row: row.SigningKey{Account: "a", KeyID: "other"}},
		{Op: row.Insert, Row: row.Role{ID: "a:user:u"}},
		{Op: row.Delete, Row: row.Role{ID: "a:user:u"}}, // still referred to
		{Op: row.Delete, Row: row.Role{ID: "a:user:none"}},
		{Op: row.Insert, Row: row.Resource{ID: "a:user:u", Owner: "a:user:u"}},
		{Op: row.Insert, Row: row.Resource{ID: "a:user:v", Owner: "a:user:none"}},
		{Op: row.Update, Row: row.Resource{ID: "a:user:v", Owner: "a:user:u"}},
		{Op: row.Delete, Row: row.Resource{ID: "a:user:u"}}, // still referred to
		{Op: row.Insert, Row: row.Membership{Role: "a:user:u", Member: "a:user:u", Ownership: true}},
		{Op: row.Insert, Row: row.Membership{Role: "a:user:u", Member: "a:user:none"}},
		{Op: row.Delete, Row: row.Membership{Role: "a:user:u", Member: "a:user:u"}},
		{Op: row.Insert, Row: row.Permission{Resource: "a:user:u", Role: "a:user:u", Privilege: "read"}},
		{Op: row.Insert, Row: row.Permission{Resource: "a:user:none", Role: "a:user:u", Privilege: "read"}},
		{Op: row.Update, Row: row.Permission{Resource: "a:user:u", Role: "a:user:u", Privilege: "read"}},
		{Op: row.Insert, Row: row.Annotation{Resource: "a:user:none", Name: "n"}},
		{Op: row.Insert, Row: row.Annotation{Resource: "a:user:u", Name: "n"}},
		{Op: row.Insert, Row: row.APIKey{Role: "a:user:none", Sealed: []byte("sealed value")}},
		{Op: row.Insert, Row: row.StagedKey{Role: "a:user:none", Sealed: []byte("sealed value")}},
		{Op: row.Insert, Row: row.OldKey{Role: "a:user:none"}},
		{Op: row.Insert, Row: row.KeyUse{Role: "a:user:none"}},
		{Op: row.Insert, Row: row.Secret{Resource: "a:user:none", Version: 1, Sealed: []byte("sealed value")}},
		{Op: row.Insert, Row: row.Secret{Resource: "a:user:u", Version: 2, Sealed: []byte("sealed value")}},
		{Op: row.Update, Row: row.Secret{Resource: "a:user:u", Version: 1}},
		{Op: row.Insert, Row: row.PolicyVersion{Policy: "a:user:none", Version: 1}},
		{Op: row.Insert, Row: row.PolicyVersion{Policy: "a:user:u", Version: 2, Text: "sealed value"}},
		{Op: row.Insert, Row: row.HostFactoryToken{Digest: [32]byte{1}, Factory: "a:user:u"}},
		{Op: row.Insert, Row: row.HostFactoryToken{Digest: [32]byte{2}, Factory: "a:user:none"}},
		{Op: row.Delete, Row: row.HostFactoryToken{Digest: [32]byte{2}}},
		{Op: row.Insert, Row: row.Authenticator{Resource: "a:user:none"}},
		{Op: row.Update, Row: row.Authenticator{Resource: "a:user:u"}},
		{Op: row.Delete, Row: row.Authenticator{Resource: "a:user:u"}},
	} {
		t.Run(fmt.Sprintf("%d %T", c.Op, c.Row), func(t *testing.T) {
			err := small(t).Apply(&row.Set{Changes: []row.Change{c}})
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "sealed value") {
				t.Errorf("the error shows what is sealed: %v", err)
			}
		})
	}
}

func TestAVersionMayBePrunedTwice(t *testing.T) {
	g := small(t)
	for _, r := range []row.Row{
		row.Secret{Resource: "a:user:u", Version: 2}, row.PolicyVersion{Policy: "a:user:u", Version: 2},
		row.Secret{Resource: "a:user:gone", Version: 2}, row.PolicyVersion{Policy: "a:user:gone", Version: 2},
	} {
		for range 2 {
			must(t, g.Apply(&row.Set{Changes: []row.Change{{Op: row.Delete, Row: r}}}))
		}
	}
	if x := g.Resource("a:user:u"); x.Latest() != 0 || x.HasVersion(2) || len(x.Loads) > 0 {
		t.Errorf("%+v", x)
	}
}

func TestVersionsAreInOrder(t *testing.T) {
	g := small(t)
	expires := time.UnixMilli(5000)
	must(t, g.Add(row.Secret{Resource: "a:user:u", Version: 4, ExpiresAt: expires}))
	must(t, g.Add(row.Secret{Resource: "a:user:u", Version: 3}))
	x := g.Resource("a:user:u")
	if want := []SecretVersion{{2, 0}, {3, 0}, {4, 5000}}; !slices.Equal(x.Secrets, want) || x.Latest() != 4 || !x.HasVersion(3) || x.HasVersion(1) {
		t.Errorf("%+v", x.Secrets)
	}
}

func TestSigningKeysAreOldestFirst(t *testing.T) {
	g := New()
	for _, k := range []row.SigningKey{
		{Account: "a", KeyID: "1", CreatedAt: time.UnixMilli(30)},
		{Account: "a", KeyID: "2", CreatedAt: time.UnixMilli(10)},
		{Account: "b", KeyID: "1", CreatedAt: time.UnixMilli(1)},
		{Account: "a", KeyID: "3", CreatedAt: time.UnixMilli(20)},
	} {
		must(t, g.Add(k))
	}
	held := g.SigningKeys("a")
	order := func(keys []row.SigningKey) (ids string) {
		for _, k := range keys {
			ids += k.KeyID
		}
		return ids
	}
	must(t, g.Apply(&row.Set{Changes: []row.Change{{Op: row.Delete, Row: row.SigningKey{Account: "a", KeyID: "2"}}}}))
	if got := order(held) + " " + order(g.SigningKeys("a")); got != "231 31" {
		t.Errorf("got %s", got)
	}
}

func TestAccountsAreInTheOrderOfTheirCreation(t *testing.T) {
	g := New()
	for _, a := range []row.Account{{Name: "c", CreatedAt: time.UnixMilli(2)}, {Name: "b", CreatedAt: time.UnixMilli(2)}, {Name: "d", CreatedAt: time.UnixMilli(1)}} {
		must(t, g.Add(a))
	}
	var got string
	for _, a := range g.Accounts() {
		got += a.Name
	}
	if _, ok := g.Account("c"); !ok || got != "dbc" {
		t.Errorf("got %s", got)
	}
	must(t, g.Apply(&row.Set{Changes: []row.Change{{Op: row.Delete, Row: row.Account{Name: "c"}}}}))
	if _, ok := g.Account("c"); ok {
		t.Error("a deleted account is still there")
	}
}

func TestARoleDiesWithItsCredentialsAndAFactoryWithItsTokens(t *testing.T) {
	g := load(t, []row.Row{
		row.Role{ID: "a:user:u"}, row.Role{ID: "a:host:h"},
		row.Resource{ID: "a:host_factory:f", Owner: "a:user:u"},
		row.APIKey{Role: "a:host:h", Digest: [32]byte{7}, Sealed: []byte("sealed")},
		row.HostFactoryToken{Digest: [32]byte{1}, Factory: "a:host_factory:f"},
		row.Secret{Resource: "a:host_factory:f", Version: 1},
	})
	if key := g.Role("a:host:h").Key; key.Digest != [32]byte{7} || key.Sealed != nil {
		t.Errorf("the graph keeps %+v", key)
	}
	tx := g.Begin()
	tx.DeleteRole(g.Role("a:host:h"))
	tx.DeleteRecord("a:host_factory:f")
	tx.InsertRole(row.Role{ID: "a:host:h"})
	tx.InsertResource(row.Resource{ID: "a:host_factory:f", Owner: "a:user:u"})
	bare := func() bool {
		x := g.Resource("a:host_factory:f")
		return g.Role("a:host:h").Key == nil && g.Token([32]byte{1}) == nil && x.Latest() == 0 && len(x.Tokens) == 0
	}
	if !bare() {
		t.Error("something outlived the plan to delete it")
	}
	if tx.Rollback(); g.Role("a:host:h").Key == nil || g.Token([32]byte{1}) == nil || g.Resource("a:host_factory:f").Latest() != 1 {
		t.Error("something was lost by planning")
	}
	serial := g.Resource("a:host_factory:f").Serial
	must(t, g.Apply(&row.Set{Changes: tx.Changes()}))
	if !bare() {
		t.Error("something outlived its deletion")
	}
	if g.Resource("a:host_factory:f").Serial == serial {
		t.Error("the new resource cannot be told from the old one")
	}
}
