package postgres_test

import (
	"sync"
	"testing"
	"time"

	"rekey/internal/fault"
	"rekey/internal/store"
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
