package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rekey/internal/fault"
)

// yamlOrder is the order of the statements in a body, by tag.
var yamlOrder = strings.Fields("user policy variable webservice host layer host-factory group resource role grant permit")

func inOrder(a, b *item) int {
	return cmp.Or(cmp.Compare(slices.Index(yamlOrder, a.tag), slices.Index(yamlOrder, b.tag)), cmp.Compare(a.key, b.key))
}

// sequence is the list of a body's statements, either sorted for readers or in the
// order of discovery.
func (b *body) sequence(sorted bool) *node {
	items := b.items
	if sorted {
		items = slices.SortedStableFunc(slices.Values(items), inOrder)
	}
	list := &node{Kind: yaml.SequenceNode}
	for _, it := range items {
		n := it.node
		if len(it.keys) > 0 {
			keys := &node{Kind: yaml.SequenceNode}
			for _, line := range it.keys {
				keys.Content = append(keys.Content, stringNode(line))
			}
			n = with(n, "public_keys", keys)
		}
		if it.child != nil && len(it.child.items) > 0 {
			n = with(n, "body", it.child.sequence(sorted))
		}
		list.Content = append(list.Content, n)
	}
	return list
}

// with is a record with one attribute more.
func with(n *node, key string, value *node) *node {
	long := *n
	if n.Kind == yaml.ScalarNode {
		long = node{Kind: yaml.MappingNode, Tag: n.Tag, Style: yaml.TaggedStyle, Content: []*node{plainNode("id"), stringNode(n.Value)}}
	}
	long.Content = append(slices.Clip(long.Content), plainNode(key), value)
	return &long
}

// YAML is the policy as text. What it leaves out stands in a comment at its top.
func (e *Effective) YAML() ([]byte, error) {
	var out bytes.Buffer
	d, err := yaml.NewDumper(&out, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithExplicitStart())
	if err != nil {
		return nil, fault.Wrap(err, "set up the YAML writer")
	}
	if len(e.unspoken) > 0 {
		out.WriteString("# A policy cannot say this, so it is left out:\n")
		for _, what := range e.unspoken {
			out.WriteString("#   " + comment(what) + "\n")
		}
	}
	if err := d.Dump(e.top.sequence(true)); err != nil {
		return nil, fault.Wrap(err, "write the policy as YAML")
	}
	if err := d.Close(); err != nil {
		return nil, fault.Wrap(err, "write the policy as YAML")
	}
	return out.Bytes(), nil
}

// comment is a text without line breaks, which would end the comment.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
}

// JSON is the policy as a list of {type: {attribute: value}}; a reference is
// {type: id}.
func (e *Effective) JSON() []byte { return appendStatements(nil, e.top.sequence(false)) }

func appendStatements(to []byte, list *node) []byte {
	return appendArray(to, list.Content, func(to []byte, n *node) []byte {
		if n.Kind == yaml.ScalarNode {
			n = &node{Kind: yaml.MappingNode, Tag: n.Tag, Content: []*node{plainNode("id"), plainNode(n.Value)}}
		}
		return appendJSON(to, n)
	})
}

func appendArray(to []byte, list []*node, each func([]byte, *node) []byte) []byte {
	to = append(to, '[')
	for i, n := range list {
		if i > 0 {
			to = append(to, ',')
		}
		to = each(to, n)
	}
	return append(to, ']')
}

// appendJSON appends a value; a tag becomes the key of an object around it.
func appendJSON(to []byte, n *node) []byte {
	if tag, ok := strings.CutPrefix(n.Tag, "!"); ok && !strings.HasPrefix(tag, "!") {
		bare := *n
		bare.Tag = ""
		to = append(to, `{"`+tag+`":`...)
		return append(appendJSON(to, &bare), '}')
	}
	switch {
	case n.Kind == yaml.SequenceNode:
		return appendArray(to, n.Content, appendJSON)
	case n.Kind == yaml.MappingNode:
		to = append(to, '{')
		for i := 0; i < len(n.Content); i += 2 {
			if i > 0 {
				to = append(to, ',')
			}
			key, value := n.Content[i], n.Content[i+1]
			to = append(appendJSON(to, key), ':')
			if key.Value == "body" && value.Kind == yaml.SequenceNode {
				to = appendStatements(to, value)
			} else {
				to = appendJSON(to, value)
			}
		}
		return append(to, '}')
	case n.Tag == "!!bool":
		return append(to, n.Value...)
	}
	text, _ := json.Marshal(n.Value) // a string has no error
	return append(to, text...)
}
