package engine_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/secret"
)

// BenchmarkRotations rotates values as fast as the engine can, on a real store.
func BenchmarkRotations(b *testing.B) {
	const variables = 200
	w := newWorld(b)
	w.options.PerTarget = w.options.Workers
	w.options.StepTime = 30 * time.Second
	all := map[string][]string{}
	for i := range variables {
		all[fmt.Sprintf("v%d", i)] = []string{"rotation/ttl: P365D"}
	}
	w.declare(all)
	for name := range all {
		w.model.set(name, "first")
		must(b, w.SetSecret(ctx, core.Operator(), variable(name), secret.FromString("first")))
	}
	w.start()
	for name := range all {
		w.settles(name, rotation.Idle, 2)
	}
	b.ResetTimer()
	begun, done := time.Now(), 0
	for done < b.N {
		n := min(variables, b.N-done)
		var requests errgroup.Group
		for i := range n {
			requests.Go(func() error { return w.RotateNow(ctx, core.Operator(), variable(fmt.Sprintf("v%d", i))) })
		}
		must(b, requests.Wait())
		for i := range n {
			name := fmt.Sprintf("v%d", i)
			for s := w.status(name); s.State != rotation.Idle || !s.RequestedAt.IsZero() || s.Holder != ""; s = w.status(name) {
				time.Sleep(100 * time.Microsecond)
			}
		}
		done += n
	}
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "rotations/s")
}

// BenchmarkIdle is what the due list costs with many variables of which none is due: one
// look at it, and one change of one of them.
func BenchmarkIdle(b *testing.B) {
	w := newWorld(b)
	all := map[string][]string{}
	for i := range 10_000 {
		all[fmt.Sprintf("v%d", i)] = []string{"rotation/ttl: P365D", "rotation/initial: keep"}
	}
	w.declare(all)
	for b.Loop() {
		w.DueRotations(true, func(core.DueRotation) bool { return true })
		w.DueRotations(false, func(core.DueRotation) bool { return true })
	}
}
