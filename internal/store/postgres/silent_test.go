package postgres_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
)

// Given a connection that nobody has used for a while, and a network that swallows
// everything since: reads end in time, and the next one after the network is back gets a
// new connection at once, though nobody takes leave of the old ones.
func TestAnIdleConnectionDiesInSilence(t *testing.T) {
	proxy := postgrestest.NewProxy(t, server.Port)
	s := open(t, postgrestest.URL(proxy.Port, server.Name(server.Database(t))))
	defer s.Close()
	read := func() (time.Duration, error) {
		begun := time.Now()
		_, _, err := s.Follow(ctx, store.Position{})
		return time.Since(begun), err
	}
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1200 * time.Millisecond)
	proxy.Freeze()
	var ended sync.WaitGroup
	for range 8 { // more than there are connections
		ended.Go(func() {
			if took, err := read(); !fault.Is(err, fault.Unavailable) || took > 15*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
	ended.Wait()
	proxy.Forget()
	if took, err := read(); err != nil || took > 3*time.Second {
		t.Errorf("the network is back, and after %s: %v", took, err)
	}
}

// A process that does not take the answer to what it has asked for, because it stopped or
// was cut off, loses its place in the queue as well: the database gives it up.
func TestAProcessThatTakesNoAnswerLosesItsPlaceInTheQueue(t *testing.T) {
	url := server.Database(t)
	s := open(t, url)
	defer s.Close()
	stopped, err := pgconn.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close(ctx)
	answers := stopped.Exec(ctx, strings.Join(append(slices.Clone(postgres.Queue), "SELECT repeat('x', 100000000)"), ";"))
	for range 3 {
		if !answers.NextResult() {
			t.Fatal(answers.Close())
		}
		if result := answers.ResultReader().Read(); result.Err != nil {
			t.Fatal(result.Err)
		}
	}
	begun := time.Now()
	if results, err := s.Commit(ctx, []*row.Set{inserts(user("a"))}); err != nil || results[0] != nil {
		t.Fatal(results, err)
	}
	if took := time.Since(begun); took < time.Second || took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}
