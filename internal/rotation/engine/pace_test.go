package engine

import (
	"testing"
	"time"
)

func TestOverdueRotationsAreSpread(t *testing.T) {
	o := Options{Rate: 100, Spread: 10 * time.Minute}
	for _, c := range []struct {
		name     string
		overdue  int
		oldest   time.Duration
		rotates  int           // so many
		took     time.Duration // in about so long
		interval time.Duration
	}{
		{"nothing is overdue: the rate", 0, 0, 1000, 10 * time.Second, 10 * time.Millisecond},
		{"a few: one a second", 20, time.Hour, 20, 20 * time.Second, time.Second},
		{"many: over the whole time", 6000, time.Hour, 6000, 10 * time.Minute, 100 * time.Millisecond},
		{"after a short standstill: over as long as it took", 60, 6 * time.Second, 60, 6 * time.Second, 100 * time.Millisecond},
		{"too many for that: the rate", 600_000, time.Hour, 1000, 10 * time.Second, 10 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p pace
			p.start(c.overdue, c.oldest, o)
			begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			now := begun
			for range c.rotates {
				for w := p.wait(now); w > 0; w = p.wait(now) {
					now = now.Add(w)
				}
			}
			took := now.Sub(begun)
			if p.interval != c.interval || took > c.took || took < c.took-burst-c.interval {
				t.Errorf("%d in %s, one each %s", c.rotates, took, p.interval)
			}
		})
	}
}
