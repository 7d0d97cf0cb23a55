package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
)

// visible stands for what the caller sees: all but what has a hidden name.
func visible(x *rbac.Resource) bool { return !strings.Contains(string(x.ID), "hidden") }

// advice is that of a load which refers to something that is not there.
func (w *planWorld) advice(in Load, text string) string {
	w.Helper()
	in.Now, in.APIKeyDefault, in.Visible = planTime, true, visible
	r, err := resolve(text, Scope{Account: "acct", Policy: in.Policy, Owner: "acct:user:admin"})
	if err != nil {
		w.Fatal(err)
	}
	_, _, err = w.plan(r, in, nil, text)
	var refused *fault.Error
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "not found in account") {
		w.Fatalf("got %v of\n%s", err, text)
	}
	return refused.Advice
}

func TestMissingReferencesAreFollowedByWhatWasMeant(t *testing.T) {
	const given = `
- !group developers
- !group my-team_a
- !group hidden-group
- !layer web
- !user alice
- !variable wrong
- !resource {kind: configuration, id: conf}
- !group host-8
- !policy {id: app, body: [!group operators, !policy {id: db, body: [!variable password, !variable user-name, !group admins]}]}
`
	// text stands in a policy with a group g and a variable v of its own.
	for _, c := range []struct{ name, policy, text, meant string }{
		{"a letter too few", "root", "- !grant {role: !group developrs, member: !user alice}", "acct:group:developers"},
		{"a letter too many", "root", "- !grant {role: !group developpers, member: !user alice}", "acct:group:developers"},
		{"a wrong letter", "root", "- !grant {role: !group developars, member: !user alice}", "acct:group:developers"},
		{"two letters swapped", "root", "- !grant {role: !group devleopers, member: !user alice}", "acct:group:developers"},
		{"a large letter", "root", "- !grant {role: !group Developers, member: !user alice}", "acct:group:developers"},
		{"dashes", "root", "- !grant {role: !group my_team_a, member: !user alice}", "acct:group:my-team_a"},
		{"a misspelt branch", "root", "- !permit {role: !user alice, privilege: read, resource: !variable ap/db/password}", "acct:variable:app/db/password"},
		{"of the same text, two letters off", "root", "- !group engineering\n- !grant {role: !group enginering1, member: !user alice}", "acct:group:engineering"},
		{"of the same text, in another branch", "root", "- !policy {id: shop, body: [!group sellers]}\n- !grant {role: !group sellers, member: !user alice}", "acct:group:shop/sellers"},
		{"a branch named twice", "app", "- !permit {role: !group operators, privilege: read, resource: !variable app/db/password}", "acct:variable:app/db/password"},
		{"a member of a branch around", "app/db", "- !grant {role: !group admins, member: !group operators}", "acct:group:app/operators' (here: /app/operators)"},
		{"a user at the top", "app", "- !grant {role: !group operators, member: !user alice}", "acct:user:alice' (here: /alice)"},
		{"what is granted has to be inside", "app", "- !grant {role: !group developers, member: !user /alice}", ""},
		{"what is permitted has to be inside", "app", "- !permit {role: !user /alice, privilege: read, resource: !variable wrong}", ""},
		{"another kind", "root", "- !grant {role: !group developers, member: !host web}", "acct:layer:web"},
		{"no variable is a role", "root", "- !grant {role: !group developers, member: !group wrng}", ""},
		{"digits are no slips", "root", "- !grant {role: !group host-7, member: !user alice}", ""},
		{"too short to tell", "root", "- !grant {role: !group we, member: !user alice}", ""},
		{"nothing is near", "root", "- !grant {role: !group accountants, member: !user alice}", ""},
		{"what the caller does not see", "root", "- !grant {role: !group hidden-grop, member: !user alice}", ""},
		{"an owner", "root", "- !variable {id: x, owner: !group develpers}", "acct:group:developers"},
		{"a layer of a host factory", "root", "- !host-factory {id: f, layers: [!layer wep]}", "acct:layer:web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newPlanWorld(t, 1)
			if err := w.into(into{text: given}); err != nil {
				t.Fatal(err)
			}
			want := "Declare it before it is used, or correct its id."
			if c.meant != "" {
				want += " Did you mean '" + c.meant
				if want += "'"; strings.HasSuffix(c.meant, ")") {
					want = strings.TrimSuffix(want, "'")
				}
				want += "?"
			}
			if got := w.advice(Load{Policy: ident.ID("acct:policy:" + c.policy)}, c.text); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Run("each of several", func(t *testing.T) {
		w := newPlanWorld(t, 1)
		if err := w.into(into{text: given}); err != nil {
			t.Fatal(err)
		}
		got := w.advice(Load{Policy: "acct:policy:root"}, "- !grant {role: !group developrs, members: [!user alize, !user bob]}")
		want := "Missing altogether: acct:group:developrs (did you mean 'acct:group:developers'?), acct:user:alize (did you mean 'acct:user:alice'?), acct:user:bob. " +
			"Declare them before they are used, or correct their ids."
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	t.Run("what a replacing load removes is no suggestion", func(t *testing.T) {
		w := newPlanWorld(t, 1)
		if err := w.into(into{text: given}); err != nil {
			t.Fatal(err)
		}
		got := w.advice(Load{Mode: Replace, Policy: "acct:policy:root"}, "- !user alice\n- !grant {role: !group developrs, member: !user alice}")
		if strings.Contains(got, "mean") {
			t.Error(got)
		}
	})
}

// Given two accounts that differ in nothing but what the caller does not see: whatever
// is missing, the advice is the same and so is the work that it took.
func TestSuggestionsTellNothingOfWhatIsHidden(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	letters := []string{"a", "b", "-", "/", "_", "c", "B", "1", "."}
	name := func() string {
		var b strings.Builder
		for range 3 + random.IntN(4) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return strings.Trim(b.String(), "/")
	}
	suggested := 0
	for range 60 {
		seen, hidden := map[string]bool{}, map[string]bool{}
		var some, more strings.Builder
		for range 60 {
			id := name()
			switch {
			case id == "" || seen[id] || hidden[id]:
			case random.IntN(2) == 0:
				seen[id] = true
				fmt.Fprintf(&some, "- !group '%s'\n", id)
			default:
				hidden[id] = true
				fmt.Fprintf(&more, "- !group '%s'\n", id)
			}
		}
		without, with := newPlanWorld(t, 1), newPlanWorld(t, 1)
		for _, err := range []error{without.into(into{text: some.String()}), with.into(into{text: some.String()}), with.into(into{text: more.String()})} {
			if err != nil {
				t.Fatal(err)
			}
		}
		sees := func(x *rbac.Resource) bool { return seen[x.ID.Identifier()] }
		for range 40 {
			missing := name()
			if missing == "" || seen[missing] || hidden[missing] {
				continue
			}
			a := absence{Reference: Reference{ID: ident.New("acct", "group", missing)}, role: true}
			ask := func(w *planWorld) (string, int, int) {
				p := &planner{g: w.graph, tx: w.graph.Begin(), account: "acct", in: Load{Policy: "acct:policy:root", Visible: sees}}
				s := p.suggester(&Resolved{})
				return s.suggest(a), s.lookups, s.comparisons
			}
			got, lookups, comparisons := ask(with)
			want, fewLookups, fewComparisons := ask(without)
			if got != want || lookups != fewLookups || comparisons != fewComparisons {
				t.Errorf("%s: %s after %d and %d with what is hidden, %s after %d and %d without", missing, got, lookups, comparisons, want, fewLookups, fewComparisons)
			}
			if got != "" {
				suggested++
			}
		}
	}
	if suggested < 200 {
		t.Errorf("%d suggestions are too few to mean anything", suggested)
	}
}

// crowd is an account with many groups, and a text that declares many and refers to
// many that are not there.
func crowd(tb testing.TB, groups, declared, missing int) (*planner, *Resolved) {
	g := newAccount().graph(tb)
	tx := g.Begin() // never taken back: they are there
	p := &planner{g: g, account: "acct", in: Load{Policy: "acct:policy:root", Now: planTime, Visible: visible}, roles: map[ident.ID]bool{}}
	for i := range groups {
		(&planner{g: g, tx: tx, account: "acct", in: p.in}).own(ident.New("acct", "group", fmt.Sprintf("department/%d/%s", i, strings.Repeat("hidden", 9))), g.Role("acct:user:admin"))
	}
	p.tx = g.Begin()
	r := &Resolved{}
	for i := range declared {
		id := ident.New("acct", "group", fmt.Sprint("department/", i, strings.Repeat("x", 60)))
		r.Records, p.roles[id] = append(r.Records, Record{ID: id, Role: true}), true
	}
	for i := range missing {
		p.miss(absence{Reference: Reference{ID: ident.New("acct", "group", fmt.Sprint("department/", i, "/", strings.Repeat("y", 60)))}, role: true})
	}
	return p, r
}

// What an error costs is bounded, whatever the sizes of the account and of the text.
func TestSuggestionsAreBounded(t *testing.T) {
	spent := func(groups, declared, missing int) (lookups, comparisons int) {
		p, r := crowd(t, groups, declared, missing)
		s := p.suggester(r)
		for _, a := range p.missing[:min(missing, shownMissing)] {
			s.suggest(a)
		}
		return s.lookups, s.comparisons
	}
	lookups, comparisons := spent(20_000, 20_000, 100)
	// Each of the missing asks for some ids more: other kinds, declared names.
	if lookups > mostLookups+mostComparisons+20*shownMissing || comparisons > mostComparisons+2*shownMissing {
		t.Errorf("%d lookups and %d comparisons", lookups, comparisons)
	}
	few, _ := spent(10, 20_000, 100)
	if few != lookups {
		t.Errorf("%d lookups in a small account, %d in a large one", few, lookups)
	}
}

// BenchmarkSuggestion is the worst that an error can ask for: as many missing ids as
// are shown, each long, with nothing near it.
func BenchmarkSuggestion(b *testing.B) {
	for _, groups := range []int{100, 200_000} {
		b.Run(fmt.Sprint("groups=", groups), func(b *testing.B) {
			p, r := crowd(b, groups, 1000, shownMissing)
			for b.Loop() {
				if err := p.missingError(r); err == nil {
					b.Fatal("nothing is missing")
				}
			}
		})
	}
}
