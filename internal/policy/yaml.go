package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"

	"rekey/internal/fault"
)

type node = yaml.Node

// load reads the text into nodes and returns the root list, or nil if the policy
// is empty. Shared are the nodes that an alias can lead to a second time.
func load(text []byte) (root *node, shared map[*node]bool, err error) {
	if err := checkText(text); err != nil {
		return nil, nil, err
	}
	guard := &guard{anchors: map[string]*node{}}
	loader, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithPlugin(guard))
	if err != nil {
		return nil, nil, fault.Wrap(err, "set up the YAML loader")
	}
	var document, trailing node
	switch err := loader.Load(&document); {
	case err == io.EOF:
		return nil, nil, nil
	case err != nil:
		return nil, nil, syntaxError(err)
	}
	// Reading on finds what follows the document: nothing, or an error.
	if err := loader.Load(&trailing); err != io.EOF {
		return nil, nil, syntaxError(err)
	}
	root, err = rootList(document.Content[0])
	return root, guard.shared(), err
}

func rootList(root *node) (*node, error) {
	at := position(root)
	switch {
	case root.Kind == yaml.SequenceNode:
		return root, nil
	case root.Kind == yaml.MappingNode:
		return nil, refuse(ErrStatement, at, "A policy is a list: begin each statement with '- '.", "Unexpected mapping")
	case isPlain(root) && root.Value == "" && root.Anchor == "":
		return nil, nil
	}
	return nil, refuse(ErrStatement, at, advise("Unexpected scalar"), "Unexpected scalar")
}

func position(n *node) Position { return Position{Line: n.Line, Column: n.Column} }

// guard watches the library read: it bounds depth and aliases, and refuses a
// second document, an anchor defined twice and an alias of nothing, where each is.
type guard struct {
	documents int
	aliases   int
	anchors   map[string]*node
}

func (g *guard) NewAliasDataContext(yaml.AliasDataServices) (yaml.AliasDataContext, error) {
	return g, nil
}

func (g *guard) BeginDocument() error {
	g.documents++
	if g.documents > 1 {
		return refuse(ErrStatement, Position{}, "Load each document with a request of its own, or remove the '---' between them.",
			"Multiple YAML documents encountered. Only a single document is permitted per policy.")
	}
	return nil
}

// shared are the nodes with an anchor and all below them.
func (g *guard) shared() map[*node]bool {
	marked := map[*node]bool{}
	var mark func(*node)
	mark = func(n *node) {
		if !marked[n] {
			marked[n] = true
			for _, child := range n.Content {
				mark(child)
			}
		}
	}
	for _, n := range g.anchors {
		mark(n)
	}
	return marked
}

func (g *guard) EndDocument() error { return nil }

func (g *guard) DefineAnchor(name string, n *node) error {
	if _, twice := g.anchors[name]; twice {
		return refuse(ErrStatement, Position{}, "Give each anchor a name of its own.", "Duplicate anchor "+clip(name))
	}
	if len(g.anchors) == MaxAliases {
		return tooMany(Position{}, "anchors", MaxAliases)
	}
	g.anchors[name] = n
	return nil
}

func (g *guard) ResolveAlias(name string) (*node, bool, error) {
	g.aliases++
	if g.aliases > MaxAliases {
		return nil, false, tooMany(Position{}, "aliases", MaxAliases)
	}
	if n, ok := g.anchors[name]; ok {
		return n, true, nil
	}
	names := make([]string, 0, len(g.anchors))
	for known := range g.anchors {
		names = append(names, known)
	}
	advice := fmt.Sprintf("An alias repeats what an anchor before it has named: write &%s at the place that it stands for.", clip(name))
	return nil, false, refuse(ErrStatement, Position{}, join(advice, didYouMean(name, names, "*")),
		fmt.Sprintf("Undefined alias '%s'", clip(name)))
}

func (g *guard) CheckDepth(depth int, _ *yaml.DepthContext) error {
	if depth > MaxDepth {
		return errors.New("too deep") // the library keeps only the text: see syntaxError
	}
	return nil
}

func (g *guard) CheckAlias(int, int) error { return nil } // counted in ResolveAlias

// syntaxError translates the library's error into the words of libyaml, which are
// what clients of the language know: the problem, then its context.
func syntaxError(err error) error {
	var where *yaml.LoadError
	if !errors.As(err, &where) {
		return fault.Wrap(err, "read the policy text as YAML")
	}
	var ours *fault.Error
	if errors.As(err, &ours) { // from guard, which does not know the place
		ours.Line, ours.Column = where.Mark.Line, where.Mark.Column
		return ours
	}
	problem, context := where.Message, where.ContextMsg
	switch {
	case strings.HasPrefix(context, "while increasing"):
		return refuse(ErrSyntax, Position{where.Mark.Line, where.Mark.Column},
			"Nest fewer lists and mappings; a branch can be loaded with a request of its own.",
			fmt.Sprintf("The policy nests more than %d levels deep", MaxDepth))
	case strings.HasSuffix(problem, "is not allowed in a YAML tag"):
		problem, context = "did not find expected whitespace or line break", "while scanning a tag"
	case problem == "did not find expected '!'":
		context = strings.Replace(context, "parsing", "scanning", 1)
	case problem == "did not find expected hexadecimal number":
		// The misspelling is the message that clients know.
		problem, context = "did not find expected hexdecimal number", "while parsing a quoted scalar"
	case problem == "found unknown escape character", problem == "found invalid Unicode character escape code":
		context = "while parsing a quoted scalar"
	}
	detail := join(problem, context)
	mark := where.ContextMark
	switch context {
	case "", "while parsing a block collection", "while parsing a block mapping", "while scanning a plain scalar":
		// Their context begins where the whole list, mapping or text does, which
		// may be pages above the mistake.
		mark = where.Mark
	}
	return refuse(ErrSyntax, Position{mark.Line, mark.Column}, advise(detail), detail)
}

func join(parts ...string) string {
	kept := parts[:0:0]
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, " ")
}
