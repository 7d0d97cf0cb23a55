package policy

import "go.yaml.in/yaml/v4"

// references reads one reference or a list of them.
func (p *parser) references(a attribute, n *node, one func(attribute, *node) (*entity, error)) ([]*entity, error) {
	found := make([]*entity, 0, 1)
	err := p.each(n, a, func(n *node, a attribute) error {
		e, err := one(a, n)
		found = append(found, e)
		return err
	})
	return found, err
}

// tagged reads a value whose tag names a type that fits, or an untagged mapping
// as the implied type. It returns nil, without error, for an untagged scalar.
func (p *parser) tagged(expected string, fits func(*recordType) bool, implied *recordType, a attribute, n *node) (*entity, error) {
	if n.Kind == yaml.SequenceNode {
		return nil, p.got(expected, a, n)
	}
	typ, err := typeOf(n)
	switch {
	case err != nil:
		return nil, err
	case typ == nil && n.Kind == yaml.MappingNode:
		return p.entity(n, implied)
	case typ == nil:
		return nil, nil
	case !fits(typ):
		return nil, p.got(expected, a, n)
	}
	return p.entity(n, typ)
}

func isRole(t *recordType) bool     { return t.role }
func isResource(t *recordType) bool { return t.resource }

// bare makes the reference that a scalar without a tag is. Without a kind it can
// name nothing, which resolving it reports.
func (p *parser) bare(expected string, typ *recordType, a attribute, n *node) (*entity, error) {
	c, text, _ := scalar(n)
	if c != classString && c != classNil {
		return nil, p.got(expected, a, n)
	}
	e, isNew := p.add(n, typ)
	if isNew {
		e.id = text
	}
	return e, nil
}

func (p *parser) role(a attribute, n *node) (*entity, error) {
	e, err := p.tagged("Role", isRole, typeRole, a, n)
	if e == nil && err == nil {
		return p.bare("Role", typeRole, a, n)
	}
	return e, err
}

func (p *parser) resource(a attribute, n *node) (*entity, error) {
	e, err := p.tagged("Resource", isResource, typeResource, a, n)
	if e == nil && err == nil {
		return p.bare("Resource", typeResource, a, n)
	}
	return e, err
}

func (p *parser) layer(a attribute, n *node) (*entity, error) {
	isLayer := func(t *recordType) bool { return t == typeLayer }
	e, err := p.tagged("Layer", isLayer, typeLayer, a, n)
	if e == nil && err == nil {
		if c, _, _ := scalar(n); c != classString {
			return nil, p.got("Layer", a, n)
		}
		return p.bare("Layer", typeLayer, a, n)
	}
	return e, err
}

// owner is nil for an empty value: the default owner.
func (p *parser) owner(a attribute, n *node) (*entity, error) {
	e, err := p.tagged("Role", isRole, typeRole, a, n)
	if e == nil && err == nil {
		if c, _, _ := scalar(n); c != classNil {
			return nil, p.got("Role", a, n)
		}
	}
	return e, err
}

// member is a role, or a !member that says more about one.
func (p *parser) member(a attribute, n *node) (*entity, error) {
	fits := func(t *recordType) bool { return t.role || t == typeMember }
	e, err := p.tagged("Member", fits, typeMember, a, n)
	if e == nil && err == nil {
		return nil, p.got("Member", a, n)
	}
	return e, err
}

// record is what !delete deletes, or what an automatic role belongs to; nil for an
// empty value.
func (p *parser) record(e *entity, a attribute, n *node) (*entity, error) {
	expected, fits, implied := "Resource", isResource, typeResource
	if e.typ == typeAutomaticRole {
		expected, implied = "Role", typeRole
		fits = func(t *recordType) bool { return t.role && t != typeAutomaticRole }
	}
	found, err := p.tagged(expected, fits, implied, a, n)
	if found == nil && err == nil {
		if c, _, _ := scalar(n); c != classNil {
			return nil, p.got(expected, a, n)
		}
	}
	return found, err
}
