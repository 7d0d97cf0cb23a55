// Package secretsyml reads secrets.yml, the file in which a workload says which
// secrets it wants in its environment, in the format of Summon:
//
//	DB_PASSWORD: !var $env/db/password      the value of a variable
//	DB_CERT: !var:file db/certificate       a file with that value; the path goes into the environment
//	LEVEL: !var:default='info' app/level    the value, or 'info' if it is empty
//	REGION: eu-west-1                       a literal: plain, !str, !int, !float or !bool
//	MOTD: !file hello                       a file with a literal
//
// or, in sections, of which one is chosen and `common` (or `default`) goes before it:
//
//	common: {REGION: eu-west-1}
//	production: {DB_PASSWORD: !var production/db/password}
//
// It promises that what cannot be understood is an error with its line, and never
// half of a list. It imports fault.
package secretsyml

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rekey/internal/fault"
)

// Subst is what the caller chooses: the section of a file that has sections, "" for a
// file that has none, and what stands for each $NAME and ${NAME}.
type Subst struct {
	Section string
	Values  map[string]string
}

// Entry is one variable of the environment that is to be.
type Entry struct {
	Name     string
	Text     string // the id of a variable as it is written, or the literal
	Variable bool   // Text is an id
	File     bool   // the content goes into a file, and its path into the environment
	Default  string // stands for an empty content
	Line     int
	Column   int
}

// base are the names of the section that goes before every other one.
var base = [...]string{"common", "default"}

// Parse reads a secrets.yml. The entries come in the order of the file, one for each
// name. Errors are Invalid, with a position.
func Parse(r io.Reader, how Subst) ([]Entry, error) {
	var document yaml.Node
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, fault.Wrap(err, "reading the list of secrets")
	}
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, fault.New(fault.Invalid, "the list of secrets is not YAML: %v", err)
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	p := parser{values: how.Values}
	root := document.Content[0]
	if how.Section == "" {
		err := p.section(root)
		return p.entries, err
	}
	sections, err := pairs(root)
	if err != nil {
		return nil, err
	}
	found := false
	for _, chosen := range [...]func(string) bool{
		func(name string) bool { return slices.Contains(base[:], name) },
		func(name string) bool { return name == how.Section },
	} {
		for _, s := range sections {
			if !chosen(s.key.Value) {
				continue
			}
			found = found || s.key.Value == how.Section
			if err := p.section(s.value); err != nil {
				return nil, err
			}
		}
	}
	if !found {
		return nil, at(root, "there is no section '%s'", how.Section)
	}
	return p.entries, nil
}

type parser struct {
	values  map[string]string
	entries []Entry
}

// section adds the entries of a mapping; one that is there already is replaced.
func (p *parser) section(node *yaml.Node) error {
	found, err := pairs(node)
	if err != nil {
		return err
	}
	for _, pair := range found {
		e, err := p.entry(pair)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(p.entries, func(other Entry) bool { return other.Name == e.Name }); i >= 0 {
			p.entries[i] = e
		} else {
			p.entries = append(p.entries, e)
		}
	}
	return nil
}

type pair struct{ key, value *yaml.Node }

// pairs are the entries of a mapping, those that it merges (`<<: *other`) first. What is
// merged does not merge in turn: that could have no end.
func pairs(node *yaml.Node) ([]pair, error) { return pairsOf(node, true) }

func pairsOf(node *yaml.Node, mayMerge bool) ([]pair, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil, nil
	}
	if node.Kind != yaml.MappingNode {
		return nil, at(node, "here goes a mapping, one `NAME: value` on each line")
	}
	var merged, own []pair
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			return nil, at(key, "a name is a word")
		case key.Tag == "!!merge" && !mayMerge:
			return nil, at(key, "what is merged cannot merge in turn")
		case key.Tag == "!!merge" && value.Kind == yaml.AliasNode:
			more, err := pairsOf(value, false)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		case slices.ContainsFunc(own, func(other pair) bool { return other.key.Value == key.Value }):
			return nil, at(key, "'%s' is there twice", key.Value)
		}
		own = append(own, pair{key, value})
	}
	return append(merged, own...), nil
}

// byDefault is the part of a tag that says what stands for an empty value.
var byDefault = regexp.MustCompile(`:?default='([^']*)'`)

func (p *parser) entry(of pair) (Entry, error) {
	node := of.value
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	e := Entry{Name: of.key.Value, Line: of.key.Line, Column: of.key.Column}
	switch {
	case e.Name == "" || strings.ContainsAny(e.Name, "=\x00"):
		return e, at(of.key, "'%s' cannot be the name of an environment variable", e.Name)
	case node.Kind == yaml.MappingNode:
		return e, at(of.key, "'%s' is a section: choose one, or write a value", e.Name)
	case node.Kind != yaml.ScalarNode:
		return e, at(node, "'%s' takes one value", e.Name)
	}
	text, err := p.substitute(node)
	if err != nil {
		return e, err
	}
	e.Text = text
	if tag, custom := strings.CutPrefix(node.Tag, "!"); custom && !strings.HasPrefix(tag, "!") {
		if match := byDefault.FindStringSubmatch(tag); match != nil {
			e.Default, tag = match[1], strings.Trim(strings.Replace(tag, match[0], "", 1), ":")
		}
		for word := range strings.SplitSeq(tag, ":") {
			switch word {
			case "var":
				e.Variable = true
			case "file":
				e.File = true
			case "str", "int", "float", "bool", "":
			default:
				return e, at(node, "'!%s' is none of !var, !file, !str, !int, !float, !bool, !default='...'", word)
			}
		}
	}
	if e.Variable && e.Text == "" {
		return e, at(node, "'%s' names no variable", e.Name)
	}
	return e, nil
}

var reference = regexp.MustCompile(`\$(?:\$|\{(\w+)\}|(\w+))`)

// substitute puts in what was chosen; $$ is a dollar sign.
func (p *parser) substitute(node *yaml.Node) (string, error) {
	var unknown string
	text := reference.ReplaceAllStringFunc(node.Value, func(found string) string {
		if found == "$$" {
			return "$"
		}
		name := strings.Trim(found, "${}")
		value, ok := p.values[name]
		if !ok && unknown == "" {
			unknown = name
		}
		return value
	})
	if unknown != "" {
		return "", at(node, "nothing is given for $%s: give it, or write $$ for a dollar sign", unknown)
	}
	return text, nil
}

func at(node *yaml.Node, format string, args ...any) error {
	e := fault.New(fault.Invalid, "line %d, column %d: %s", node.Line, node.Column, fmt.Sprintf(format, args...))
	e.Line, e.Column = node.Line, node.Column
	return e
}
