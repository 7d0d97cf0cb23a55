package rbac_test

import (
	"maps"
	"testing"

	"rekey/internal/rbac"
	"rekey/internal/row"
)

func TestACensusFollowsChanges(t *testing.T) {
	g := rbac.New()
	apply := func(op row.Op, rows ...row.Row) {
		t.Helper()
		set := &row.Set{}
		for _, r := range rows {
			set.Add(op, r)
		}
		if err := g.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	counts := func(wantRoles, wantResources map[string]int) {
		t.Helper()
		if roles, resources := g.Census(); !maps.Equal(roles, wantRoles) || !maps.Equal(resources, wantResources) {
			t.Errorf("%v and %v, want %v and %v", roles, resources, wantRoles, wantResources)
		}
	}
	counts(nil, nil)
	apply(row.Insert, row.Role{ID: "a:user:u"}, row.Role{ID: "a:user:v"}, row.Role{ID: "b:host:h"},
		row.Resource{ID: "a:user:u", Owner: "a:user:u"}, row.Resource{ID: "a:variable:x", Owner: "a:user:u"})
	counts(map[string]int{"user": 2, "host": 1}, map[string]int{"user": 1, "variable": 1})
	apply(row.Delete, row.Resource{ID: "a:variable:x"}, row.Role{ID: "b:host:h"})
	counts(map[string]int{"user": 2}, map[string]int{"user": 1})
}
