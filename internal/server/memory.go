package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A server that holds little would collect garbage many times a second under load,
// since the collector waits for the heap to double. It may grow by more while it is
// small: memory is cheap there, and processor time is not.
const (
	smallHeap     = 64 << 20 // bytes that are live; from here on the usual rule holds
	usualPercent  = 100
	mostPercent   = 1000
	heapCheckTime = time.Second
)

// tuneCollector follows the size of the heap until ctx is done. Whoever sets GOGC has
// decided otherwise.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ticker := time.NewTicker(heapCheckTime)
	defer ticker.Stop()
	for current := usualPercent; ; {
		metrics.Read(sample)
		if percent := collectorPercent(sample[0].Value.Uint64()); percent != current {
			debug.SetGCPercent(percent)
			current = percent
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// collectorPercent is by how much the heap may grow, in percent of what is live.
func collectorPercent(live uint64) int {
	if live == 0 {
		return mostPercent // nothing was collected yet
	}
	return int(max(usualPercent, min(mostPercent, smallHeap*100/live)))
}
