package postgres_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
)

func user(name string) row.Role { return row.Role{ID: ident.New("acme", "user", name)} }

func inserts(rows ...row.Row) *row.Set {
	s := &row.Set{}
	for _, r := range rows {
		s.Add(row.Insert, r)
	}
	return s
}

func roles(t *testing.T, s *postgres.Store) (ids []string) {
	t.Helper()
	if err := s.Load(ctx, func(r row.Row) error {
		if r, ok := r.(row.Role); ok {
			ids = append(ids, string(r.ID))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// Given a connection that breaks at COMMIT, before the server hears of it, after, or in
// such a way that it hears of it late: the caller is told that the set is stored, and it
// is stored once, with one entry in the log.
func TestALostAnswerToCommitIsFoundOut(t *testing.T) {
	proxy := postgrestest.NewProxy(t, server.Port)
	server.Database(t)
	name := "lost"
	if err := server.Run("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	s := open(t, postgrestest.URL(proxy.Port, name))
	defer s.Close()
	var want []string
	for i, cut := range []postgrestest.Cut{postgrestest.After, postgrestest.Before, postgrestest.Swallow, postgrestest.Whole, postgrestest.After} {
		id := user(fmt.Sprint("u", i))
		proxy.CutNext(cut)
		results, at, err := s.CommitAt(ctx, postgres.NewMark(), []*row.Set{inserts(id)})
		if err != nil || results[0] != nil || at.Number != int64(i+1) {
			t.Fatalf("cut %d: %v, %v, number %d", cut, results, err, at.Number)
		}
		want = append(want, string(id.ID))
	}
	if proxy.Cuts != 4 {
		t.Fatalf("%d connections were cut", proxy.Cuts)
	}
	if got := roles(t, s); !slices.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	entries, more, err := s.Follow(ctx, store.Position{})
	if err != nil || more || len(entries) != len(want) {
		t.Errorf("%d entries in the log, %v, %v", len(entries), more, err)
	}
}

// Given a database that is killed and started again while several processes write: what
// was acknowledged is there, what was refused is not, and nothing is there twice.
func TestAcknowledgedSetsSurviveTheDatabase(t *testing.T) {
	s := postgrestest.Started(t)
	url := s.Database(t)
	var mu sync.Mutex
	acknowledged, unsure := map[string]bool{}, map[string]bool{}
	ended := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		node := open(t, url)
		writers.Go(func() {
			defer node.Close()
			for i := 0; ; i++ {
				select {
				case <-ended:
					return
				default:
				}
				u := user(fmt.Sprintf("%d-%d", w, i))
				results, err := node.Commit(ctx, []*row.Set{inserts(u)})
				mu.Lock()
				switch {
				case err == nil && results[0] == nil:
					acknowledged[string(u.ID)] = true
				case err == nil:
					t.Errorf("%s: %v", u.ID, results[0])
				case !fault.Is(err, fault.Unavailable):
					t.Errorf("%s: %v", u.ID, err)
				default:
					unsure[string(u.ID)] = true
				}
				mu.Unlock()
			}
		})
	}
	for range 3 {
		time.Sleep(500 * time.Millisecond)
		s.Stop()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(500 * time.Millisecond)
	close(ended)
	writers.Wait()
	node := open(t, url)
	defer node.Close()
	got := roles(t, node)
	for _, id := range got {
		if !acknowledged[id] && !unsure[id] {
			t.Errorf("%s is stored and was refused", id)
		}
		delete(acknowledged, id)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged sets are lost", len(acknowledged))
	}
	t.Logf("%d stored, %d unsure", len(got), len(unsure))
	if len(got) < 100 {
		t.Errorf("only %d sets were stored", len(got))
	}
}

// Given several processes that read a number and write the next one: no update is lost,
// and the log has all of them in one order, without a gap.
func TestProcessesStandInOneQueue(t *testing.T) {
	url := server.Database(t)
	const nodes, each = 4, 60
	variable := ident.ID("acme:variable:v")
	first := open(t, url)
	defer first.Close()
	if results, err := first.Commit(ctx, []*row.Set{inserts(user("a"), row.Resource{ID: variable, Owner: user("a").ID})}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	var wg sync.WaitGroup
	for n := range nodes {
		node := open(t, url)
		wg.Go(func() {
			defer node.Close()
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for done, version := 0, 0; done < each; {
				s := inserts(row.Secret{Resource: variable, Version: version + 1, Sealed: []byte{byte(n)}})
				s.Require = []row.Condition{row.LatestVersion{Resource: variable, Version: version}}
				results, err := node.Commit(ctx, []*row.Set{s})
				if err != nil {
					t.Error(err)
					return
				}
				if results[0] == nil {
					done++
				} else if !errors.Is(results[0], store.ErrChanged) {
					t.Error(results[0])
					return
				}
				version += 1 + random.IntN(2)
				for version > 0 {
					if _, err := node.Secret(ctx, variable, version); err == nil {
						break
					}
					version--
				}
				for {
					if _, err := node.Secret(ctx, variable, version+1); err != nil {
						break
					}
					version++
				}
			}
		})
	}
	wg.Wait()
	entries, _, err := first.Follow(ctx, store.Position{})
	if err != nil || len(entries) != nodes*each+1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, e := range entries {
		if e.At.Number != int64(i+1) {
			t.Fatalf("entry %d has number %d", i, e.At.Number)
		}
		if i > 0 && e.Sets[0].Changes[0].Row.(row.Secret).Version != i {
			t.Errorf("entry %d stored %+v", i, e.Sets[0].Changes[0].Row)
		}
	}
}

func TestAChainedSetIsRefusedWhenAnotherProcessWasFaster(t *testing.T) {
	url := server.Database(t)
	a, b := open(t, url), open(t, url)
	defer a.Close()
	defer b.Close()
	chained := func(name string, base int64) *row.Set {
		s := inserts(user(name))
		s.Chained, s.Base = true, base
		return s
	}
	for _, step := range []struct {
		what  string
		node  *postgres.Store
		sets  []*row.Set
		fails []bool
	}{
		{"the first", a, []*row.Set{chained("1", 0)}, []bool{false}},
		{"on top of one of its own that it had not seen stored", a, []*row.Set{chained("2", 0), chained("3", 0)}, []bool{false, false}},
		{"planned before", b, []*row.Set{chained("4", 0), inserts(user("5"))}, []bool{true, false}},
		{"planned before a set that is not chained", b, []*row.Set{chained("6", 2)}, []bool{false}},
		{"a chain breaks where another process was faster", a, []*row.Set{chained("7", 4), chained("8", 3), chained("9", 4)}, []bool{false, true, true}},
		{"its own is no obstacle", b, []*row.Set{chained("10", 5)}, []bool{false}},
	} {
		results, err := step.node.Commit(ctx, step.sets)
		if err != nil {
			t.Fatal(step.what, err)
		}
		for i, err := range results {
			if errors.Is(err, store.ErrChanged) != step.fails[i] || (err != nil) != step.fails[i] {
				t.Errorf("%s: set %d: %v", step.what, i, err)
			}
		}
	}
}

// A process that stops within a transaction does not hold up the others for long.
func TestAProcessThatStopsLosesItsPlaceInTheQueue(t *testing.T) {
	url := server.Database(t)
	s := open(t, url)
	defer s.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Run("SELECT 1") }()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	hold(t, url)
	begun := time.Now()
	if results, err := s.Commit(ctx, []*row.Set{inserts(user("a"))}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	if took := time.Since(begun); took < time.Second || took > 12*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A database that would acknowledge what is not on the disk is told to wait for that;
// one that waits for more, or for less on purpose, is left alone.
func TestCommitsWaitForTheDisk(t *testing.T) {
	for configured, want := range map[string]string{"off": "on", "local": "local", "remote_apply": "remote_apply"} {
		url := server.Database(t)
		name := server.Name(url)
		s := open(t, url)
		if err := server.RunIn(name, `CREATE TABLE seen (setting text);
			CREATE FUNCTION see() RETURNS trigger AS $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$ LANGUAGE plpgsql;
			CREATE TRIGGER see AFTER INSERT ON rekey.log EXECUTE FUNCTION see();
			ALTER DATABASE `+name+` SET synchronous_commit = '`+configured+`'`); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, url)
		if results, err := s.Commit(ctx, []*row.Set{inserts(user("a"))}); err != nil || results[0] != nil {
			t.Fatal(results, err)
		}
		if err := server.RunIn(name, `DO $$ BEGIN ASSERT (SELECT array_agg(setting) = ARRAY['`+want+`'] FROM seen); END $$`); err != nil {
			t.Errorf("configured %s: %v", configured, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Given a network that swallows everything without a word: reads end in time, and a change
// is stored once when it is there again.
func TestASilentNetwork(t *testing.T) {
	proxy := postgrestest.NewProxy(t, server.Port)
	s := open(t, postgrestest.URL(proxy.Port, server.Name(server.Database(t))))
	defer s.Close()
	if results, err := s.Commit(ctx, []*row.Set{inserts(user("a"))}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	thaw := proxy.Freeze()
	defer thaw()
	stored := make(chan error, 1)
	go func() {
		results, err := s.Commit(ctx, []*row.Set{inserts(user("b"))})
		if err == nil {
			err = results[0]
		}
		stored <- err
	}()
	begun := time.Now()
	_, _, err := s.Follow(ctx, store.Position{})
	if took := time.Since(begun); !fault.Is(err, fault.Unavailable) || took > 20*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	thaw()
	if err := <-stored; err != nil {
		t.Error(err)
	}
	if got := roles(t, s); len(got) != 2 {
		t.Errorf("stored %v", got)
	}
}
