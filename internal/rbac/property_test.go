package rbac

import (
	"fmt"
	"slices"
	"testing"

	"rekey/internal/row"
)

// How much the random test does: a step is a change set that is planned and rolled
// back, one that is applied, or a question that is compared.
const (
	worlds         = 400
	changesPerRun  = 20
	questionsAfter = 10
)

// Given any graph, whatever is planned on it: the questions asked meanwhile are
// answered as if the plan were real; Rollback leaves no trace; the changes written
// down, made durable and applied, lead to what was planned; and a graph made from
// scratch of the durable rows is the same.
func TestGraphIsWhatItsRowsSay(t *testing.T) {
	steps := 0
	for seed := range int64(worlds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(seed)
			g, o := New(), newOracle()
			g.limits = w.limits()
			for range changesPerRun {
				if w.Intn(4) == 0 {
					steps += w.change(t, g, o)
				}
				o = w.planned(t, g, o, &steps)
				for range questionsAfter {
					must(t, w.ask(g, o))
					steps++
				}
			}
			again := load(t, o.loadOrder())
			again.limits = w.limits()
			if g.Searchable() && !again.UseSearch(again.NewSearch()) {
				t.Fatal("a fresh index was refused")
			}
			requireEqual(t, again, o, "made from scratch")
			for range questionsAfter {
				must(t, w.ask(again, o))
				steps++
			}
		})
	}
	if t.Logf("%d steps", steps); steps < 100_000 && !t.Failed() {
		t.Errorf("%d steps are too few to mean anything", steps)
	}
}

// change applies changes that are not planned by a Tx.
func (w *world) change(t *testing.T, g *Graph, o *oracle) (steps int) {
	t.Helper()
	if !g.Searchable() && !g.UseSearch(g.NewSearch()) {
		t.Fatal("a fresh index was refused")
	}
	for range w.Intn(12) {
		if c, ok := w.other(o); ok {
			if err := g.Apply(&row.Set{Changes: []row.Change{c}}); err != nil {
				t.Fatal(err)
			}
			steps++
		}
	}
	requireEqual(t, g, o, "after unplanned changes")
	return steps
}

// planned plans changes, asks, rolls back, and mostly applies what was planned. It
// returns the oracle of what then is.
func (w *world) planned(t *testing.T, g *Graph, before *oracle, steps *int) *oracle {
	t.Helper()
	after := before.clone()
	tx := g.Begin()
	for range 1 + w.Intn(12) {
		if w.plan(tx, after) && w.Intn(3) == 0 {
			must(t, w.ask(g, after))
			*steps++
		}
	}
	requireEqual(t, g, after, "while planning")
	if key := after.dangling(); key != "" {
		t.Fatalf("%s refers to what is not there", key)
	}
	tx.Rollback()
	*steps++
	requireEqual(t, g, before, "after rolling back")
	if w.Intn(4) == 0 {
		return before
	}
	durable := before.clone()
	for _, c := range tx.Changes() {
		if err := durable.apply(c); err != nil {
			t.Fatalf("the store would refuse what was planned: %v", err)
		}
	}
	if d := difference(durable.lines(), after.lines()); d != "" {
		t.Fatalf("the store would have something else than was planned:\n%s", d)
	}
	w.assumed(t, g, before, durable, tx.Changes())
	*steps++
	if err := g.Apply(&row.Set{Changes: tx.Changes()}); err != nil {
		t.Fatal(err)
	}
	*steps++
	requireEqual(t, g, after, "after applying")
	return after
}

// assumed assumes a set that is on its way, with whatever else may be in it, and another
// one on top of it, and plans on top of both. Taken back, all that leaves no trace.
func (w *world) assumed(t *testing.T, g *Graph, before, durable *oracle, changes []row.Change) {
	t.Helper()
	then := durable.clone()
	first, second := &row.Set{Changes: slices.Clone(changes)}, &row.Set{}
	for range w.Intn(12) {
		switch c, ok := w.other(then); c.Row.(type) {
		case row.Account, row.SigningKey, row.HostFactoryToken:
			if ok {
				w.assumed(t, g, before, durable, changes) // with luck there is none of these
				return
			}
		default:
			set := second
			if len(second.Changes) == 0 && w.Intn(2) == 0 {
				set = first
			}
			if ok {
				set.Changes = append(set.Changes, c)
			}
		}
	}
	under := g.Begin()
	for _, set := range []*row.Set{first, second} {
		if err := under.Assume(set); err != nil {
			t.Fatal(err)
		}
	}
	requireEqual(t, g, then, "while assuming")
	over := g.Begin()
	for range w.Intn(12) {
		w.plan(over, then)
	}
	requireEqual(t, g, then, "while planning on top")
	over.Rollback()
	under.Rollback()
	requireEqual(t, g, before, "after taking back what was assumed")
	if len(under.Changes()) > 0 {
		t.Fatal("what is assumed is planned")
	}
	misfit := g.Begin()
	if err := misfit.Assume(&row.Set{Changes: append(slices.Clone(changes), row.Change{Op: row.Delete, Row: row.Role{ID: "none"}})}); err == nil {
		t.Fatal("a set that does not fit is assumed")
	}
	misfit.Rollback()
	requireEqual(t, g, before, "after a set that does not fit")
}
