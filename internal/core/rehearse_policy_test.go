package core_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// items describes all that is stored as a report does, to somebody who sees all of it.
func items(stored map[string]row.Row) map[ident.ID]policy.Item {
	found := map[ident.ID]*policy.Item{}
	roles := map[ident.ID]bool{}
	for _, r := range stored {
		switch r := r.(type) {
		case row.Role:
			roles[r.ID] = true
		case row.Resource:
			kind := r.ID.Kind()
			role := slices.Contains([]string{"user", "group", "host", "layer", "policy"}, kind)
			if role || kind == "variable" || kind == "webservice" {
				found[r.ID] = &policy.Item{ID: r.ID, RoleLike: role, Owner: r.Owner, Policy: r.Policy}
			}
		}
	}
	// Roles and owners without a resource are seen by nobody.
	resource := func(id ident.ID) ident.ID {
		if _, ok := stored["resource "+string(id)]; !ok {
			return ident.New(id.Account(), id.Kind(), "[REDACTED]")
		}
		return id
	}
	privilege := func(item *policy.Item, name string, end ident.ID) {
		for i, p := range item.Privileges {
			if p.Name == name {
				item.Privileges[i].IDs = append(p.IDs, resource(end))
				return
			}
		}
		item.Privileges = append(item.Privileges, policy.Privilege{Name: name, IDs: []ident.ID{resource(end)}})
	}
	ends := map[string]bool{}
	for _, r := range stored {
		switch r := r.(type) {
		case row.Membership:
			edge := fmt.Sprint(r.Role, " ", r.Member)
			if ends[edge] {
				continue // by ownership and by grant
			}
			ends[edge] = true
			if item := found[r.Role]; item != nil && item.RoleLike {
				item.Members = append(item.Members, resource(r.Member))
			}
			if item := found[r.Member]; item != nil && item.RoleLike {
				item.Memberships = append(item.Memberships, resource(r.Role))
			}
		case row.Permission:
			if item := found[r.Resource]; item != nil && !item.RoleLike {
				privilege(item, r.Privilege, r.Role)
			}
			if item := found[r.Role]; item != nil && item.RoleLike {
				privilege(item, r.Privilege, r.Resource)
			}
		case row.Annotation:
			if item := found[r.Resource]; item != nil {
				item.Annotations = append(item.Annotations, policy.Annotation{Name: r.Name, Value: r.Value})
			}
		case row.Restriction:
			if item := found[r.Role]; item != nil {
				item.Networks = r.Networks
			}
		}
	}
	sorted := map[ident.ID]policy.Item{}
	for id, item := range found {
		if item.RoleLike && !roles[id] {
			item.Networks = nil
		}
		slices.Sort(item.Members)
		slices.Sort(item.Memberships)
		slices.SortFunc(item.Annotations, func(a, b policy.Annotation) int { return cmp.Compare(a.Name, b.Name) })
		slices.SortFunc(item.Privileges, func(a, b policy.Privilege) int { return cmp.Compare(a.Name, b.Name) })
		for _, p := range item.Privileges {
			slices.Sort(p.IDs)
		}
		sorted[id] = *item
	}
	return sorted
}

func TestARehearsalTellsWhatTheLoadThenDoes(t *testing.T) {
	loads, refused, changed := 0, 0, 0
	for seed := range uint64(15) {
		w := newWorld(t)
		a := &author{Rand: rand.New(rand.NewPCG(seed, 11))}
		for i := range 20 {
			if i%4 == 0 {
				w.lay()
			}
			load := a.attempt()
			fail := func(format string, args ...any) {
				t.Helper()
				t.Fatalf("seed %d, load %d: %s\nmode %d of %s:\n%s", seed, i, fmt.Sprintf(format, args...), load.mode, load.policy, load.text)
			}
			before := w.stored()
			report, refusal := w.RehearsePolicy(ctx, core.Operator(), load.policy, load.mode, []byte(load.text))
			if rehearsed := w.stored(); !reflect.DeepEqual(before, rehearsed) {
				fail("the rehearsal changes %s", difference(before, rehearsed))
			}
			err := w.try(load)
			if fmt.Sprint(refusal) != fmt.Sprint(err) {
				fail("rehearsed with %v, loaded with %v", refusal, err)
			}
			if err != nil {
				refused++
				continue
			}
			loads++
			if wrong := compare(report, items(before), items(w.stored())); wrong != "" {
				fail("%s", wrong)
			}
			changed += len(report.Created) + len(report.After) + len(report.Deleted)
		}
	}
	t.Logf("%d loads, %d refused, %d items", loads, refused, changed)
	if loads < 100 || refused < 10 || changed < 500 {
		t.Error("the policies are useless")
	}
}

// compare tells what a report says wrongly about a difference.
func compare(r *policy.Report, before, after map[ident.ID]policy.Item) string {
	created, deleted := map[ident.ID]policy.Item{}, map[ident.ID]policy.Item{}
	updatedBefore, updatedAfter := map[ident.ID]policy.Item{}, map[ident.ID]policy.Item{}
	for id, item := range after {
		old, was := before[id]
		named := slices.ContainsFunc(r.After, func(i policy.Item) bool { return i.ID == id })
		switch {
		case !was:
			created[id] = item
		case named || !reflect.DeepEqual(old, item):
			updatedBefore[id], updatedAfter[id] = old, item
		}
	}
	for id, item := range before {
		if _, stays := after[id]; !stays {
			deleted[id] = item
		}
	}
	for _, part := range []struct {
		name string
		got  []policy.Item
		want map[ident.ID]policy.Item
	}{
		{"created", r.Created, created}, {"before", r.Before, updatedBefore}, {"after", r.After, updatedAfter}, {"deleted", r.Deleted, deleted},
	} {
		got := map[ident.ID]policy.Item{}
		for _, item := range part.got {
			got[item.ID] = item
		}
		if len(got) != len(part.got) {
			return part.name + " has an item twice"
		}
		for id := range part.want {
			if !equalItems(got[id], part.want[id]) {
				return fmt.Sprintf("%s: %s is\n%+v, not\n%+v", part.name, id, part.want[id], got[id])
			}
		}
		if len(got) != len(part.want) {
			return part.name + ": " + difference(part.want, got)
		}
		if !slices.IsSortedFunc(part.got, func(a, b policy.Item) int {
			if a.RoleLike != b.RoleLike {
				return map[bool]int{true: -1, false: 1}[a.RoleLike]
			}
			return cmp.Compare(a.ID, b.ID)
		}) {
			return part.name + " is not in order"
		}
	}
	return ""
}

func equalItems(a, b policy.Item) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

func TestARehearsalIsNoLoad(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !user bob\n")
	before, version := w.stored(), len(w.versions("root"))
	w.audit.take()
	_, err := w.RehearsePolicy(ctx, w.admin(), "acme:policy:root", policy.Replace, []byte("- !user {id: eve, public_keys: [ssh-rsa A b]}\n- !host h\n"))
	must(t, err)
	if after := w.stored(); !reflect.DeepEqual(before, after) || len(w.versions("root")) != version {
		t.Errorf("changed: %s", difference(before, after))
	}
	if trail := w.audit.take(); !strings.Contains(trail, `[action@43868 result="success" operation="validate"]`) || strings.Contains(trail, `operation="add"`) {
		t.Error(trail)
	}
	_, err = w.RehearsePolicy(ctx, w.admin(), "acme:policy:root", policy.Add, []byte("- !bad x"))
	if !fault.Is(err, fault.PolicyInvalid) {
		t.Error(err)
	}
	if trail := w.audit.take(); !strings.Contains(trail, `[action@43868 result="failure" operation="validate"]`) {
		t.Error(trail)
	}
}

func (w *world) versions(id string) []row.PolicyVersion {
	w.t.Helper()
	v, err := w.Resource(ctx, w.admin(), ident.New("acme", "policy", id))
	must(w.t, err)
	return v.PolicyVersions
}

func TestARehearsalCountsTheValuesThatWouldBeLost(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !group g\n- !variable kept\n- !variable empty\n- !variable full\n- !variable {id: moved, owner: !group g}\n")
	for _, id := range []ident.ID{"acme:variable:kept", "acme:variable:full", "acme:variable:moved"} {
		must(t, w.SetSecret(ctx, w.admin(), id, secret.FromString("x")))
	}
	report, err := w.RehearsePolicy(ctx, w.admin(), "acme:policy:root", policy.Replace, []byte("- !variable kept\n- !variable moved\n"))
	must(t, err)
	if want := (policy.LostValues{Count: 1, IDs: []ident.ID{"acme:variable:full"}}); !reflect.DeepEqual(report.Values, want) {
		t.Errorf("%+v", report.Values)
	}
}

func TestAReportHidesWhatItsReaderDoesNotSee(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", `
- !user bob
- !group secret
- !policy p
- !permit {role: !user bob, privileges: [create, update], resource: !policy p}
`)
	w.load(policy.Add, "p", "- !group g\n- !grant {role: !group g, member: !group /secret}\n")
	bob := w.as("bob", keys["acme:user:bob"])
	report, err := w.RehearsePolicy(ctx, bob, "acme:policy:p", policy.Add, []byte(`
- !variable v
- !variable w
- !permit {role: !user /bob, privilege: read, resource: !variable v}
- !permit {role: !group g, privilege: read, resource: !variable v}
`))
	must(t, err)
	hidden := func(kind string) ident.ID { return ident.New("acme", kind, "[REDACTED]") }
	want := []policy.Item{
		{ID: hidden("variable"), Hidden: true},
		{ID: "acme:variable:p/v", Owner: "acme:policy:p", Policy: "acme:policy:p",
			Privileges: []policy.Privilege{{Name: "read", IDs: []ident.ID{hidden("group"), hidden("user")}}}},
	}
	if fmt.Sprintf("%+v", report.Created) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", report.Created, want)
	}
	for _, item := range report.Before {
		if item.ID != "acme:policy:p" && !item.Hidden {
			t.Errorf("shows %+v", item)
		}
	}
}

func TestARehearsalNeedsWhatTheLoadNeeds(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", `
- !user adds
- !user nobody
- !policy p
- !permit {role: !user adds, privilege: create, resource: !policy p}
`)
	for _, c := range []struct {
		login string
		id    ident.ID
		mode  policy.Mode
		want  fault.Kind
	}{
		{"adds", "acme:policy:p", policy.Modify, fault.Forbidden},
		{"adds", "acme:policy:p", policy.Replace, fault.Forbidden},
		{"nobody", "acme:policy:p", policy.Add, fault.NotFound},
		{"adds", "acme:policy:none", policy.Add, fault.NotFound},
	} {
		caller := w.as(c.login, keys[ident.New("acme", "user", c.login)])
		if _, err := w.RehearsePolicy(ctx, caller, c.id, c.mode, []byte("- !bad x")); !fault.Is(err, c.want) {
			t.Errorf("%s, mode %d of %s: %v", c.login, c.mode, c.id, err)
		}
	}
}

func TestARehearsalBesideAVeryLongListShowsOnlyWhatChanges(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&text, "- !group g%d\n", i)
	}
	w.load(policy.Add, "root", "- !policy p\n")
	w.load(policy.Add, "p", text.String())
	report, err := w.RehearsePolicy(ctx, w.admin(), "acme:policy:p", policy.Add, []byte("- !group new\n"))
	must(t, err)
	if len(report.After) != 1 || len(report.Before) != 1 {
		t.Fatalf("%d before, %d after", len(report.Before), len(report.After))
	}
	if b := report.Before[0]; b.ID != "acme:policy:p" || len(b.Memberships) != 0 || b.Omitted.Memberships != 1100 {
		t.Errorf("before: %+v", b)
	}
	if a := report.After[0]; !slices.Equal(a.Memberships, []ident.ID{"acme:group:p/new"}) || a.Omitted.Memberships != 1100 {
		t.Errorf("after: %+v", a)
	}
}
