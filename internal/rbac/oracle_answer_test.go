package rbac

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kljensen/snowball/english"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// What the oracle answers: each rule of the authorization model as it is worded, by
// going over the rows until nothing is added.

type idSet map[ident.ID]bool

// all is the role itself and every role reached from member to role.
func (o *oracle) all(role ident.ID) idSet {
	held := idSet{role: true}
	for grown := true; grown; {
		grown = false
		for _, m := range o.view().memberships {
			if held[m.Member] && !held[m.Role] {
				held[m.Role], grown = true, true
			}
		}
	}
	return held
}

// allowed: the role holds the owner, or a role with the privilege on the resource.
func (o *oracle) allowed(role ident.ID, privilege string, x row.Resource) bool {
	held := o.all(role)
	if held[x.Owner] {
		return true
	}
	return slices.ContainsFunc(o.view().permissions, func(p row.Permission) bool {
		return p.Resource == x.ID && held[p.Role] && p.Privilege == privilege
	})
}

// visible are the resources whose owner the role holds, or on which a role that it
// holds has any privilege.
func (o *oracle) visible(role ident.ID) idSet {
	held, visible := o.all(role), idSet{}
	for _, x := range o.view().resources {
		if held[x.Owner] {
			visible[x.ID] = true
		}
	}
	for _, p := range o.view().permissions {
		if held[p.Role] {
			visible[p.Resource] = true
		}
	}
	return visible
}

// rolesThatCan are the owner, the roles with the privilege, and all that hold one.
func (o *oracle) rolesThatCan(privilege string, x row.Resource) idSet {
	can := idSet{}
	for _, r := range o.view().roles {
		if o.allowed(r.ID, privilege, x) {
			can[r.ID] = true
		}
	}
	return can
}

// neighbourhood has the edges, parent before child, between the ancestors of a role,
// from each ancestor and from the role to direct members, and between descendants.
func (o *oracle) neighbourhood(role ident.ID) []string {
	ancestors := o.all(role)
	descendants := idSet{}
	for _, r := range o.view().roles {
		if o.all(r.ID)[role] {
			descendants[r.ID] = true
		}
	}
	var edges []string
	for _, m := range o.view().memberships {
		if ancestors[m.Role] || descendants[m.Role] {
			edges = append(edges, string(m.Role)+" > "+string(m.Member))
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// request is a question for a list, in the oracle's terms.
type request struct {
	viewer, owner ident.ID // owner "": any
	account, kind string
	search        *string // nil: no search
	limit         int     // 0: none
}

func (o *oracle) list(q request) []ident.ID {
	visible := o.visible(q.viewer)
	var owners idSet
	if q.owner != "" {
		owners = o.all(q.owner)
	}
	var found []ident.ID
	for _, x := range o.view().resources {
		parts := strings.SplitN(string(x.ID), ":", 3)
		if visible[x.ID] && (q.account == "" || q.account == parts[0]) && (q.kind == "" || q.kind == parts[1]) &&
			(owners == nil || owners[x.Owner]) && (q.search == nil || o.found(x, *q.search)) {
			found = append(found, x.ID)
		}
	}
	slices.Sort(found)
	if q.limit > 0 && len(found) > q.limit {
		found = found[:q.limit]
	}
	return found
}

// found: every word of the search is among the words of the resource, and there is one.
func (o *oracle) found(x row.Resource, search string) bool {
	words := o.words(x)
	wanted := significant(search)
	for _, w := range wanted {
		if !slices.Contains(words, w) {
			return false
		}
	}
	return len(wanted) > 0
}

func (o *oracle) words(x row.Resource) []string {
	parts := strings.SplitN(string(x.ID), ":", 3)
	text := parts[1] + " " + parts[2]
	for _, a := range o.view().annotations {
		if a.Resource == x.ID {
			text += " " + a.Value
		}
	}
	return significant(text)
}

var runs = regexp.MustCompile(`[\p{L}\p{Nd}]+`)

func significant(text string) []string {
	var words []string
	for _, w := range runs.FindAllString(strings.ToLower(text), -1) {
		switch w {
		case "a", "the", "of", "and", "to", "on", "s":
		default:
			if len(w) <= 64 {
				w = english.Stem(w, false)
			}
			words = append(words, w)
		}
	}
	return words
}

// index is what an index made anew has to have: for each word the resources.
func (o *oracle) index() []string {
	var lines []string
	for _, x := range o.view().resources {
		for _, w := range o.words(x) {
			lines = append(lines, w+" "+string(x.ID))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
