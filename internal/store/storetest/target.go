package storetest

import (
	"errors"
	"testing"

	"rekey/internal/row"
	"rekey/internal/store"
)

// Place is where an engine keeps one store; each call opens it anew.
type Place struct {
	Store  func() (store.Store, error)
	Target func() (store.Target, error)
}

// RunTargets tests how an engine is copied into. place gives an empty one to each test.
func RunTargets(t *testing.T, place func(*testing.T) Place) {
	for name, test := range map[string]func(*fixture, Place){
		"portions are kept, and nobody sees them before the end": portions,
		"of two who copy one stops":                              twoCopies,
		"what is begun can be discarded":                         discards,
		"a store that is not empty is left as it is":             keepsStores,
	} {
		t.Run(name, func(t *testing.T) { test(&fixture{T: t}, place(t)) })
	}
}

func (f *fixture) target(p Place) store.Target {
	f.Helper()
	target, err := p.Target()
	if err != nil {
		f.Fatal(err)
	}
	return target
}

func (f *fixture) ok(errs ...error) {
	f.Helper()
	if err := errors.Join(errs...); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) progress(target store.Target, want string) {
	f.Helper()
	got, err := target.Progress(ctx)
	if err != nil || string(got) != want || (got == nil) != (want == "") {
		f.Fatalf("the progress is %q, %v; want %q", got, err, want)
	}
}

// unopened: nobody can open a store that is not complete.
func (f *fixture) unopened(p Place) {
	f.Helper()
	if _, err := p.Store(); !errors.Is(err, store.ErrUnfinished) {
		f.Errorf("opening it as a store: %v", err)
	}
}

// opened has these rows, and takes more.
func (f *fixture) opened(p Place, want []row.Row) {
	f.Helper()
	s, err := p.Store()
	if err != nil {
		f.Fatal(err)
	}
	f.store = s
	f.same(f.export(), want)
	f.must(inserts(row.Role{ID: "acme:user:late"}))
	f.ok(s.Close())
}

func portions(f *fixture, p Place) {
	want := everything()
	target := f.target(p)
	f.progress(target, "")
	f.ok(target.Begin(ctx, []byte("0")))
	for i, r := range want {
		if i%5 == 0 { // another process goes on
			f.ok(target.Close())
			f.unopened(p)
			target = f.target(p)
		}
		f.progress(target, string(rune('0'+i)))
		f.ok(target.Put(ctx, []row.Row{r}, []byte{byte('0' + i)}, []byte{byte('1' + i)}))
	}
	f.same(exported(f, func(visit func(row.Row) error) error { return target.Export(ctx, visit) }), want)
	f.ok(target.End(ctx, []byte{byte('0' + len(want))}))
	f.progress(target, "")
	f.ok(target.Close())
	f.opened(p, want)
}

func twoCopies(f *fixture, p Place) {
	rows := everything()
	target := f.target(p)
	f.ok(target.Begin(ctx, []byte("0")))
	if err := target.Begin(ctx, []byte("1")); !errors.Is(err, store.ErrChanged) && !errors.Is(err, store.ErrNotEmpty) {
		f.Errorf("beginning again: %v", err)
	}
	f.ok(target.Put(ctx, rows[:3], []byte("0"), []byte("3")))
	for _, err := range []error{target.Put(ctx, rows[:4], []byte("0"), []byte("4")), target.End(ctx, []byte("0"))} {
		if !errors.Is(err, store.ErrChanged) {
			f.Errorf("whose progress is not there any more: %v", err)
		}
	}
	f.progress(target, "3")
	f.same(exported(f, func(visit func(row.Row) error) error { return target.Export(ctx, visit) }), rows[:3])
	f.ok(target.Close())
}

func discards(f *fixture, p Place) {
	rows := everything()
	target := f.target(p)
	if err := target.Discard(ctx); !errors.Is(err, store.ErrChanged) {
		f.Errorf("nothing was begun: %v", err)
	}
	f.ok(target.Begin(ctx, []byte("0")), target.Put(ctx, rows, []byte("0"), []byte("1")), target.Discard(ctx))
	f.progress(target, "")
	f.ok(target.Begin(ctx, []byte("0")), target.Put(ctx, rows[:2], []byte("0"), []byte("2")), target.End(ctx, []byte("2")))
	f.ok(target.Close())
	f.opened(p, rows[:2])
}

func keepsStores(f *fixture, p Place) {
	s, err := p.Store()
	f.ok(err)
	f.store = s
	f.base()
	want := f.export()
	f.ok(s.Close())
	target := f.target(p)
	if err := target.Begin(ctx, []byte("0")); !errors.Is(err, store.ErrNotEmpty) {
		f.Errorf("got %v", err)
	}
	f.progress(target, "")
	if err := target.Discard(ctx); !errors.Is(err, store.ErrChanged) {
		f.Errorf("discarded: %v", err)
	}
	f.ok(target.Close())
	f.opened(p, want)
}
