package policy

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// How much the random test does: worlds, and loads that are tried in each. A step is
// a plan made, taken back, applied or refused.
const (
	planWorlds    = 200
	loadsPerWorld = 30
)

var planTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// newAccount is an account with nothing but its administrator and root policy.
func newAccount() rows {
	s := rows{}
	for _, id := range []ident.ID{"acct:user:admin", "acct:policy:root"} {
		s.put(row.Role{ID: id})
		s.put(row.Resource{ID: id, Owner: "acct:user:admin"})
		s.put(row.Membership{Role: id, Member: "acct:user:admin", Ownership: true, Admin: true})
	}
	s.put(row.APIKey{Role: "acct:user:admin"})
	return s
}

// Given any account, whatever text is loaded in whatever mode into whatever policy:
// the plan leads to what the rules say, or is refused where they say so; taken back,
// it leaves no trace; made again, it is the same; stored and applied, it leads to what
// was planned, and so does a graph made from scratch of the stored rows; and the same
// text loaded again changes nothing.
func TestPlansFollowTheRules(t *testing.T) {
	steps, loaded := 0, map[Mode]int{}
	for seed := range int64(planWorlds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newPlanWorld(t, seed)
			for range loadsPerWorld {
				w.load(loaded)
			}
			if d := difference(rowsOf(t, w.state.graph(t)), w.state); d != "" {
				t.Fatalf("made from scratch:\n%s", d)
			}
			steps += w.steps
		})
	}
	t.Logf("%d steps; loads done: %d to add, %d to modify, %d to replace", steps, loaded[Add], loaded[Modify], loaded[Replace])
	for _, mode := range []Mode{Add, Modify, Replace} {
		if loaded[mode] < planWorlds*loadsPerWorld/12 && !t.Failed() {
			t.Errorf("%d loads in mode %d are too few to mean anything", loaded[mode], mode)
		}
	}
}

type planWorld struct {
	*testing.T
	author
	graph *rbac.Graph
	state rows
	steps int
	keys  uint64 // drawn so far
}

func newPlanWorld(t *testing.T, seed int64) *planWorld {
	t.Helper()
	w := &planWorld{T: t, author: author{Rand: rand.New(rand.NewSource(seed))}, state: newAccount()}
	w.graph = w.state.graph(t)
	return w
}

// load tries one random load.
func (w *planWorld) load(loaded map[Mode]int) {
	w.Helper()
	in := Load{Mode: Mode(w.Intn(3)), Policy: w.somePolicy(), Now: planTime.Add(time.Duration(w.steps) * time.Second), APIKeyDefault: w.Intn(4) > 0}
	text := w.document(w.state, in.Policy, in.Mode != Add && w.Intn(2) == 0)
	owner, _ := w.state.resource(in.Policy)
	resolved, err := resolve(text, Scope{Account: "acct", Policy: in.Policy, Owner: owner.Owner})
	if err != nil {
		if !strings.Contains(err.Error(), "Dependency cycle") && !strings.Contains(err.Error(), "declared more than once") {
			w.Fatalf("%v in\n%s", err, text)
		}
		return
	}
	want, refused := expect(w.state, resolved, in)
	changes, planned, err := w.plan(resolved, in, want, text)
	if d := difference(rowsOf(w.T, w.graph), w.state); d != "" {
		w.Fatalf("taken back, the plan left:\n%s\n%s", d, text)
	}
	if (err != nil) != (refused != nil) {
		w.Fatalf("mode %d: got error %v, want %v, of\n%s\nin\n%s", in.Mode, err, refused, text, difference(w.state, nil))
	}
	if err != nil {
		w.steps++
		return
	}
	_, again, err := w.plan(resolved, in, want, text)
	if err != nil || !reflect.DeepEqual(planned, again) {
		w.Fatalf("planned again: %v\n%+v\n%+v", err, planned, again)
	}
	w.apply(w.withCredentials(changes, planned), text)
	loaded[in.Mode]++
	if len(resolved.Removals) == 0 {
		changes, planned, err := w.plan(resolved, in, nil, text)
		planned.PublicKeys, planned.Users = nil, nil
		if err != nil || len(changes) > 0 || !reflect.DeepEqual(planned, &Planned{}) {
			w.Fatalf("mode %d: loaded again: %v\n%+v\n%+v\n%s", in.Mode, err, changes, planned, text)
		}
	}
	w.aside()
}

// plan plans and takes back, and compares what was meanwhile with what is wanted.
func (w *planWorld) plan(r *Resolved, in Load, want *expectation, text string) ([]row.Change, *Planned, error) {
	w.Helper()
	tx := w.graph.Begin()
	defer tx.Rollback()
	planned, err := r.Plan(w.graph, tx, in)
	w.steps += 2
	if err != nil || want == nil {
		return tx.Changes(), planned, err
	}
	if d := difference(rowsOf(w.T, w.graph), want.rows); d != "" {
		w.Fatalf("mode %d: planned:\n%s\n%s", in.Mode, d, text)
	}
	byRole := func(a, b row.Restriction) int { return strings.Compare(string(a.Role), string(b.Role)) }
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"new keys", sorted(planned.NewKeys), sorted(want.newKeys)},
		{"lost keys", sorted(planned.LostKeys), sorted(want.lostKeys)},
		{"restrictions", slices.SortedFunc(slices.Values(planned.Restrictions), byRole), slices.SortedFunc(slices.Values(want.restrictions), byRole)},
		{"public keys", planned.PublicKeys, want.publicKeys},
		{"users", sorted(planned.Users), sorted(want.users)},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			w.Fatalf("mode %d: %s: got %v, want %v, of\n%s", in.Mode, c.what, c.got, c.want, text)
		}
	}
	return tx.Changes(), planned, nil
}

func sorted(ids []ident.ID) []ident.ID { return slices.Sorted(slices.Values(ids)) }

// withCredentials completes a plan with keys, networks and values.
func (w *planWorld) withCredentials(changes []row.Change, planned *Planned) []row.Change {
	set := row.Set{Changes: slices.Clone(changes)}
	for _, id := range planned.NewKeys {
		w.keys++
		key := row.APIKey{Role: id}
		binary.BigEndian.PutUint64(key.Digest[:], w.keys)
		set.Add(row.Insert, key)
	}
	for _, id := range planned.LostKeys {
		set.Add(row.Delete, row.APIKey{Role: id})
	}
	for _, r := range planned.Restrictions {
		_, had := w.state[rowKey(r)]
		switch {
		case len(r.Networks) == 0:
			set.Add(row.Delete, r)
		case had:
			set.Add(row.Update, r)
		default:
			set.Add(row.Insert, r)
		}
	}
	versions := map[ident.ID]int{}
	for _, k := range planned.PublicKeys {
		versions[k.Resource]++
		set.Add(row.Insert, row.Secret{Resource: k.Resource, Version: w.state.latest(k.Resource) + versions[k.Resource]})
	}
	return set.Changes
}

// apply makes changes durable, then takes them into the graph.
func (w *planWorld) apply(changes []row.Change, text string) {
	w.Helper()
	if err := w.state.store(changes); err != nil {
		w.Fatalf("the store would refuse the plan: %v\n%s", err, text)
	}
	if err := w.graph.Apply(&row.Set{Changes: changes}); err != nil {
		w.Fatalf("%v\n%s", err, text)
	}
	if d := difference(rowsOf(w.T, w.graph), w.state); d != "" {
		w.Fatalf("applied:\n%s\n%s", d, text)
	}
	w.steps++
}

func (w *planWorld) somePolicy() ident.ID {
	policies := []ident.ID{"acct:policy:root"}
	for _, key := range slices.Sorted(maps.Keys(w.state)) {
		if x, ok := w.state[key].(row.Resource); ok && x.ID.Kind() == "policy" {
			policies = append(policies, x.ID)
		}
	}
	return policies[w.Intn(len(policies))]
}

// aside changes what loads do not: values are set, and members are added that belong
// to no policy.
func (w *planWorld) aside() {
	var changes []row.Change
	var roles []ident.ID
	for _, key := range slices.Sorted(maps.Keys(w.state)) {
		switch r := w.state[key].(type) {
		case row.Role:
			roles = append(roles, r.ID)
		case row.Resource:
			if r.ID.Kind() == "variable" && w.Intn(4) == 0 {
				changes = append(changes, row.Change{Op: row.Insert, Row: row.Secret{Resource: r.ID, Version: w.state.latest(r.ID) + 1}})
			}
		}
	}
	m := row.Membership{Role: roles[w.Intn(len(roles))], Member: roles[w.Intn(len(roles))]}
	if _, ok := w.state[rowKey(m)]; !ok && w.Intn(4) == 0 {
		changes = append(changes, row.Change{Op: row.Insert, Row: m})
	}
	w.apply(changes, "")
}
