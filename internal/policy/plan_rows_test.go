package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// rows is a state as the store has it: durable rows by key. It shares no code with
// the graph.
type rows map[string]row.Row

// rowKey tells one row from another; sorted keys are an order in which rows load.
func rowKey(r row.Row) string {
	switch r := r.(type) {
	case row.Role:
		return "a role " + string(r.ID)
	case row.Resource:
		return "b resource " + string(r.ID)
	case row.Membership:
		return fmt.Sprintf("c membership %s in %s, ownership %v", r.Member, r.Role, r.Ownership)
	case row.Permission:
		return fmt.Sprintf("d permission of %s to %s on %s", r.Role, r.Privilege, r.Resource)
	case row.Annotation:
		return fmt.Sprintf("e annotation %s on %s", r.Name, r.Resource)
	case row.APIKey:
		return "f key of " + string(r.Role)
	case row.Restriction:
		return "g networks of " + string(r.Role)
	case row.Secret:
		return fmt.Sprintf("h value %s, version %04d", r.Resource, r.Version)
	}
	panic(fmt.Sprintf("no key for %T", r))
}

func (s rows) put(r row.Row) { s[rowKey(r)] = r }

func (s rows) role(id ident.ID) (row.Role, bool) {
	r, ok := s[rowKey(row.Role{ID: id})].(row.Role)
	return r, ok
}

func (s rows) resource(id ident.ID) (row.Resource, bool) {
	x, ok := s[rowKey(row.Resource{ID: id})].(row.Resource)
	return x, ok
}

func (s rows) annotation(id ident.ID, name string) (row.Annotation, bool) {
	a, ok := s[rowKey(row.Annotation{Resource: id, Name: name})].(row.Annotation)
	return a, ok
}

// latest is the newest version of a value, 0 if there is none.
func (s rows) latest(id ident.ID) int {
	newest := 0
	for _, r := range s {
		if v, ok := r.(row.Secret); ok && v.Resource == id {
			newest = max(newest, v.Version)
		}
	}
	return newest
}

// store does what a store does with changes. An error says that it would refuse them.
func (s rows) store(changes []row.Change) error {
	for _, c := range changes {
		key := rowKey(c.Row)
		if _, exists := s[key]; exists == (c.Op == row.Insert) {
			return fmt.Errorf("operation %d does not fit: %s", c.Op, key)
		}
		if c.Op != row.Delete {
			s[key] = c.Row
			continue
		}
		delete(s, key)
		switch r := c.Row.(type) {
		case row.Role:
			delete(s, rowKey(row.APIKey{Role: r.ID}))
			delete(s, rowKey(row.Restriction{Role: r.ID}))
		case row.Resource:
			for version := range s.latest(r.ID) {
				delete(s, rowKey(row.Secret{Resource: r.ID, Version: version + 1}))
			}
		}
	}
	return nil
}

// graph makes a graph from scratch.
func (s rows) graph(t testing.TB) *rbac.Graph {
	t.Helper()
	g := rbac.New()
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if err := g.Add(s[key]); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// rowsOf reads all that a graph of the account acct knows.
func rowsOf(t *testing.T, g *rbac.Graph) rows {
	t.Helper()
	s := rows{}
	role := func(r *rbac.Role) {
		s.put(r.Role)
		for _, m := range r.Members {
			s.put(m.Row())
		}
		if r.Key != nil {
			s.put(*r.Key)
		}
		if r.Networks != nil {
			s.put(row.Restriction{Role: r.ID, Networks: r.Networks})
		}
	}
	g.Ascend("acct:", func(x *rbac.Resource) bool {
		s.put(x.Resource)
		for _, p := range x.Permissions {
			s.put(p.Row())
		}
		for _, a := range x.Annotations {
			s.put(a.Row())
		}
		for _, v := range x.Secrets {
			s.put(row.Secret{Resource: x.ID, Version: v.Version})
		}
		if x.Role != nil {
			role(x.Role)
		}
		if x.ID.Kind() == "policy" {
			for _, r := range g.DeclaredRoles(x.ID) {
				role(r)
			}
		}
		return true
	})
	roles := 0
	for key := range s {
		if strings.HasPrefix(key, "a ") {
			roles++
		}
	}
	if n, _ := g.Len(); n != roles {
		t.Fatalf("the graph has %d roles, of which %d are found", n, roles)
	}
	return s
}

// difference shows the rows in which two states differ.
func difference(got, want rows) string {
	var text strings.Builder
	for key, r := range got {
		if other, ok := want[key]; !ok || !reflect.DeepEqual(r, other) {
			fmt.Fprintf(&text, "got  %s: %+v\n", key, r)
		}
	}
	for key, r := range want {
		if other, ok := got[key]; !ok || !reflect.DeepEqual(r, other) {
			fmt.Fprintf(&text, "want %s: %+v\n", key, r)
		}
	}
	return text.String()
}
