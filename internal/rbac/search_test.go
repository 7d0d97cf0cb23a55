package rbac

import (
	"slices"
	"strings"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// library has resources with different texts and an index of them.
func library(t *testing.T) *Graph {
	t.Helper()
	hash := strings.Repeat("0123456789abcdef", 8)
	g := load(t, []row.Row{
		row.Role{ID: "a:user:u"},
		row.Resource{ID: "a:variable:prod/db-1.example/admin_password", Owner: "a:user:u"},
		row.Resource{ID: "a:host_factory:web", Owner: "a:user:u"},
		row.Resource{ID: "a:group:the/of", Owner: "a:user:u"},
		row.Resource{ID: "a:group:noted", Owner: "a:user:u"},
		row.Annotation{Resource: "a:group:noted", Name: "description", Value: "Runs the backups of the Érable project."},
		row.Annotation{Resource: "a:group:noted", Name: "image", Value: "sha512:" + hash},
	})
	if g.Searchable() || !g.UseSearch(g.NewSearch()) || !g.Searchable() {
		t.Fatal("the index was not taken in")
	}
	return g
}

func found(g *Graph, text string) []string {
	m := g.Find(text)
	var ids []string
	for _, x := range g.resources {
		if m.Has(x) {
			ids = append(ids, x.ID.Identifier())
		}
	}
	slices.Sort(ids)
	return ids
}

func TestSearchFindsWords(t *testing.T) {
	g := library(t)
	const db, web, stop, noted = "prod/db-1.example/admin_password", "web", "the/of", "noted"
	hash := strings.Repeat("0123456789abcdef", 8)
	for _, c := range []struct {
		what, text string
		want       []string
	}{
		{"a word of an identifier", "prod", []string{db}},
		{"any case", "PROD", []string{db}},
		{"another form of a word", "passwords", []string{db}},
		{"another form of a word in an annotation", "running backup", []string{noted}},
		{"no beginnings of words", "passw", nil},
		{"no ends of words", "word", nil},
		{"slash, dash, dot and low line separate", "db example admin", []string{db}},
		{"and do so in a search", "prod/db-1.example/admin_password", []string{db}},
		{"every word must be there", "prod web", nil},
		{"words of the kind", "host factory", []string{web}},
		{"words of kind and identifier", "factory-web", []string{web}},
		{"a kind alone", "groups", []string{noted, stop}},
		{"common words are ignored", "the password of an admin", []string{db}},
		{"a search of nothing else finds nothing", "the of", nil},
		{"nor does an empty one", "", nil},
		{"nor one of separators", " /-._ ", nil},
		{"letters of any language", "érable", []string{noted}},
		{"the names of annotations are not searched", "description", nil},
		{"the account is not searched", "a1", nil},
		{"long data is found as a whole", hash, []string{noted}},
		{"and not left out of a search", hash + "0 backup", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := found(g, c.text); !slices.Equal(got, c.want) {
				t.Errorf("%q finds %v, want %v", c.text, got, c.want)
			}
		})
	}
}

func TestSearchFollowsChanges(t *testing.T) {
	g := library(t)
	noted := g.Resource("a:group:noted")
	made := func(plan func(*Tx)) {
		t.Helper()
		tx := g.Begin()
		plan(tx)
		tx.Rollback()
		must(t, g.Apply(&row.Set{Changes: tx.Changes()}))
	}
	made(func(tx *Tx) {
		tx.InsertAnnotation(row.Annotation{Resource: noted.ID, Name: "again", Value: "backups twice"})
		tx.DeleteAnnotation(noted.Annotation("description"))
	})
	if found(g, "backup") == nil || found(g, "project") != nil {
		t.Error("a word goes with the last text that has it, no sooner, no later")
	}
	made(func(tx *Tx) { tx.SetAnnotation(noted.Annotation("again"), "nothing") })
	if found(g, "backup") != nil || found(g, "nothing") == nil {
		t.Error("the old value is still found, or the new one is not")
	}
	tx := g.Begin()
	tx.DeleteResource(noted)
	tx.Rollback()
	if got := found(g, "nothing noted"); !slices.Equal(got, []string{"noted"}) {
		t.Errorf("after rolling back %v is found", got)
	}
	made(func(tx *Tx) { tx.DeleteResource(noted) })
	if found(g, "nothing") != nil || found(g, "noted") != nil {
		t.Error("a deleted resource is found")
	}
}

func TestAStaleIndexIsRefused(t *testing.T) {
	g := New()
	must(t, g.Add(row.Role{ID: "a:user:u"}))
	stale := g.NewSearch()
	must(t, g.Add(row.Resource{ID: "a:user:u", Owner: "a:user:u"}))
	if g.UseSearch(stale) || g.Searchable() {
		t.Error("an index without the newest resource was taken in")
	}
	if found(g, "user") != nil {
		t.Error("something is found without an index")
	}
}

// Words are remembered in a bounded number, and forgetting them changes nothing.
func TestRememberedStemsAreBounded(t *testing.T) {
	word := []byte("aaaaaa")
	for range rememberedStems + 10 {
		for i := 0; ; i++ {
			if word[i]++; word[i] <= 'z' {
				break
			}
			word[i] = 'a'
		}
		stem(string(word))
	}
	if n := len(stemmed.of); n > rememberedStems {
		t.Errorf("%d words are remembered", n)
	}
	if got := stem("passwords"); got != "password" {
		t.Errorf("got %q", got)
	}
}

func TestListsCanBeSearched(t *testing.T) {
	g := library(t)
	for _, few := range []int{-1, 0, 64} {
		g.limits.few = few
		m := g.Find("group")
		var got []ident.ID
		g.List(g.Role("a:user:u"), Query{Match: &m}, func(x *Resource) bool { got = append(got, x.ID); return true })
		if want := []ident.ID{"a:group:noted", "a:group:the/of"}; !slices.Equal(got, want) {
			t.Errorf("few %d: got %v, want %v", few, got, want)
		}
	}
}
