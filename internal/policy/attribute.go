package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// attribute is where a value stands: the key as written, the singular name of the
// field, and the place of the value.
type attribute struct {
	field string
	key   string
	at    Position
}

// attribute sets one attribute of an entity.
func (p *parser) attribute(e *entity, a attribute, value *node) (err error) {
	n, err := p.visit(value)
	if err != nil {
		return err
	}
	switch a.field {
	case "id":
		e.id, err = p.text(a, n)
	case "account":
		e.account, err = p.text(a, n)
	case "role_name":
		e.automaticName, err = p.text(a, n)
	case "mime_type":
		e.mimeType, err = p.text(a, n)
	case "kind":
		e.kind, err = p.text(a, n)
		if err == nil && e.typ != typeVariable && strings.Contains(e.kind, ":") {
			err = refuse(ErrStatement, a.at, "Colons separate the parts of a full id.", fmt.Sprintf("The kind '%s' contains a colon", e.kind))
		}
	case "owner":
		e.owner, err = p.owner(a, n)
	case "annotations":
		e.annotations, err = p.annotations(a, n)
	case "uidnumber", "gidnumber":
		e.number, err = p.integer(a, n)
	case "restricted_to":
		e.restricted = nil
		err = p.each(n, a, func(n *node, a attribute) error { return p.cidr(e, a, n) })
	case "public_key":
		e.publicKeys = nil
		err = p.each(n, a, func(n *node, a attribute) error {
			value, err := p.text(a, n)
			e.publicKeys = append(e.publicKeys, text{a.at, value})
			return err
		})
	case "body":
		err = p.body(e, a, n)
	case "layer":
		e.hasLayers = true
		e.layers, err = p.references(a, n, p.layer)
	case "role":
		if e.typ == typeMember {
			var role *entity
			role, err = p.role(a, n)
			e.roles = []*entity{role}
		} else {
			e.roles, err = p.references(a, n, p.role)
		}
	case "member":
		if e.typ == typeGrant {
			e.members, err = p.references(a, n, p.member)
		} else {
			e.members, err = p.references(a, n, p.role)
		}
	case "resource":
		e.resources, err = p.references(a, n, p.resource)
	case "privilege":
		e.privileges = nil
		err = p.each(n, a, func(n *node, a attribute) error {
			value, err := p.text(a, n)
			e.privileges = append(e.privileges, value)
			return err
		})
	case "record":
		e.record, err = p.record(e, a, n)
	case "admin":
		e.admin, err = p.boolean(a, n)
	default:
		panic("policy: the schema has an attribute that is never set: " + a.field)
	}
	return err
}

// each applies one function to a single value or to the entries of a list. A list
// in the list is handed on as it is, and refused by the function.
func (p *parser) each(n *node, a attribute, one func(*node, attribute) error) error {
	if n.Kind != yaml.SequenceNode {
		return one(n, a)
	}
	for _, entry := range n.Content {
		value, err := p.visit(entry)
		if err != nil {
			return err
		}
		a.at = position(entry)
		if err := one(value, a); err != nil {
			return err
		}
	}
	return nil
}

// got makes the error of a value that is not what the field takes.
func (p *parser) got(expected string, a attribute, n *node) error {
	typ, err := typeOf(n)
	if err != nil && n.Kind != yaml.SequenceNode { // the tags of lists say nothing
		return err
	}
	is := p.class(n)
	if typ != nil && n.Kind != yaml.SequenceNode {
		is = typ.name
	} else if n.Kind == yaml.MappingNode {
		return refuse(ErrStatement, a.at, "", fmt.Sprintf("Attribute '%s' can't be a mapping", clip(a.key)))
	}
	return refuse(ErrStatement, a.at, adviseType(expected, is, n),
		fmt.Sprintf("Expected a %s for field '%s', got %s", expected, clip(a.field), is))
}

// adviseType says how to write what was meant, where a guess is safe.
func adviseType(expected, is string, n *node) string {
	switch {
	case expected == "string" && n.Kind == yaml.ScalarNode && n.Value != "":
		return fmt.Sprintf("Put the value in quotes: '%s'.", clip(n.Value))
	case expected == "integer":
		return "Write it in digits, without quotes."
	case expected == "boolean":
		return "Write true or false."
	case is == string(classString):
		return fmt.Sprintf("Write the type before the id, such as !user %s.", clip(n.Value))
	case is == "Array":
		return "A list can't stand in a list of values, nor where one value is expected."
	}
	return ""
}

// clip shortens a text for a message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// scalar returns the class and text of an untagged scalar; ok is false for
// anything else.
func scalar(n *node) (c class, text string, ok bool) {
	if n.Kind != yaml.ScalarNode {
		return "", "", false
	}
	if typ, err := typeOf(n); err != nil || typ != nil {
		return "", "", false
	}
	c, text = typed(n)
	return c, text, true
}

func (p *parser) text(a attribute, n *node) (string, error) {
	if c, text, ok := scalar(n); ok && c == classString {
		return text, nil
	}
	return "", p.got("string", a, n)
}

func (p *parser) integer(a attribute, n *node) (string, error) {
	if c, text, ok := scalar(n); ok && c == classInteger {
		return text, nil
	}
	return "", p.got("integer", a, n)
}

func (p *parser) boolean(a attribute, n *node) (bool, error) {
	switch c, text, ok := scalar(n); {
	case ok && (c == classTrue || c == classFalse), ok && (text == "true" || text == "false"):
		return text == "true", nil
	}
	return false, p.got("boolean", a, n)
}

func (p *parser) cidr(e *entity, a attribute, n *node) error {
	c, text, ok := scalar(n)
	switch {
	case !ok:
		return p.got("string", a, n)
	case c != classString:
		return refuse(ErrStatement, a.at, "Put the value in quotes.", "CIDR argument must be a String")
	}
	prefix, problem := parseCIDR(text)
	if problem != "" {
		return refuse(ErrStatement, a.at, advise(problem), problem)
	}
	if len(e.restricted) == MaxNetworks {
		return refuse(ErrStatement, a.at, "Restrict to fewer and larger networks.",
			fmt.Sprintf("The record is restricted to more than %d networks", MaxNetworks))
	}
	e.restricted = append(e.restricted, prefix)
	return nil
}

// body reads the statements of a policy, whose scope it is.
func (p *parser) body(e *entity, a attribute, n *node) error {
	if n.Kind != yaml.SequenceNode {
		if c, _, ok := scalar(n); ok && c == classNil {
			return nil
		}
		if typ, err := typeOf(n); err != nil {
			return err
		} else if typ != nil {
			return refuse(ErrStatement, a.at, adviceStatement, "Expected a list for field 'body', got "+typ.name)
		}
		return refuse(ErrStatement, a.at, adviceStatement, "Expected a list for field 'body', got "+p.class(n))
	}
	e.bodyPosition = a.at
	if len(n.Content) > 0 {
		p.policies = append(p.policies, e)
	}
	outer := p.scope
	p.scope = e
	err := p.statements(n, &e.body)
	p.scope = outer
	return err
}
