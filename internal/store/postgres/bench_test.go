package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/postgres/postgrestest"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)

const policy = ident.ID("acme:policy:apps/billing")

func variable(i int) ident.ID {
	return ident.New("acme", "variable", fmt.Sprintf("apps/billing/production/secret-%06d", i))
}

// fill stores hosts, each owned by a policy and with an API key, and as many variables,
// each with one secret of 200 bytes.
func fill(b *testing.B, s store.Store, hosts int) {
	b.Helper()
	store := func(set *row.Set) {
		if results, err := s.Commit(ctx, []*row.Set{set}); err != nil || results[0] != nil {
			b.Fatal(results, err)
		}
	}
	store(inserts(row.Account{Name: "acme", CreatedAt: now}, row.Role{ID: policy, CreatedAt: now}, row.Resource{ID: policy, Owner: policy, CreatedAt: now}))
	for i := 0; i < hosts; {
		set := &row.Set{}
		for range 2000 {
			host := ident.New("acme", "host", fmt.Sprintf("apps/billing/production/host-%06d", i))
			set.Add(row.Insert, row.Role{ID: host, CreatedAt: now, Policy: policy})
			set.Add(row.Insert, row.Resource{ID: host, Owner: policy, CreatedAt: now, Policy: policy})
			set.Add(row.Insert, row.Membership{Role: host, Member: policy, Ownership: true, Admin: true, Policy: policy})
			set.Add(row.Insert, row.APIKey{Role: host, Digest: [32]byte{1, byte(i)}, Sealed: make([]byte, 100), RotatedAt: now})
			set.Add(row.Insert, row.Resource{ID: variable(i), Owner: policy, CreatedAt: now, Policy: policy})
			set.Add(row.Insert, row.Secret{Resource: variable(i), Version: 1, Sealed: make([]byte, 200), CreatedAt: now})
			i++
		}
		store(set)
	}
}

const hosts = 50_000

var errEnough = errors.New("enough")

// Benchmark has a real database with 50,000 hosts and as many variables, synced to the
// disk.
func Benchmark(b *testing.B) {
	own := postgrestest.Started(b)
	url := own.Database(b)
	s := open(b, url)
	defer s.Close()
	begun := time.Now()
	fill(b, s, hosts)
	b.Logf("%d rows stored in %s", 6*hosts, time.Since(begun).Round(time.Millisecond))
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			n := 0
			if err := s.Load(context.Background(), func(row.Row) error { n++; return nil }); err != nil || n < 6*hosts {
				b.Fatal(n, err)
			}
		}
	})
	var next atomic.Int64
	current := func() store.Position {
		at, err := s.LoadAt(ctx, func(row.Row) error { return errEnough })
		if err != errEnough {
			b.Fatal(err)
		}
		return at
	}
	for _, nodes := range []int{1, 3} {
		for _, submitters := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("commit/%d nodes/%d submitters", nodes, submitters), func(b *testing.B) {
				var committers []*store.Committer
				for range nodes {
					node := open(b, url)
					c := store.NewFollowing(node, current(), store.Memory{Apply: func(store.Entry) {}})
					committers = append(committers, c)
					defer func() { c.Close(); node.Close() }()
				}
				left := int64(b.N)
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range submitters {
					c := committers[i%nodes]
					wg.Go(func() {
						for atomic.AddInt64(&left, -1) >= 0 {
							n := int(next.Add(1))
							s := inserts(row.Secret{Resource: variable(n * 7919 % hosts), Version: 2 + n/hosts, Sealed: make([]byte, 200), CreatedAt: now})
							s.Require = []row.Condition{row.ResourceExists{Resource: variable(n * 7919 % hosts)}}
							if err := c.Submit(ctx, s); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sets/s")
			})
		}
	}
	for _, waiters := range []int{1, 64} {
		b.Run(fmt.Sprintf("barrier/%d waiters", waiters), func(b *testing.B) {
			c := store.NewFollowing(s, current(), store.Memory{Apply: func(store.Entry) {}})
			defer c.Close()
			left := int64(b.N)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range waiters {
				wg.Go(func() {
					for atomic.AddInt64(&left, -1) >= 0 {
						if err := c.CatchUp(ctx); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
