package e2e

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// durations gathers how long something took.
type durations struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *durations) time(f func()) {
	begun := time.Now()
	f()
	took := time.Since(begun)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, took)
}

// at is the duration that a fraction of them does not exceed.
func (d *durations) at(fraction float64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.all)
	return d.all[min(len(d.all)-1, int(fraction*float64(len(d.all))))]
}

func (d *durations) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, most %s of %d", d.at(0.5).Round(10*time.Microsecond), d.at(0.99).Round(10*time.Microsecond), d.at(1).Round(10*time.Microsecond), len(d.all))
}
