package core_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

// newBench is an account on a store of its own, whose audit goes nowhere.
func newBench(b *testing.B, disk func(store.Store) store.Store) (c *core.Core, key secret.Bytes) {
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	text, err := seal.NewRootText(rand.Reader)
	ok(err)
	root, err := seal.ParseRoot("BENCH_KEY", text)
	ok(err)
	st, err := sqlite.Open(b.TempDir())
	ok(err)
	c, err = core.Open(context.Background(), core.Options{Store: disk(st), Audit: audit.To(io.Discard), RootKey: root, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	ok(err)
	b.Cleanup(func() { ok(c.Close()); ok(st.Close()) })
	key, err = c.CreateAccount(context.Background(), core.Operator(), "acme", nil)
	ok(err)
	return c, key
}

// BenchmarkAuthenticate is an access token for an API key, its audit going nowhere.
func BenchmarkAuthenticate(b *testing.B) {
	c, key := newBench(b, func(s store.Store) store.Store { return s })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.AuthenticateKey(context.Background(), here, "acme", "admin", key); err != nil {
			b.Fatal(err)
		}
	}
}

// slowDisk is a store whose transactions take a while longer, as they do on disks that
// are slower than those of most who develop, and that counts them.
type slowDisk struct {
	store.Store
	sync         time.Duration
	transactions atomic.Int64
}

func (s *slowDisk) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	s.transactions.Add(1)
	time.Sleep(s.sync)
	return s.Store.Commit(ctx, sets)
}

// BenchmarkSideBySide is policies loaded by as many clients as branches, each into its
// own. ratio is what many get done in the time in which one alone gets one done.
func BenchmarkSideBySide(b *testing.B) {
	for _, sync := range []time.Duration{0, 2 * time.Millisecond} {
		alone := 0.0
		for _, clients := range []int{1, 16} {
			b.Run(fmt.Sprintf("sync=%s/clients=%d", sync, clients), func(b *testing.B) {
				var disk *slowDisk
				c, _ := newBench(b, func(s store.Store) store.Store {
					disk = &slowDisk{Store: s, sync: sync}
					return disk
				})
				load := func(policy ident.ID, text string) {
					if _, err := c.LoadPolicy(context.Background(), core.Operator(), policy, core.Add, []byte(text)); err != nil {
						b.Error(err)
					}
				}
				for i := range clients {
					load("acme:policy:root", fmt.Sprintf("- !policy b%d", i))
				}
				before := disk.transactions.Load()
				b.ResetTimer()
				var next atomic.Int64
				together(clients, func(i int) {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						load(ident.ID(fmt.Sprint("acme:policy:b", i)), fmt.Sprintf("- !group g%[1]d\n- !host h%[1]d\n- !variable v%[1]d\n"+
							"- !grant {role: !group g%[1]d, member: !host h%[1]d}\n- !permit {role: !group g%[1]d, privilege: execute, resource: !variable v%[1]d}\n", n))
					}
				})
				each := b.Elapsed().Seconds() / float64(b.N)
				if clients == 1 {
					alone = each
				}
				b.ReportMetric(1/each, "loads/s")
				b.ReportMetric(float64(b.N)/float64(disk.transactions.Load()-before), "loads/transaction")
				b.ReportMetric(alone/each, "ratio")
			})
		}
	}
}
