package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"rekey/internal/core"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/secret"
)

// BenchmarkRotations rotates values as fast as the engine can, on a real store.
func BenchmarkRotations(b *testing.B) {
	const variables = 200
	w := newWorld(b)
	w.options.PerTarget = w.options.Workers
	w.patient(30 * time.Second)
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

// BenchmarkMany has 100,000 variables that rotate on one server: what they cost while none
// is due, how late one is begun when its moment comes, and how many can be rotated in a
// second when all are due. One round is enough: -benchtime 1x.
func BenchmarkMany(b *testing.B) {
	const variables, sample = 100_000, 5
	w := newWorld(b)
	w.options = engine.Default(w.options.Log)
	w.options.PerTarget = w.options.Workers // they are all on one
	w.options.Rate = 100_000
	for from := 0; from < variables; from += variables / 10 {
		var text strings.Builder
		text.WriteString("- !policy\n  id: db\n  body:\n")
		for i := range variables / 10 {
			fmt.Fprintf(&text, "  - !variable {id: v%d, annotations: {rotation/rotator: model/password, rotation/model/account: v%[1]d, rotation/ttl: P30D, rotation/initial: keep, rotation/verify: never}}\n", from+i)
		}
		_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Add, []byte(text.String()))
		must(b, err)
	}
	var writers errgroup.Group
	writers.SetLimit(64)
	for i := range variables {
		name := fmt.Sprintf("v%d", i)
		w.model.set(name, "first")
		writers.Go(func() error {
			return w.SetSecret(ctx, core.Operator(), variable(name), secret.FromString("first"))
		})
	}
	must(b, writers.Wait())
	at := func(state string) int { return w.RotationFigures().States[state] }
	w.start()
	handedOver := func() bool {
		due, _ := w.RotationBacklog(false)
		return due == 0 && at(rotation.Idle) == variables
	}
	for !handedOver() {
		time.Sleep(50 * time.Millisecond)
	}
	w.close()
	opened := processorTime(b)
	w.open()
	b.ReportMetric(float64((processorTime(b) - opened).Milliseconds()), "CPU-ms/start")
	w.start()

	time.Sleep(5 * time.Second) // what follows a start is done
	before, begun := processorTime(b), time.Now()
	time.Sleep(5 * time.Second)
	b.ReportMetric(100*float64(processorTime(b)-before)/float64(time.Since(begun)), "%CPU-idle")

	all, err := w.Rotations(ctx, core.Operator(), "acme", "")
	must(b, err)
	slices.SortFunc(all, func(x, y core.RotationStatus) int { return x.Due.Compare(y.Due) })
	var latest time.Duration
	for _, s := range all[:sample] {
		w.later(s.Due.Add(-5 * time.Second).Sub(w.now())) // deriving the list anew takes a while
		id := s.Variable.Identifier()[len("db/"):]
		w.settles(id, rotation.Idle, 2)
		latest = max(latest, w.status(id).StartedAt.Sub(s.Due))
	}
	b.ReportMetric(float64(latest.Milliseconds()), "ms/late")

	w.later(35 * 24 * time.Hour)
	begun = time.Now()
	applied := w.applied()
	time.Sleep(10 * time.Second)
	b.ReportMetric(float64(w.applied()-applied)/time.Since(begun).Seconds(), "rotations/s")
}

func (w *world) applied() int {
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	return w.model.applied
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
