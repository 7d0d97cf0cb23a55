package backup_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/backup"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
)

func newRoot(t testing.TB, name string) *seal.Root {
	t.Helper()
	text, err := seal.NewRootText(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.ParseRoot(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func newStore(t testing.TB) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

const (
	admin  = ident.ID("acme:user:admin")
	idle   = ident.ID("acme:variable:idle")
	unseen = ident.ID("acme:variable:unseen")
	broken = ident.ID("acme:variable:broken")
	rests  = ident.ID("acme:variable:rests")
)

// filled is a store with rotations in several states, and the key that its data key is
// wrapped with.
func filled(t testing.TB) (store.Store, *seal.Root) {
	t.Helper()
	s, root := newStore(t), newRoot(t, "the root key")
	_, wrapped, err := root.NewDataKey(rand.Reader, 1)
	if err != nil {
		t.Fatal(err)
	}
	set := &row.Set{}
	add := func(rows ...row.Row) {
		for _, r := range rows {
			set.Add(row.Insert, r)
		}
	}
	add(row.DataKey{ID: 1, Wrapped: wrapped, Active: true}, row.Account{Name: "acme", CreatedAt: now}, row.Role{ID: admin})
	for _, id := range []ident.ID{idle, unseen, broken, rests} {
		add(row.Resource{ID: id, Owner: admin}, row.Annotation{Resource: id, Name: rotation.Rotator, Value: "x"}, row.Secret{Resource: id, Version: 1, Sealed: []byte(id)})
	}
	add(row.Rotation{Variable: idle, Revision: 3, Events: 7, State: rotation.Retiring, RetireAt: now, Sent: true, Candidate: true, Holder: "n", LeaseUntil: now, RequestedAt: now, RequestedBy: admin, Reconcile: true},
		row.Credential{Variable: idle, Slot: row.Candidate, Sealed: []byte{5}},
		row.Rotation{Variable: broken, Revision: 1, State: rotation.Quarantined, ErrorMessage: "why", ErrorAt: now},
		row.Rotation{Variable: rests, Revision: 1, State: rotation.Idle, PausedAt: now, PausedBy: admin, PauseReason: "holidays"},
		row.Delivery{ID: "1", Hook: "h", State: row.Waiting, NextAt: now}, row.Delivery{ID: "2", Hook: "h", State: row.Delivered})
	if results, err := s.Commit(ctx, []*row.Set{set}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	return s, root
}

func written(t testing.TB, s store.Store, key *seal.Root) ([]byte, backup.Summary) {
	t.Helper()
	var archive bytes.Buffer
	summary, err := backup.Write(ctx, &archive, s, key, rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	return archive.Bytes(), summary
}

func restore(archive []byte, key, root *seal.Root, into store.Store, act bool) (backup.Summary, error) {
	a, err := backup.Open(bytes.NewReader(archive), key)
	if err != nil {
		return backup.Summary{}, err
	}
	return a.Restore(ctx, into, root, act, now.Add(time.Hour))
}

func rows(t testing.TB, s store.Store) (all []row.Row) {
	t.Helper()
	if err := s.Export(ctx, func(r row.Row) error { all = append(all, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestARestoredStoreIsTheSameWhereItMayAct(t *testing.T) {
	from, root := filled(t)
	key := newRoot(t, "the key of the backup")
	archive, wrote := written(t, from, key)
	into := newStore(t)
	read, err := restore(archive, key, root, into, true)
	if err != nil || !reflect.DeepEqual(read, wrote) || !reflect.DeepEqual(rows(t, into), rows(t, from)) {
		t.Errorf("wrote %+v, read %+v, %v", wrote, read, err)
	}
	if wrote.Rows != len(rows(t, from)) || wrote.Tables["secrets"] != 4 || wrote.Created != now {
		t.Errorf("wrote %+v", wrote)
	}
	if _, again := written(t, into, root); again.Digest != wrote.Digest {
		t.Error("the same rows have another digest")
	}
	a, err := backup.Open(bytes.NewReader(archive), key)
	if err == nil {
		read, err = a.Verify(root)
	}
	if err != nil || read.Digest != wrote.Digest {
		t.Errorf("verified: %+v, %v", read, err)
	}
}

// Nothing is due in a restored store, whatever was under way, until somebody resumes it.
func TestARestoredStoreRests(t *testing.T) {
	from, root := filled(t)
	archive, _ := written(t, from, root)
	into := newStore(t)
	if _, err := restore(archive, root, root, into, false); err != nil {
		t.Fatal(err)
	}
	const reason = "restored from the backup of 2026-01-02T03:04:05Z"
	settings := &rotation.Settings{TTL: time.Second, Verify: time.Second, Limits: rotation.DefaultLimits()}
	found := map[ident.ID]row.Rotation{}
	var events []row.RotationEvent
	for _, r := range rows(t, into) {
		switch r := r.(type) {
		case row.Rotation:
			found[r.Variable] = r
			for _, later := range []time.Duration{2 * time.Hour, 1000 * time.Hour} {
				at := now.Add(later)
				due, check := rotation.Due(&r, settings, 2, time.Time{}, at), rotation.CheckDue(&r, settings, 2, at)
				if !due.IsZero() || !check.IsZero() {
					t.Errorf("%s is due at %v, to be checked at %v", r.Variable, due, check)
				}
			}
			if r.PausedAt.IsZero() || r.Holder != "" || !r.RequestedAt.IsZero() || r.Reconcile {
				t.Errorf("%+v", r)
			}
		case row.RotationEvent:
			events = append(events, r)
		case row.Delivery:
			if r.State == row.Waiting || (r.ID == "1") != (r.State == row.Dropped && r.Problem == reason) {
				t.Errorf("%+v", r)
			}
		}
	}
	if len(found) != 4 || len(events) != 4 {
		t.Errorf("%d rotations and %d events", len(found), len(events))
	}
	if r := found[rests]; r.PausedBy != admin || r.PauseReason != "holidays" || r.State != rotation.Suspended {
		t.Errorf("what somebody had paused: %+v", r)
	}
	if r := found[broken]; r.State != rotation.Quarantined || r.ErrorMessage != "why" || r.PauseReason != reason {
		t.Errorf("what was quarantined: %+v", r)
	}
	if r := found[idle]; r.PauseReason != reason || r.Revision != 4 || r.Events != 8 || !r.Sent {
		t.Errorf("what was under way: %+v", r)
	}
	for id, state := range map[ident.ID]string{idle: rotation.Uncertain, unseen: rotation.Idle, broken: rotation.Quarantined, rests: rotation.Idle} {
		r := found[id]
		if err := rotation.Resume(&r, ""); err != nil || r.State != state || !r.PausedAt.IsZero() {
			t.Errorf("%s, resumed: %v, %+v", id, err, r)
		}
	}
}

func TestAnArchiveIsRefused(t *testing.T) {
	from, root := filled(t)
	archive, _ := written(t, from, root)
	other := newRoot(t, "another key")
	for name, c := range map[string]struct {
		archive   []byte
		key, root *seal.Root
		want      []string
	}{
		"by another key":           {archive, other, root, []string{other.Fingerprint(), root.Fingerprint()}},
		"by another root key":      {func() []byte { b, _ := written(t, from, other); return b }(), other, other, []string{"data key 1", other.Fingerprint(), root.Fingerprint()}},
		"of a newer form":          {bytes.Replace(archive, []byte("backup\n\x01"), []byte("backup\n\x02"), 1), root, root, []string{"version 2"}},
		"that is none":             {[]byte("something else that is long enough"), root, root, []string{"this is no backup"}},
		"that is empty":            {nil, root, root, []string{"this is no backup"}},
		"without its last bytes":   {archive[:len(archive)-1], root, root, []string{"damaged"}},
		"with its moment changed":  {func() []byte { b := bytes.Clone(archive); b[20] ^= 1; return b }(), root, root, []string{"damaged"}},
		"with a byte changed":      {func() []byte { b := bytes.Clone(archive); b[len(b)/2] ^= 1; return b }(), root, root, []string{"damaged"}},
		"with something behind it": {append(bytes.Clone(archive), archive...), root, root, []string{"damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			into := newStore(t)
			_, err := restore(c.archive, c.key, c.root, into, false)
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
			if left := rows(t, into); len(left) > 0 {
				t.Errorf("%d rows are left", len(left))
			}
		})
	}
	if _, err := restore(archive, root, root, from, false); !fault.Is(err, fault.Conflict) {
		t.Errorf("into a store with rows: %v", err)
	}
}

// altered is a store that keeps something else than it was given.
type altered struct {
	store.Store
	change func(row.Row) []row.Row
}

type alteredFilling struct {
	store.Filling
	change func(row.Row) []row.Row
}

func (s altered) Import(ctx context.Context, fill func(store.Filling) error) error {
	return s.Store.Import(ctx, func(f store.Filling) error { return fill(alteredFilling{f, s.change}) })
}

func (f alteredFilling) Put(r row.Row) error {
	for _, r := range f.change(r) {
		if err := f.Filling.Put(r); err != nil {
			return err
		}
	}
	return nil
}

func TestAStoreThatKeepsSomethingElseIsNoticed(t *testing.T) {
	from, root := filled(t)
	archive, _ := written(t, from, root)
	for name, change := range map[string]func(row.Row) []row.Row{
		"a value": func(r row.Row) []row.Row {
			if s, ok := r.(row.Secret); ok {
				s.Sealed = []byte("x")
				r = s
			}
			return []row.Row{r}
		},
		"a row less": func(r row.Row) []row.Row {
			if _, ok := r.(row.Credential); ok {
				return nil
			}
			return []row.Row{r}
		},
		"a row more": func(r row.Row) []row.Row {
			if a, ok := r.(row.Account); ok {
				return []row.Row{a, row.Account{Name: "more"}}
			}
			return []row.Row{r}
		},
	} {
		into := newStore(t)
		if _, err := restore(archive, root, root, altered{into, change}, false); !fault.Is(err, fault.Internal) || len(rows(t, into)) > 0 {
			t.Errorf("%s: %v, %d rows", name, err, len(rows(t, into)))
		}
		if _, err := copied(t, from, changing{targetIn(t, t.TempDir()), change}, root); !fault.Is(err, fault.Internal) {
			t.Errorf("%s, copied: %v", name, err)
		}
	}
}

// big is a store with many rows that are made as they are read.
type big struct {
	store.Store
	rows int
	peak *uint64
}

func (s big) Export(_ context.Context, visit func(row.Row) error) error {
	value := slices.Repeat([]byte("v"), 10_000)
	for i := range s.rows {
		if err := visit(row.Secret{Resource: "acme:variable:x", Version: i + 1, Sealed: value}); err != nil {
			return err
		}
		if i%1000 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			*s.peak = max(*s.peak, m.HeapAlloc)
		}
	}
	return nil
}

// The memory for an archive does not grow with it: 200 MB take less than 20.
func TestABackupTakesLittleMemory(t *testing.T) {
	root := newRoot(t, "a test")
	in, out := io.Pipe()
	wrote := make(chan backup.Summary, 1)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	go func() {
		summary, err := backup.Write(ctx, out, big{rows: 20_000, peak: &peak}, root, rand.Reader, now)
		wrote <- summary
		_ = out.CloseWithError(err) // it never fails
	}()
	a, err := backup.Open(in, root)
	if err != nil {
		t.Fatal(err)
	}
	read, err := a.Verify(root)
	if w := <-wrote; err != nil || read.Digest != w.Digest || read.Rows != 20_000 {
		t.Errorf("%+v, %+v, %v", w, read, err)
	}
	if peak > before.HeapAlloc+20<<20 {
		t.Errorf("%d bytes of memory", peak-before.HeapAlloc)
	}
}

func TestAFailureToWriteIsPassedOn(t *testing.T) {
	from, root := filled(t)
	in, out := io.Pipe()
	gone := errors.New("gone")
	_ = in.CloseWithError(gone) // it never fails
	if _, err := backup.Write(ctx, out, from, root, rand.Reader, now); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
