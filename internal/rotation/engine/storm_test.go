package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
)

// Given rotations that became due while no server ran, when one starts, then they are begun
// one after the other over a while, the one that was due first at first; and one that
// somebody asks for does not wait for them.
func TestAfterALongStandstillRotationsAreSpread(t *testing.T) {
	const variables, spread = 40, 4 * time.Second
	w := newWorld(t)
	w.options.Spread, w.options.PerTarget = spread, 32
	all := map[string][]string{}
	for i := range variables {
		all[fmt.Sprintf("v%d", i)] = []string{"rotation/ttl: P1D", "rotation/verify: never"}
	}
	w.declare(all)
	w.start()
	for name := range all {
		w.handOver(name, "first")
	}
	for name := range all {
		w.settles(name, rotation.Idle, 2)
	}
	w.close()
	w.later(48 * time.Hour)
	w.open()
	var order []string
	due := map[string]time.Time{}
	for name := range all {
		order, due[name] = append(order, name), w.status(name).Due
	}
	slices.SortFunc(order, func(a, b string) int { return due[a].Compare(due[b]) })
	if n, oldest := w.RotationBacklog(true); n != variables || oldest < 20*time.Hour {
		t.Fatalf("%d are overdue, by %s", n, oldest)
	}

	hurried := order[variables-1]
	w.start()
	must(t, w.RotateNow(ctx, core.Operator(), variable(hurried)))
	for name := range all {
		w.settles(name, rotation.Idle, 3)
	}
	rotated := func(name string) time.Time { return w.status(name).LastSuccess }
	first, last := rotated(order[0]), rotated(order[variables-2])
	if took := last.Sub(first); took < spread*8/10 || took > 5*spread {
		t.Errorf("they were spread over %s", took)
	}
	if !rotated(hurried).Before(rotated(order[variables/2])) {
		t.Error("the one that was asked for had to wait for the others")
	}
	for i := 1; i < variables-1; i++ {
		if gap := rotated(order[i]).Sub(rotated(order[i-1])); gap < -spread/4 {
			t.Errorf("%d was rotated %s before the one that was due before it", i, -gap)
		}
	}
}
