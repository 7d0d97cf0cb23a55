package server

import "testing"

func TestASmallHeapMayGrowByMore(t *testing.T) {
	for live, want := range map[uint64]int{0: 1000, 1: 1000, 5 << 20: 1000, 16 << 20: 400, 32 << 20: 200, 64 << 20: 100, 1 << 40: 100} {
		if got := collectorPercent(live); got != want {
			t.Errorf("%d bytes live: %d percent, want %d", live, got, want)
		}
	}
}
