package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rekey/internal/ident"
	"rekey/internal/rbac"
)

// item is a statement in a body.
type item struct {
	tag   string
	key   string // orders statements of one tag
	node  *node
	child *body    // of a policy
	keys  []string // public keys of a user
}

// kindTypes finds the type that declares records of a kind.
var kindTypes = func() map[string]*recordType {
	table := map[string]*recordType{}
	for _, t := range types {
		if t.kind != "" {
			table[t.kind] = t
		}
	}
	return table
}()

// describe writes a resource, the role of the same id, and the permissions and
// memberships that both have.
func (e *Effective) describe(x *rbac.Resource) {
	at, ok := e.places[x.ID]
	if !ok {
		return
	}
	if x.ID != e.policyID("root") || len(x.Annotations) > 0 {
		e.declare(x, at)
	}
	at.body.items = append(at.body.items, e.permits(x, at)...)
	if x.Role != nil {
		e.grant(x.Role, at)
	}
}

func (e *Effective) describeRole(r *rbac.Role) {
	at := e.places[r.ID]
	e.declareCustom(typeRole, r.ID, at, nil)
	e.grant(r, at)
}

func (e *Effective) declare(x *rbac.Resource, at place) {
	t := kindTypes[x.ID.Kind()]
	if t == nil || t.role && x.Role == nil {
		e.declareCustom(typeResource, x.ID, at, e.attributes(x, typeResource, at))
	} else {
		it := &item{tag: t.tag, key: string(x.ID), node: record(t, at.id, e.attributes(x, t, at))}
		switch t {
		case typePolicy:
			it.child = e.bodies[x.ID.Identifier()]
		case typeUser:
			e.users[x.ID] = it
		}
		at.body.items = append(at.body.items, it)
	}
	if x.Role != nil && (t == nil || !t.role) {
		e.declareCustom(typeRole, x.ID, at, nil)
	}
}

// declareCustom writes a role or resource whose kind is an attribute. A document can
// have only one for each identifier.
func (e *Effective) declareCustom(t *recordType, id ident.ID, at place, attributes []*node) {
	key := customID{t, id.Identifier()}
	if e.custom[key] {
		e.leaveOut("%s: a document has one !%s of an id, of whatever kind", id, t.tag)
		return
	}
	e.custom[key] = true
	attributes = append([]*node{plainNode("kind"), stringNode(id.Kind())}, attributes...)
	at.body.items = append(at.body.items, &item{tag: t.tag, key: string(id), node: record(t, at.id, attributes)})
}

// record is a declaration; one that has nothing but an id is written in short.
func record(t *recordType, id string, attributes []*node) *node {
	if len(attributes) == 0 {
		return tagged(t, id)
	}
	return mapping(t, append([]*node{plainNode("id"), stringNode(id)}, attributes...))
}

// attributes are those of a resource, in the order in which they are written.
func (e *Effective) attributes(x *rbac.Resource, t *recordType, at place) []*node {
	var list []*node
	add := func(key string, value *node) { list = append(list, plainNode(key), value) }
	if x.Owner != at.body.owner {
		if owner := e.absolute(x.Owner); owner != nil {
			add("owner", owner)
		} else {
			e.leaveOut("owner %s of %s", x.Owner, x.ID)
		}
	}
	if t == typeHostFactory {
		layers := flowList()
		layers.Content = e.layers(x.Role, at)
		add("layers", layers)
	}
	annotations := &node{Kind: yaml.MappingNode}
	for _, a := range x.Annotations {
		if t == typeVariable && a.Value != "" && (a.Name == "conjur/kind" || a.Name == "conjur/mime_type") {
			add(strings.TrimPrefix(a.Name, "conjur/"), stringNode(a.Value))
		} else {
			annotations.Content = append(annotations.Content, stringNode(a.Name), stringNode(a.Value))
		}
	}
	if len(annotations.Content) > 0 {
		add("annotations", annotations)
	}
	if (t == typeUser || t == typeHost) && len(x.Role.Networks) > 0 {
		networks := flowList()
		for _, n := range x.Role.Networks {
			networks.Content = append(networks.Content, stringNode(n.String()))
		}
		add("restricted_to", networks)
	}
	return list
}

// layers are those of a host factory that its statement can name.
func (e *Effective) layers(factory *rbac.Role, at place) []*node {
	var ids []ident.ID
	for _, m := range factory.Held {
		if isLayer(m) {
			ids = append(ids, m.Role.ID)
		}
	}
	slices.Sort(ids)
	var layers []*node
	for _, id := range ids {
		if rest, ok := beneath(at.body.policy, id.Identifier()); ok {
			layers = append(layers, tagged(typeLayer, rest))
		}
	}
	return layers
}

func isLayer(m *rbac.Membership) bool {
	return !m.Ownership && !m.Admin && m.Role.ID.Kind() == "layer" && m.Role.Resource != nil
}

// permits are one statement for each role that has privileges on a resource.
func (e *Effective) permits(x *rbac.Resource, at place) []*item {
	privileges := map[ident.ID][]string{}
	for _, p := range x.Permissions {
		privileges[p.Role.ID] = append(privileges[p.Role.ID], p.Privilege)
	}
	var list []*item
	for _, role := range slices.Sorted(maps.Keys(privileges)) {
		holder := e.reference(role, at.body)
		if holder == nil {
			e.leaveOut("privileges of %s on %s", role, x.ID)
			continue
		}
		slices.Sort(privileges[role])
		words := flowList()
		for _, p := range privileges[role] {
			words.Content = append(words.Content, stringNode(p))
		}
		list = append(list, &item{tag: typePermit.tag, key: string(x.ID) + "\n" + string(role), node: mapping(typePermit, []*node{
			plainNode("role"), holder, plainNode("privileges"), words, plainNode("resource"), refer(x.ID, at.id, false),
		})})
	}
	return list
}

// grant writes the members of a role. Owners are members too, without saying.
func (e *Effective) grant(r *rbac.Role, at place) {
	members := slices.Clone(r.Members)
	slices.SortFunc(members, func(a, b *rbac.Membership) int { return cmp.Compare(a.Member.ID, b.Member.ID) })
	list := &node{Kind: yaml.SequenceNode}
	for _, m := range members {
		if m.Ownership || e.isDeclaredLayer(m) {
			continue
		}
		member := e.absolute(m.Member.ID)
		if member == nil {
			e.leaveOut("membership of %s in %s", m.Member.ID, r.ID)
			continue
		}
		if m.Admin {
			member = mapping(typeMember, []*node{plainNode("role"), member, plainNode("admin"), {Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(true)}})
		}
		list.Content = append(list.Content, member)
	}
	if len(list.Content) > 0 {
		at.body.items = append(at.body.items, &item{tag: typeGrant.tag, key: string(r.ID), node: mapping(typeGrant, []*node{
			plainNode("role"), refer(r.ID, at.id, true), plainNode("members"), list,
		})})
	}
}

// isDeclaredLayer tells whether the statement of a host factory has the membership.
func (e *Effective) isDeclaredLayer(m *rbac.Membership) bool {
	at, included := e.places[m.Member.ID]
	if !included || m.Member.ID.Kind() != "host_factory" || m.Member.Resource == nil || !isLayer(m) {
		return false
	}
	_, ok := beneath(at.body.policy, m.Role.ID.Identifier())
	return ok
}

// refer names a role or a resource. A name that begins at the top begins with '/'.
func refer(id ident.ID, path string, role bool) *node {
	kind := id.Kind()
	t, generic := kindTypes[kind], typeResource
	if role {
		generic = typeRole
	}
	if t == nil || role && !t.role || kind == "user" && strings.Contains(id.Identifier(), "/") {
		return mapping(generic, []*node{plainNode("kind"), stringNode(kind), plainNode("id"), stringNode(path)})
	}
	return tagged(t, path)
}

// reference names a role from within a body: by its id there if it stands there too.
func (e *Effective) reference(role ident.ID, from *body) *node {
	if at, ok := e.places[role]; ok && at.body == from {
		path := at.id
		if from.policy != "" {
			path = from.policy + "/" + path
		}
		if climbed, ok := climb(path); ok && climbed == path {
			return refer(role, at.id, true)
		}
	}
	return e.absolute(role)
}

// absolute names a role from anywhere, nil if that cannot be said.
func (e *Effective) absolute(role ident.ID) *node {
	path := role.Identifier()
	if role.Kind() == "user" {
		if at, ok := e.places[role]; ok && at.body.policy != "" {
			path = at.body.policy + "/" + at.id
		} else if x := e.g.Resource(role); x != nil {
			if policy, name, ok := ownersHome(x); ok {
				path = policy + "/" + name
			}
		}
	}
	climbed, ok := climb("/" + path)
	if !ok || climbed != path || role.Account() != e.account {
		return nil
	}
	return refer(role, "/"+path, true)
}

// leaveOut notes what the text does not say.
func (e *Effective) leaveOut(format string, args ...any) {
	e.unspoken = append(e.unspoken, fmt.Sprintf(format, args...))
}

func plainNode(s string) *node { return &node{Kind: yaml.ScalarNode, Value: s} }

func flowList() *node { return &node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle} }

func mapping(t *recordType, content []*node) *node {
	return &node{Kind: yaml.MappingNode, Tag: "!" + t.tag, Style: yaml.TaggedStyle, Content: content}
}

// tagged is the short form of a record or a reference. The text after a tag is always
// an id.
func tagged(t *recordType, id string) *node {
	n := &node{Kind: yaml.ScalarNode, Tag: "!" + t.tag, Value: id, Style: yaml.TaggedStyle}
	if !oneLine(id) {
		n.Style |= yaml.DoubleQuotedStyle
	}
	return n
}

// stringNode is a value that reads back as this text and not as a number, a date or a word
// such as yes.
func stringNode(s string) *node {
	n := plainNode(s)
	if c, _ := typed(n); c != classString || !oneLine(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

// oneLine tells whether a text has neither line breaks nor characters without a look.
func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && !strconv.IsPrint(r) })
}
