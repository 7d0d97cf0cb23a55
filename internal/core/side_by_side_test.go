package core_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"rekey/internal/rbac"
	"rekey/internal/row"
)

// history is what was stored by loads: the number that each has in its text, and the
// changes of each, in the order in which they became durable.
type history struct {
	order   []int
	changes map[int][]string
}

// take notes a set that was stored.
func (h *history) take(set *row.Set) {
	number, lines := -1, []string{}
	for _, c := range set.Changes {
		switch r := c.Row.(type) {
		case row.PolicyVersion:
			if c.Op == row.Insert {
				fmt.Sscanf(r.Text, "# %d\n", &number)
			}
			r.Role = ""
			c.Row = r
		case row.APIKey:
			r.Digest, r.Sealed = [32]byte{}, nil
			c.Row = r
		case row.Secret:
			r.Sealed = nil
			c.Row = r
		}
		lines = append(lines, fmt.Sprintf("%d %T %+v", c.Op, c.Row, c.Row))
	}
	slices.Sort(lines)
	if number >= 0 {
		h.order = append(h.order, number)
		h.changes[number] = lines
	}
}

// sameRows are all rows but what is drawn at random.
func (w *world) sameRows() map[string]string {
	rows := map[string]string{}
	for k, r := range w.stored() {
		if key, ok := r.(row.APIKey); ok {
			key.Digest = [32]byte{}
			r = key
		}
		rows[k] = fmt.Sprintf("%+v", r)
	}
	return rows
}

// Given clients that load random policies at once, into one branch and into several, on
// a store that refuses some sets and loses some transactions: what was acknowledged is
// what the same loads lead to one after the other, in the order in which they became
// durable, load by load; what was refused changed nothing.
func TestLoadsSideBySideAreLoadsOneAfterTheOther(t *testing.T) {
	const clients, each = 8, 25
	shared, refused := 0, 0
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t)
			w.lay()
			stored := &history{changes: map[int][]string{}}
			faults := rand.New(rand.NewPCG(seed, 1))
			w.watchCommits(func(sets []*row.Set, store func() ([]error, error)) ([]error, error) {
				if faults.IntN(30) == 0 {
					return nil, errors.New("the disk is tired")
				}
				for _, set := range sets {
					if set.Chained && faults.IntN(10) == 0 {
						set.Require = append(set.Require, row.RoleExists{Role: "acme:user:none"})
					}
				}
				results, err := store()
				if err != nil {
					return results, err
				}
				if len(sets) > 1 {
					shared++
				}
				for i, set := range sets {
					if results[i] == nil {
						stored.take(set)
					} else {
						refused++
					}
				}
				return results, nil
			})
			var mu sync.Mutex
			texts, done := map[int]attempt{}, map[int]bool{}
			together(clients, func(i int) {
				a := &author{Rand: rand.New(rand.NewPCG(seed, uint64(100+i)))}
				for n := range each {
					number := i*each + n
					try := a.attempt()
					try.text = fmt.Sprintf("# %d\n%s", number, try.text)
					mu.Lock()
					texts[number] = try
					mu.Unlock()
					err := w.try(try)
					mu.Lock()
					done[number] = err == nil
					mu.Unlock()
					if s := status(err); s != 200 && s != 404 && s != 422 && s != 503 {
						t.Errorf("%v of\n%s", err, try.text)
					}
				}
			})
			w.watchCommits(nil)
			var live string
			w.View(func(g *rbac.Graph) { live = dump(g) })

			again := newWorld(t)
			again.lay()
			replayed := &history{changes: map[int][]string{}}
			again.watchCommits(func(sets []*row.Set, store func() ([]error, error)) ([]error, error) {
				for _, set := range sets {
					replayed.take(set)
				}
				return store()
			})
			for _, number := range stored.order {
				if !done[number] {
					t.Errorf("load %d was stored and not acknowledged", number)
				}
				delete(done, number)
				if err := again.try(texts[number]); err != nil {
					t.Fatalf("alone: %v of\n%s", err, texts[number].text)
				}
				if got, want := stored.changes[number], replayed.changes[number]; !slices.Equal(got, want) {
					t.Fatalf("side by side, load %d led to\n%s\nand alone to\n%s\nof\n%s", number, strings.Join(got, "\n"), strings.Join(want, "\n"), texts[number].text)
				}
			}
			for number, acknowledged := range done {
				if acknowledged {
					t.Errorf("load %d was acknowledged and not stored", number)
				}
			}
			got, want := w.sameRows(), again.sameRows()
			for k := range want {
				if got[k] != want[k] {
					t.Errorf("%s is %s side by side, and %s alone", k, got[k], want[k])
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d rows side by side, %d alone", len(got), len(want))
			}
			w.reopen()
			w.View(func(g *rbac.Graph) {
				if restarted := dump(g); restarted != live {
					t.Errorf("memory was\n%s\nand after a restart is\n%s", live, restarted)
				}
			})
		})
	}
	t.Logf("%d transactions were shared, %d sets refused", shared, refused)
	if !t.Failed() && (shared < 20 || refused < 20) {
		t.Errorf("too tame: %d transactions were shared, %d sets refused", shared, refused)
	}
}
