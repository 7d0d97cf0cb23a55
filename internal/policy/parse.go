package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// entity is a tagged mapping or scalar as it was written: a record, a reference to
// one, or a statement about some. An alias is the same entity as its anchor.
type entity struct {
	Position
	typ   *recordType
	index int     // among the entities of the document
	scope *entity // the policy in whose body it stands, nil at the top

	listed        bool // it stands in a list of statements, so it is applied
	id            string
	account       string
	kind          string
	owner         *entity
	annotations   []Annotation
	restricted    []netip.Prefix
	publicKeys    []text
	number        string // uidnumber or gidnumber
	mimeType      string
	layers        []*entity
	hasLayers     bool
	body          []*entity
	bodyPosition  Position
	roles         []*entity
	members       []*entity
	privileges    []string
	resources     []*entity
	record        *entity
	admin         bool
	automaticName string
}

// text is a string value and its place.
type text struct {
	Position
	value string
}

type entityKey struct {
	node *node
	typ  *recordType
}

// parser turns nodes into entities. It follows aliases without copying what they
// stand for; visits counts each node each time it is looked at.
type parser struct {
	scope    *entity
	shared   map[*node]bool        // the nodes that an alias can lead to again
	known    map[entityKey]*entity // what the shared nodes were read as
	flat     map[*node]bool        // anchored lists whose statements were taken
	policies []*entity
	entities int
	visits   int
	rows     int
	lists    int // bytes of annotation values that were lists
}

func (p *parser) document(root *node) ([]*entity, error) {
	var statements []*entity
	if err := p.statements(root, &statements); err != nil {
		return nil, err
	}
	return statements, nil
}

// visit follows an alias and pays for one look at the node.
func (p *parser) visit(n *node) (*node, error) {
	at := position(n)
	p.visits++
	if p.visits > MaxNodes {
		return nil, tooMany(at, "values", MaxNodes)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if len(n.Value) > MaxScalar {
		return nil, refuse(ErrStatement, at, "", fmt.Sprintf("A value is larger than %d bytes", MaxScalar))
	}
	if strings.IndexByte(n.Value, 0) >= 0 {
		return nil, refuse(ErrStatement, at, `Remove the "\0".`, "A value contains the character with the code 0")
	}
	return n, nil
}

// statements takes the entries of a list, and of the lists in it, into one.
func (p *parser) statements(list *node, into *[]*entity) error {
	if list.Anchor != "" {
		if p.flat[list] {
			return nil
		}
		p.flat[list] = true
	}
	for _, entry := range list.Content {
		n, err := p.visit(entry)
		if err != nil {
			return err
		}
		if n.Kind == yaml.SequenceNode {
			if err := p.statements(n, into); err != nil {
				return err
			}
			continue
		}
		e, err := p.statement(n, position(entry))
		if err != nil {
			return err
		}
		for outer := p.scope; outer != nil; outer = outer.scope {
			if e == outer {
				return refuse(ErrStatement, position(entry), "Remove it from the body.",
					fmt.Sprintf("The policy '%s' stands in its own body", clip(e.id)))
			}
		}
		if !e.listed {
			e.listed = true
			*into = append(*into, e)
		}
	}
	return nil
}

const adviceStatement = "Each entry is a statement that begins with a tag, such as '- !user alice'."

func (p *parser) statement(n *node, at Position) (*entity, error) {
	typ, err := typeOf(n)
	switch {
	case err != nil:
		return nil, err
	case typ == nil && n.Kind == yaml.MappingNode:
		return nil, refuse(ErrStatement, at, adviceStatement, "No type given or inferred for sequence entry")
	case typ == nil:
		return nil, refuse(ErrStatement, at, adviceStatement, "Expected a statement, got "+p.class(n))
	case !typ.statement:
		return nil, refuse(ErrStatement, at, adviceStatement, fmt.Sprintf("'!%s' is not a statement", typ.tag))
	}
	return p.entity(n, typ)
}

// class is what messages say that a value is.
func (p *parser) class(n *node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "Array"
	case yaml.MappingNode:
		return "Hash"
	}
	c, _ := typed(n)
	return string(c)
}

// add makes the entity of a node, or finds the one that it was made into before:
// a shared node is one entity, in the branch where it was written.
func (p *parser) add(n *node, typ *recordType) (e *entity, isNew bool) {
	key := entityKey{n, typ}
	if p.shared[n] {
		if e := p.known[key]; e != nil {
			return e, false
		}
	}
	e = &entity{Position: position(n), typ: typ, index: p.entities, scope: p.scope}
	p.entities++
	if p.shared[n] {
		p.known[key] = e
	}
	return e, true
}

// entity reads a mapping or scalar as the given type. While a shared one is being
// read, an alias in it already means the same entity.
func (p *parser) entity(n *node, typ *recordType) (*entity, error) {
	e, isNew := p.add(n, typ)
	if !isNew {
		return e, nil
	}
	if n.Kind == yaml.ScalarNode {
		if !typ.shorthand {
			return nil, refuse(ErrStatement, e.Position,
				fmt.Sprintf("Write '!%s' with attributes: %s.", typ.tag, typ.keys()),
				fmt.Sprintf("'!%s' has no id and can't be a plain value", typ.tag))
		}
		e.id = n.Value
		return e, nil
	}
	seen := make([]string, 0, 8)
	for i := 0; i < len(n.Content); i += 2 {
		key, err := p.visit(n.Content[i])
		if err != nil {
			return nil, err
		}
		at := position(n.Content[i])
		if err := noAnchor(n.Content[i]); err != nil {
			return nil, err
		}
		if key.Kind != yaml.ScalarNode {
			return nil, refuse(ErrStatement, at, "", "An attribute name must be a plain value, got "+p.class(key))
		}
		field := typ.attributes[key.Value]
		if field == "" {
			return nil, typ.unknownAttribute(key.Value, at)
		}
		if slices.Contains(seen, key.Value) {
			return nil, refuse(ErrStatement, at, "Give each attribute once.", "Duplicate attribute: "+clip(key.Value))
		}
		seen = append(seen, key.Value)
		if err := p.attribute(e, attribute{field: field, key: key.Value, at: position(n.Content[i+1])}, n.Content[i+1]); err != nil {
			return nil, err
		}
	}
	return e, p.complete(e)
}

// noAnchor refuses an anchor before a key: YAML means the key by it, and authors the
// value.
func noAnchor(key *node) error {
	if key.Anchor == "" {
		return nil
	}
	return refuse(ErrStatement, position(key), fmt.Sprintf("Write it before the value: '%s: &%s ...'.", clip(key.Value), clip(key.Anchor)),
		fmt.Sprintf("The anchor '%s' stands before the name of an attribute", clip(key.Anchor)))
}

// complete checks what only the whole mapping shows.
func (p *parser) complete(e *entity) error {
	roles := max(1, len(e.roles))
	p.rows += max(roles*max(1, len(e.members)), roles*max(1, len(e.privileges))*max(1, len(e.resources)))
	if p.rows > MaxRows {
		return tooMany(e.Position, "combinations of roles, members, privileges and resources", MaxRows)
	}
	switch {
	case e.typ == typeMember && len(e.roles) == 0:
		return refuse(ErrStatement, e.Position, "Name the member: role: !user alice.", "'!member' has no role")
	case e.typ == typeDelete && e.record == nil:
		return refuse(ErrStatement, e.Position, "Name the record to delete: record: !user alice.", "'!delete' has no record")
	case e.typ == typeAutomaticRole && e.record == nil:
		return refuse(ErrStatement, e.Position, "", "'!automatic-role' has no record")
	}
	return nil
}

// keys lists the attributes of a type, in the singular.
func (t *recordType) keys() string {
	var keys []string
	for key, field := range t.attributes {
		if key == field {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

func (t *recordType) unknownAttribute(key string, at Position) error {
	keys := make([]string, 0, len(t.attributes))
	for known := range t.attributes {
		keys = append(keys, known)
	}
	advice := didYouMean(key, keys, "")
	if advice == "" {
		advice = fmt.Sprintf("The attributes of '!%s' are: %s.", t.tag, t.keys())
	}
	return refuse(ErrStatement, at, advice, fmt.Sprintf("No such attribute '%s' on type %s", clip(key), t.name))
}
