package policy

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"

	"rekey/internal/ident"
)

// author writes random documents about a small world, so that branches meet, ids
// coincide and most of what is referred to exists.
type author struct {
	*rand.Rand
	there    []ident.ID // roles and resources that exist, sorted
	branch   string     // the loaded policy's identifier, "" for root
	declared []ident.ID // by this document
	text     strings.Builder
}

// document writes a text to load into a policy.
func (a *author) document(state rows, policy ident.ID, removals bool) string {
	ids := map[ident.ID]bool{}
	for key := range state {
		if _, id, ok := strings.Cut(key, " role "); ok && strings.HasPrefix(key, "a") {
			ids[ident.ID(id)] = true
		} else if _, id, ok := strings.Cut(key, " resource "); ok {
			ids[ident.ID(id)] = true
		}
	}
	a.there = slices.Sorted(maps.Keys(ids))
	a.branch = strings.TrimPrefix(policy.Identifier(), "root")
	a.declared = nil
	a.text.Reset()
	a.text.WriteString("# " + string(policy) + "\n")
	a.records("", a.branch, 1+a.Intn(5))
	for range a.Intn(4) {
		a.grant()
	}
	for range a.Intn(3) {
		a.permit("permit")
	}
	for removals && a.Intn(3) > 0 {
		a.removal()
	}
	return a.text.String()
}

func (a *author) line(format string, args ...any) { fmt.Fprintf(&a.text, format+"\n", args...) }

func (a *author) one(of ...string) string { return of[a.Intn(len(of))] }

// records declares some, in the body of a policy.
func (a *author) records(indent, namespace string, n int) {
	for range n {
		tag := a.one("user", "user", "host", "host", "group", "group", "layer", "variable", "variable", "webservice", "host-factory", "policy", "policy", "role", "resource")
		name := a.one("x", "y", "z", "a/x", "b/x")
		if tag == "policy" {
			name = a.one("a", "b", "a/b", "a-b")
		}
		kind := strings.ReplaceAll(tag, "-", "_")
		switch tag {
		case "role":
			kind = a.one("team", "host")
		case "resource":
			kind = "thing"
		}
		path := name
		if namespace != "" {
			path = namespace + "/" + name
		}
		id := fullID(kind, path)
		if slices.Contains(a.declared, id) {
			continue
		}
		a.declared = append(a.declared, id)
		a.line("%s- !%s", indent, tag)
		a.line("%s  id: %s", indent, name)
		if kind != tag && tag != "host-factory" {
			a.line("%s  kind: %s", indent, kind)
		}
		if a.Intn(3) == 0 && tag != "role" {
			if owner, ok := a.anybody(); ok {
				a.line("%s  owner: %s", indent, owner)
			}
		}
		a.attributes(indent, tag)
		if tag == "policy" && a.Intn(2) == 0 && len(indent) < 8 {
			a.line("%s  body:", indent)
			a.records(indent+"    ", path, 1+a.Intn(3))
		}
	}
}

func (a *author) attributes(indent, tag string) {
	var annotations []string
	if a.Intn(3) == 0 {
		annotations = append(annotations, "note: "+a.one("p", "q"))
	}
	if tag == "host" && a.Intn(2) == 0 {
		annotations = append(annotations, "authn/api-key: "+a.one("true", "false", "False"))
	}
	if len(annotations) > 0 && tag != "role" {
		a.line("%s  annotations: {%s}", indent, strings.Join(annotations, ", "))
	}
	if (tag == "host" || tag == "user") && a.Intn(3) == 0 {
		a.line("%s  restricted_to: [%s]", indent, a.one("10.0.0.0/8", "10.0.0.1", "10.0.0.1, 10.0.0.0/8"))
	}
	if tag == "user" && a.Intn(3) == 0 {
		a.line("%s  public_keys: [%s]", indent, a.one("ssh-rsa AAAA x", "ssh-rsa BBBB x", "ssh-rsa AAAA x, ssh-rsa BBBB x", "ssh-rsa CCCC y"))
	}
	if tag == "host-factory" {
		var layers []string
		for range a.Intn(3) {
			if layer, ok := a.inside(func(id ident.ID) bool { return id.Kind() == "layer" }); ok {
				layers = append(layers, layer)
			}
		}
		a.line("%s  layers: [%s]", indent, strings.Join(layers, ", "))
	}
}

func fullID(kind, path string) ident.ID {
	if i := strings.LastIndexByte(path, '/'); kind == "user" && i >= 0 {
		path = path[i+1:] + "@" + strings.ReplaceAll(path[:i], "/", "-")
	}
	return ident.New("acct", kind, path)
}

func isRoleID(id ident.ID) bool {
	return !slices.Contains([]string{"variable", "webservice", "thing", "public_key"}, id.Kind())
}

// pick chooses something that exists, that this document declares or, rarely, neither.
func (a *author) pick(fits func(ident.ID) bool) (ident.ID, bool) {
	if missing := fullID(a.one("user", "group", "layer", "variable"), strings.TrimPrefix(a.branch+"/none", "/")); a.Intn(100) == 0 && fits(missing) {
		return missing, true
	}
	from := a.there
	if a.Intn(2) == 0 {
		from = a.declared
	}
	for range 20 {
		if len(from) == 0 {
			return "", false
		}
		if id := from[a.Intn(len(from))]; fits(id) {
			return id, true
		}
	}
	return "", false
}

func reference(id ident.ID, path string) string {
	if strings.TrimSpace(path) == "" {
		return "!" + id.Kind()
	}
	switch kind := id.Kind(); kind {
	case "team":
		return fmt.Sprintf("!role {kind: team, id: %q}", path)
	case "thing", "public_key":
		return fmt.Sprintf("!resource {kind: %s, id: %q}", kind, path)
	case "host_factory":
		return fmt.Sprintf("!host-factory %q", path)
	default:
		return fmt.Sprintf("!%s %q", kind, path)
	}
}

// anybody refers to a role anywhere in the account.
func (a *author) anybody() (string, bool) {
	id, ok := a.pick(isRoleID)
	path := id.Identifier()
	if name, branch, in := strings.Cut(path, "@"); id.Kind() == "user" && in {
		path = branch + "/" + name
	}
	return reference(id, "/"+path), ok
}

// inside refers to something in the loaded policy.
func (a *author) inside(fits func(ident.ID) bool) (string, bool) {
	for range 20 {
		id, ok := a.pick(fits)
		if !ok {
			return "", false
		}
		path, branch := id.Identifier(), a.branch
		if id.Kind() == "user" {
			name, of, nested := strings.Cut(path, "@")
			if nested {
				path = of + "/" + name
			}
			branch = strings.ReplaceAll(branch, "/", "-")
		}
		if branch == "" {
			return reference(id, path), true
		}
		if id.Kind() == "user" && strings.HasPrefix(path, branch+"-") {
			return reference(id, strings.TrimPrefix(path, branch+"-")), true
		}
		if rest, ok := strings.CutPrefix(path, branch+"/"); ok {
			return reference(id, rest), true
		}
	}
	return "", false
}

func (a *author) grant() {
	role, ok := a.inside(isRoleID)
	member, ok2 := a.anybody()
	if !ok || !ok2 {
		return
	}
	members := []string{member}
	if a.Intn(2) == 0 {
		members = append(members, fmt.Sprintf("!member {role: %s, admin: %v}", member, a.Intn(2) == 0))
	}
	if other, ok := a.anybody(); ok && a.Intn(2) == 0 {
		members = append(members, fmt.Sprintf("{role: %s, admin: true}", other))
	}
	a.line("- !grant {role: %s, members: [%s]}", role, strings.Join(members, ", "))
}

func (a *author) permit(tag string) {
	role, ok := a.anybody()
	resource, ok2 := a.inside(func(id ident.ID) bool { return id.Kind() != "team" })
	if ok && ok2 {
		a.line("- !%s {role: %s, privileges: [%s], resource: %s}", tag, role, a.one("", "read", "execute", "read, execute", "read, read"), resource)
	}
}

func (a *author) removal() {
	switch a.Intn(4) {
	case 0:
		a.permit("deny")
	case 1, 2:
		role, ok := a.inside(isRoleID)
		member, ok2 := a.anybody()
		if ok && ok2 {
			a.line("- !revoke {role: %s, member: %s}", role, member)
		}
	case 3:
		if record, ok := a.inside(func(id ident.ID) bool { return id.Kind() != "team" && a.Intn(3) > 0 }); ok {
			a.line("- !delete {record: %s}", record)
		}
	}
}
