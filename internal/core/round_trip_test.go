package core_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
)

// read is a policy as text, by somebody who sees everything.
func (w *world) read(id string) string {
	w.t.Helper()
	e, err := w.EffectivePolicy(ctx, core.Operator(), ident.New("acme", "policy", id), core.EffectiveQuery{})
	must(w.t, err)
	text, err := e.YAML()
	must(w.t, err)
	return string(text)
}

// parentOf is where what was read of a policy is loaded.
var parentOf = map[string]string{"root": "root", "p": "root", "p/q": "p", "p-q": "root", "a/b": "root", "x y": "root"}

func TestWhatWasReadOfAPolicyLoadsWithoutAChange(t *testing.T) {
	loads, reads, cycles, copies := 0, 0, 0, 0
	for seed := range uint64(20) {
		w := newWorld(t)
		a := &author{Rand: rand.New(rand.NewPCG(seed, 7))}
		for i := range 20 {
			if i%3 == 0 {
				w.lay()
			}
			if w.try(a.attempt()) == nil {
				loads++
			}
		}
		for _, id := range append([]string{"root"}, branches...) {
			if _, err := w.Resource(ctx, w.admin(), ident.New("acme", "policy", id)); err != nil {
				continue // deleted
			}
			text := w.read(id)
			modes := []policy.Mode{policy.Add, policy.Modify}
			if id == "root" && !strings.HasPrefix(text, "#") {
				modes = append(modes, policy.Replace)
			}
			for _, mode := range modes {
				before := w.stored()
				err := w.try(attempt{ident.New("acme", "policy", parentOf[id]), mode, text})
				if err != nil && strings.Contains(err.Error(), "Dependency cycle") {
					cycles++ // owners of each other were made by two loads, and cannot be by one
					continue
				}
				if err != nil {
					t.Fatalf("seed %d, policy %s, mode %d: %v\n%s", seed, id, mode, err, text)
				}
				reads++
				if after := w.stored(); !reflect.DeepEqual(before, after) {
					t.Fatalf("seed %d, policy %s, mode %d: %s\n%s", seed, id, mode, difference(before, after), text)
				}
				if again := w.read(id); again != text {
					t.Fatalf("seed %d, policy %s reads as\n%s\nafter\n%s", seed, id, again, text)
				}
			}
		}
		if text := w.read("root"); !strings.HasPrefix(text, "#") {
			copied := newWorld(t)
			if err := copied.try(attempt{"acme:policy:root", policy.Add, text}); err == nil {
				copies++
				if again := copied.read("root"); again != text {
					t.Fatalf("seed %d: a copy reads as\n%s\nafter\n%s", seed, again, text)
				}
			}
		}
	}
	t.Logf("%d loads, %d reads, %d cycles, %d copies", loads, reads, cycles, copies)
	if loads < 200 || reads < 150 || copies < 5 || cycles > reads/4 {
		t.Error("the policies are useless")
	}
}

func difference[K ~string, V any](before, after map[K]V) string {
	var lines []string
	for key, v := range after {
		if old, ok := before[key]; !ok {
			lines = append(lines, "+ "+string(key))
		} else if !reflect.DeepEqual(old, v) {
			lines = append(lines, "~ "+string(key))
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			lines = append(lines, "- "+string(key))
		}
	}
	return strings.Join(lines, "\n")
}
