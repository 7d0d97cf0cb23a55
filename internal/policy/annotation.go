package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Annotation is one name and value of a record.
type Annotation struct{ Name, Value string }

// attributeNames are the words that are probably a slip of the indentation when
// they stand as the name of an annotation.
var attributeNames = strings.Fields(`id owner body user annotations restricted_to permit deny role
	privileges resource grant revoke member host-factory layers layer variable kind mime_type delete
	record group host webservice`)

// warnAnnotation is the warning about such a name.
func warnAnnotation(name string) string {
	return fmt.Sprintf("Annotation '%s' matches a known policy attribute. This annotation will not be treated as a standard attribute and may not have the intended effect.", name)
}

func isAttributeName(name string) bool { return slices.Contains(attributeNames, name) }

func (p *parser) annotations(a attribute, n *node) ([]Annotation, error) {
	switch {
	case n.Kind == yaml.SequenceNode && len(n.Content) == 0:
		return nil, nil
	case n.Kind != yaml.MappingNode:
		return nil, refuse(ErrStatement, a.at, "Write each annotation on a line of its own below it, as 'name: value'.",
			"Expected a mapping for field 'annotations', got "+p.class(n))
	}
	if typ, err := typeOf(n); err != nil {
		return nil, err
	} else if typ != nil {
		return nil, refuse(ErrStatement, a.at, "", "Expected a mapping for field 'annotations', got "+typ.name)
	}
	list := make([]Annotation, 0, len(n.Content)/2)
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		at := position(n.Content[i])
		key, err := p.visit(n.Content[i])
		if err == nil {
			err = noAnchor(n.Content[i])
		}
		if err != nil {
			return nil, err
		}
		c, name, ok := scalar(key)
		switch {
		case !ok:
			return nil, refuse(ErrStatement, at, "", "The name of an annotation must be a plain value, got "+p.class(key))
		case c == classNil || name == "":
			return nil, refuse(ErrStatement, at, "Put the name in quotes if it is meant as text.", "An annotation has no name")
		case seen[name]:
			return nil, refuse(ErrStatement, at, "Give each annotation once.", "Duplicate attribute: "+clip(key.Value))
		}
		seen[name] = true
		value, err := p.visit(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		written, err := p.annotationValue(attribute{field: name, key: key.Value, at: position(n.Content[i+1])}, value)
		if err != nil {
			return nil, err
		}
		if flaw := AnnotationFlaw(name, written); flaw != "" {
			return nil, refuse(ErrStatement, position(n.Content[i+1]), adviceMaxAge, flaw)
		}
		list = append(list, Annotation{Name: name, Value: written})
	}
	return list, nil
}

// annotationValue is the text of a scalar, or of a list in brackets.
func (p *parser) annotationValue(a attribute, n *node) (string, error) {
	if n.Kind != yaml.SequenceNode {
		if _, text, ok := scalar(n); ok {
			return text, nil
		}
		return "", p.got("string", a, n)
	}
	var text strings.Builder
	if err := p.bracketed(&text, a, n, 0); err != nil {
		return "", err
	}
	p.lists += text.Len()
	if p.lists > MaxLists {
		return "", tooMany(a.at, "bytes of lists in annotations", MaxLists)
	}
	return text.String(), nil
}

func (p *parser) bracketed(text *strings.Builder, a attribute, list *node, depth int) error {
	text.WriteByte('[')
	for i, entry := range list.Content {
		if i > 0 {
			text.WriteString(", ")
		}
		n, err := p.visit(entry)
		if err != nil {
			return err
		}
		if n.Kind == yaml.SequenceNode {
			if depth == MaxDepth {
				return refuse(ErrStatement, a.at, "", fmt.Sprintf("The list nests more than %d levels deep", MaxDepth))
			}
			if err := p.bracketed(text, a, n, depth+1); err != nil {
				return err
			}
		} else {
			c, value, ok := scalar(n)
			switch {
			case !ok:
				return p.got("string", a, n)
			case c == classString:
				value = strings.ReplaceAll(strconv.Quote(value), "#{", `\#{`)
			case c == classNil:
				value = "nil"
			}
			text.WriteString(value)
		}
		if text.Len() > MaxScalar {
			return refuse(ErrStatement, a.at, "", fmt.Sprintf("A value is larger than %d bytes", MaxScalar))
		}
	}
	text.WriteByte(']')
	return nil
}
