package core

import (
	"slices"
	"testing"

	"rekey/internal/row"
)

func TestPatternsOfHooks(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		fits          bool
	}{
		{"acme:variable:a", "acme:variable:a", true},
		{"acme:variable:a", "acme:variable:ab", false},
		{"acme:variable:shop/*", "acme:variable:shop/db/password", true},
		{"acme:variable:shop/*", "acme:variable:shop", false},
		{"*", "", true},
		{"*:variable:*/password", "acme:variable:a/b/password", true},
		{"*:variable:*/password", "acme:variable:a/password/b", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "acb", false},
		{"a**c", "abc", true},
		{"ab*ba", "aba", false},
	} {
		if fits(c.pattern, c.text) != c.fits {
			t.Errorf("%s and %s: %v", c.pattern, c.text, !c.fits)
		}
	}
}

func TestEventsOfHooks(t *testing.T) {
	h := Hook{Events: []string{"rotated"}, About: []string{"acme:*"}}
	if !h.wants("rotated", "acme:variable:a") || h.wants("failed", "acme:variable:a") || h.wants("rotated", "other:variable:a") {
		t.Error("a hook gets what it does not want")
	}
	if all := NewsEvents(); !slices.IsSorted(all) || len(all) != 11 {
		t.Error(all)
	}
}

// Of failures in a row the first is told, and that they have ended.
func TestFailuresInARowAreToldOnce(t *testing.T) {
	c := &Core{}
	var told []string
	for _, step := range []struct {
		event    string
		attempts int
	}{{"failed", 1}, {"failed", 2}, {"failed", 3}, {"published", 0}, {"rolled back", 1}, {"failed", 2}, {"quarantined", 12}} {
		set := &row.Set{}
		w := row.Rotation{Variable: "acme:variable:a", Attempts: step.attempts}
		addEvent(set, &w, row.RotationEvent{Event: step.event})
		set.Add(row.Update, w)
		for _, n := range c.newsIn(set) {
			told = append(told, n.Event)
		}
	}
	if want := []string{"failed", "rotated", "failed", "quarantined"}; !slices.Equal(told, want) {
		t.Errorf("told %q, not %q", told, want)
	}
}
