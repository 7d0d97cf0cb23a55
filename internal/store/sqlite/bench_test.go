package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)

const policy = ident.ID("acme:policy:apps/billing")

// fill stores hosts, each owned by a policy and with an API key, and as many
// variables, each with one secret of 200 bytes.
func fill(b *testing.B, s store.Store, hosts int) {
	b.Helper()
	first := &row.Set{}
	first.Add(row.Insert, row.Account{Name: "acme", CreatedAt: now})
	first.Add(row.Insert, row.Role{ID: policy, CreatedAt: now})
	first.Add(row.Insert, row.Resource{ID: policy, Owner: policy, CreatedAt: now})
	commit(b, s, first)
	for i := 0; i < hosts; {
		set := &row.Set{}
		for range 1000 {
			host := ident.New("acme", "host", fmt.Sprintf("apps/billing/production/host-%06d", i))
			set.Add(row.Insert, row.Role{ID: host, CreatedAt: now, Policy: policy})
			set.Add(row.Insert, row.Resource{ID: host, Owner: policy, CreatedAt: now, Policy: policy})
			set.Add(row.Insert, row.Membership{Role: host, Member: policy, Ownership: true, Admin: true, Policy: policy})
			set.Add(row.Insert, row.APIKey{Role: host, Digest: [32]byte{1, byte(i)}, Sealed: make([]byte, 100), RotatedAt: now})
			set.Add(row.Insert, row.Resource{ID: variable(i), Owner: policy, CreatedAt: now, Policy: policy})
			set.Add(row.Insert, row.Secret{Resource: variable(i), Version: 1, Sealed: make([]byte, 200), CreatedAt: now})
			i++
		}
		commit(b, s, set)
	}
}

func variable(i int) ident.ID {
	return ident.New("acme", "variable", fmt.Sprintf("apps/billing/production/secret-%06d", i))
}

func commit(b testing.TB, s store.Store, sets ...*row.Set) {
	b.Helper()
	results, err := s.Commit(context.Background(), sets)
	if err != nil {
		b.Fatal(err)
	}
	for _, err := range results {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func benchStore(b *testing.B) store.Store {
	b.Helper()
	s, err := sqlite.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkLoad loads 100,000 hosts and as many variables.
func BenchmarkLoad(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 100_000)
	b.ResetTimer()
	for b.Loop() {
		n := 0
		err := s.Load(context.Background(), func(row.Row) error { n++; return nil })
		if err != nil || n < 600_000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkCommit has submitters store one new version of a secret each, over and
// over, scattered over 100,000 variables.
func BenchmarkCommit(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 100_000)
	var next atomic.Int64
	for _, submitters := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(submitters), func(b *testing.B) {
			c := store.NewCommitter(s, func([]*row.Set) {})
			defer c.Close()
			left := int64(b.N)
			cpu := cpuTime()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range submitters {
				wg.Go(func() {
					for atomic.AddInt64(&left, -1) >= 0 {
						if err := c.Submit(context.Background(), nextSecret(int(next.Add(1)-1))); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-us/set")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sets/s")
		})
	}
}

// nextSecret stores the n-th new version in a sequence that scatters over 100,000 variables.
func nextSecret(n int) *row.Set {
	id, version := variable(n*7919%100_000), 1+n/100_000
	set := &row.Set{Require: []row.Condition{row.LatestVersion{Resource: id, Version: version}}}
	set.Add(row.Insert, row.Secret{Resource: id, Version: version + 1, Sealed: make([]byte, 200), CreatedAt: now})
	set.Add(row.Delete, row.Secret{Resource: id, Version: version - 19})
	return set
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
