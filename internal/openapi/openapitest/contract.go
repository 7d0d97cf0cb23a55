// Package openapitest holds answers of a server against the description in openapi:
// the status must be documented for the operation, the headers and the content type
// for the status, and the body must have the documented shape. It also counts, so that
// a suite of tests can tell which documented answers it has never seen.
//
// It is for tests only. It imports openapi.
package openapitest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"rekey/internal/openapi"
)

// Contract is the description, ready to judge. It is safe for concurrent use.
type Contract struct {
	root     node
	compiler *jsonschema.Compiler

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema // by JSON pointer
	seen    map[string]bool               // answers, named as by Documented
}

// node is an object of the document.
type node = map[string]any

const location = "openapi.yaml"

// Open reads the description.
func Open() (*Contract, error) { return Parse(openapi.Document) }

// Parse reads any description.
func Parse(document []byte) (*Contract, error) {
	var parsed any
	if err := yaml.Unmarshal(document, &parsed); err != nil {
		return nil, fmt.Errorf("the document is not YAML: %w", err)
	}
	text, err := json.Marshal(parsed)
	if err != nil {
		return nil, fmt.Errorf("the document is more than JSON can say: %w", err)
	}
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	root, ok := tree.(node)
	if !ok {
		return nil, fmt.Errorf("the document is no object")
	}
	c := &Contract{root: root, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	c.compiler.DefaultDraft(jsonschema.Draft2020)
	return c, c.compiler.AddResource(location, tree)
}

// methods that a path can have in the document.
var methods = []string{"get", "put", "post", "delete", "options", "patch"}

// Operations are all operations, such as GET /roles/{account}/{kind}/{id}, in order.
func (c *Contract) Operations() []string {
	var all []string
	for path, item := range c.paths() {
		for _, method := range methods {
			if _, ok := item.(node)[method]; ok {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Documented are the names of all answers: an operation with a status, and for each
// shape that the query selects the operation with status and selector.
func (c *Contract) Documented() []string {
	var all []string
	for _, operation := range c.Operations() {
		for status := range c.responses(operation) {
			all = append(all, operation+" "+status)
			response, _ := c.response(operation, status)
			for _, shape := range c.shapes(response) {
				all = append(all, operation+" "+status+" "+shape)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Unseen are the documented answers that Check has not seen.
func (c *Contract) Unseen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(c.Documented(), func(name string) bool { return c.seen[name] })
}

func (c *Contract) paths() node {
	paths, _ := c.root["paths"].(node)
	return paths
}

// Operation is an operation's object, nil if there is none.
func (c *Contract) Operation(name string) map[string]any {
	method, path, _ := strings.Cut(name, " ")
	item, _ := c.paths()[path].(node)
	operation, _ := item[strings.ToLower(method)].(node)
	return operation
}

// Parameter is a parameter of an operation, in its path or query; nil if there is none.
func (c *Contract) Parameter(operation, in, name string) map[string]any {
	_, path, _ := strings.Cut(operation, " ")
	item, _ := c.paths()[path].(node)
	for _, of := range []node{c.Operation(operation), item} {
		list, _ := of["parameters"].([]any)
		for _, p := range list {
			if parameter, _ := c.resolve(p, ""); parameter["name"] == name && parameter["in"] == in {
				return parameter
			}
		}
	}
	return nil
}

func (c *Contract) responses(operation string) node {
	responses, _ := c.Operation(operation)["responses"].(node)
	return responses
}

// response is a documented response with the JSON pointer to it.
func (c *Contract) response(operation, status string) (node, string) {
	method, path, _ := strings.Cut(operation, " ")
	return c.resolve(c.responses(operation)[status], pointer("paths", path, strings.ToLower(method), "responses", status))
}

// shapes are the titles of the shapes that the query selects among.
func (c *Contract) shapes(response node) []string {
	var titles []string
	content, _ := response["content"].(node)
	for _, media := range content {
		for _, shape := range alternatives(media) {
			titles = append(titles, shape["title"].(string))
		}
	}
	return titles
}

// alternatives are the shapes of a body that have titles.
func alternatives(media any) []node {
	schema, _ := media.(node)["schema"].(node)
	list, _ := schema["anyOf"].([]any)
	var titled []node
	for _, item := range list {
		if shape := item.(node); shape["title"] != nil {
			titled = append(titled, shape)
		}
	}
	return titled
}

// resolve follows a reference within the document.
func (c *Contract) resolve(value any, at string) (node, string) {
	object, _ := value.(node)
	ref, ok := object["$ref"].(string)
	if !ok {
		return object, at
	}
	at = strings.TrimPrefix(ref, "#")
	object = c.root
	for part := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		object, _ = object[unescape.Replace(part)].(node)
	}
	return object, at
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// pointer is a JSON pointer (RFC 6901).
func pointer(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		_, _ = escape.WriteString(&b, part) // a Builder never fails
	}
	return b.String()
}

// schema is the compiled schema at a pointer.
func (c *Contract) schema(at string) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.schemas[at]; ok {
		return known, nil
	}
	// As a fragment of a URL a pointer is percent-encoded (RFC 6901, section 6).
	compiled, err := c.compiler.Compile(location + "#" + strings.NewReplacer("%", "%25", "{", "%7B", "}", "%7D", "*", "%2A", " ", "%20").Replace(at))
	c.schemas[at] = compiled
	return compiled, err
}
