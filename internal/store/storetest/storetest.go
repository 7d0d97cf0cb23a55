// Package storetest is the conformance suite of the store: every engine runs it,
// and what it does not test the store does not promise.
//
// It imports store, row and ident.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
)

// Run tests an engine. open gives an empty store of its own to each test; reopen
// closes a store and opens the same rows again. Both fail the test on errors, and
// the test closes what they return.
func Run(t *testing.T, open func(*testing.T) store.Store, reopen func(*testing.T, store.Store) store.Store) {
	suite := []struct {
		name string
		test func(*fixture)
	}{
		{"each row type is inserted, updated and deleted", eachRowType},
		{"rows load in the order of their references and keys", loadOrder},
		{"a load is one snapshot and ends with its visitor", loadSnapshot},
		{"deleting takes along what belongs to the row", cascades},
		{"a missing or existing row is refused", existence},
		{"a reference to a missing row is refused and named", references},
		{"the order of changes within a set does not matter for references", orderWithinSet},
		{"conditions hold at the moment of the commit", conditions},
		{"sets of one transaction see each other but fail alone", isolation},
		{"exactly one data key is active", oneActiveDataKey},
		{"what cannot be stored is refused alone", unstorable},
		{"a context that has ended stores nothing", endedContext},
		{"single reads", reads},
		{"deliveries are listed from both ends", deliveries},
		{"everything is exported in one snapshot", exports},
		{"an empty store imports everything or nothing", imports},
		{"a failed look at an import leaves nothing", importsVisitorError},
		{"ids and texts of any bytes", oddTexts},
		{"large values", largeValues},
		{"nothing works after Close", closed},
		{"random sets behave as in a simple model", randomSets},
	}
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			f := &fixture{T: t, store: open(t), reopen: reopen}
			defer func() {
				if err := f.store.Close(); err != nil {
					t.Error("closing:", err)
				}
			}()
			c.test(f)
		})
	}
}

// fixture is a store under test.
type fixture struct {
	*testing.T
	store  store.Store
	reopen func(*testing.T, store.Store) store.Store
}

var (
	ctx = context.Background()
	now = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
)

const (
	admin    = ident.ID("acme:user:admin")
	alice    = ident.ID("acme:user:alice")
	group    = ident.ID("acme:group:ops")
	policy   = ident.ID("acme:policy:root")
	variable = ident.ID("acme:variable:db/password")
	factory  = ident.ID("acme:host_factory:web")
)

// base is a small account that most tests begin with.
func (f *fixture) base() {
	f.Helper()
	f.must(inserts(
		row.Account{Name: "acme", CreatedAt: now},
		row.Role{ID: admin, CreatedAt: now},
		row.APIKey{Role: admin, Digest: [32]byte{255}, RotatedAt: now},
		row.Role{ID: alice, CreatedAt: now, Policy: policy},
		row.Role{ID: group, CreatedAt: now, Policy: policy},
		row.Role{ID: policy, CreatedAt: now},
		row.Resource{ID: policy, Owner: admin, CreatedAt: now},
		row.Resource{ID: variable, Owner: policy, CreatedAt: now, Policy: policy},
		row.Resource{ID: factory, Owner: policy, CreatedAt: now, Policy: policy},
	))
}

func set(op row.Op, rows ...row.Row) *row.Set {
	s := &row.Set{}
	for _, r := range rows {
		s.Add(op, r)
	}
	return s
}

func inserts(rows ...row.Row) *row.Set { return set(row.Insert, rows...) }
func updates(rows ...row.Row) *row.Set { return set(row.Update, rows...) }
func deletes(rows ...row.Row) *row.Set { return set(row.Delete, rows...) }

// requiring is a set that inserts r if the conditions hold.
func requiring(r row.Row, conditions ...row.Condition) *row.Set {
	s := inserts(r)
	s.Require = conditions
	return s
}

// commit stores sets in one transaction and returns the results.
func (f *fixture) commit(sets ...*row.Set) []error {
	f.Helper()
	results, err := f.store.Commit(ctx, sets)
	if err != nil {
		f.Fatal("the transaction failed:", err)
	}
	if len(results) != len(sets) {
		f.Fatalf("%d results for %d sets", len(results), len(sets))
	}
	return results
}

// must stores sets that have to be accepted.
func (f *fixture) must(sets ...*row.Set) {
	f.Helper()
	for i, err := range f.commit(sets...) {
		if err != nil {
			f.Fatalf("set %d: %v", i, err)
		}
	}
}

// refused commits a set that has to be refused with ErrChanged, in words that
// contain each of names, and has to leave everything as it was.
func (f *fixture) refused(s *row.Set, names ...string) {
	f.Helper()
	before := f.load()
	err := f.commit(s)[0]
	if !errors.Is(err, store.ErrChanged) {
		f.Fatalf("%+v: got %v, want ErrChanged", s, err)
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			f.Errorf("%q does not name %q", err, name)
		}
	}
	f.same(f.load(), before)
}

// load returns all rows, as they come.
func (f *fixture) load() (rows []row.Row) {
	f.Helper()
	if err := f.store.Load(ctx, func(r row.Row) error { rows = append(rows, r); return nil }); err != nil {
		f.Fatal("load:", err)
	}
	return rows
}

func (f *fixture) has(r row.Row) bool {
	f.Helper()
	return slices.ContainsFunc(f.load(), func(other row.Row) bool { return reflect.DeepEqual(r, other) })
}

func (f *fixture) same(got, want []row.Row) {
	f.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	for _, r := range got {
		if !slices.ContainsFunc(want, func(w row.Row) bool { return reflect.DeepEqual(r, w) }) {
			f.Errorf("not expected: %s", shorten(r))
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(r row.Row) bool { return reflect.DeepEqual(r, w) }) {
			f.Errorf("missing: %s", shorten(w))
		}
	}
	f.Fatalf("the rows differ, or their order: got %d, want %d", len(got), len(want))
}

func shorten(r row.Row) string {
	text := fmt.Sprintf("%#v", r)
	return text[:min(len(text), 400)]
}

// restart closes the store and opens it again.
func (f *fixture) restart() {
	f.Helper()
	f.store = f.reopen(f.T, f.store)
}
