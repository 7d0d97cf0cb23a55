package core

import (
	"slices"
	"testing"
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
	if all := NewsEvents(); !slices.IsSorted(all) || len(all) != 10 {
		t.Error(all)
	}
}
