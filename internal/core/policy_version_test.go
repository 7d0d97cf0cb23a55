package core_test

import (
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/policy"
)

func TestVersionsAreKeptAsManyAsAskedAndNumbersNeverRepeat(t *testing.T) {
	for _, c := range []struct{ keep, first int }{{3, 4}, {1, 6}, {0, 6}} {
		w := newWorld(t, func(c2 *core.Config) { c2.PolicyVersions = c.keep })
		for range 5 {
			w.load(policy.Add, "root", "- !user bob\n")
		}
		w.reopen()
		keys := w.load(policy.Modify, "root", "# the last\n")
		kept := w.versions("root")
		if kept[0].Version != c.first || kept[len(kept)-1].Version != 6 || len(keys) != 0 {
			t.Errorf("keep %d: %d to %d", c.keep, kept[0].Version, kept[len(kept)-1].Version)
		}
		last := kept[len(kept)-1]
		if last.Text != "# the last\n" || last.Role != "acme:user:admin" || last.ClientIP != "127.0.0.1" || len(last.SHA256) != 64 || last.CreatedAt.IsZero() {
			t.Errorf("%+v", last)
		}
	}
}

func TestVersionsSurviveTheUserWhoLoadedThem(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", "- !user bob\n- !policy p\n- !permit {role: !user bob, privilege: create, resource: !policy p}\n")
	_, err := w.LoadPolicy(ctx, w.as("bob", keys["acme:user:bob"]), "acme:policy:p", policy.Add, []byte("- !group a\n"))
	must(t, err)
	w.load(policy.Modify, "root", "- !delete {record: !user bob}\n")
	w.load(policy.Add, "p", "- !group b\n")
	diff, err := w.PolicyDiff(ctx, w.admin(), "acme:policy:p", "1..2")
	must(t, err)
	if !strings.Contains(diff, "version 1 by acme:user:bob") || !strings.HasSuffix(diff, "-- !group a\n+- !group b\n") {
		t.Error(diff)
	}
}
