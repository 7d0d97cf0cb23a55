package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// door is one route of the API.
type door struct {
	method   string
	segments []string // of the pattern; placeholders begin with ':' or '*'
	selector string   // query parameter that chooses the route, "" for none
}

// doors reads the table of routes from the source, so that no route is forgotten here.
func doors(t *testing.T) []door {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../httpapi/routes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []door
	ast.Inspect(file, func(n ast.Node) bool {
		row, ok := n.(*ast.CompositeLit)
		if !ok || row.Type != nil || len(row.Elts) < 3 {
			return true
		}
		texts := make([]string, 2)
		for i := range texts {
			literal, ok := row.Elts[i].(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			if texts[i], err = strconv.Unquote(literal.Value); err != nil {
				t.Fatal(err)
			}
		}
		pattern, selector, _ := strings.Cut(texts[1], "?")
		found = append(found, door{texts[0], strings.Split(strings.Trim(pattern, "/"), "/"), selector})
		return true
	})
	if len(found) < 30 {
		t.Fatalf("found only %d routes", len(found))
	}
	return found
}

func (d door) String() string {
	s := d.method + " /" + strings.Join(d.segments, "/")
	if d.selector != "" {
		s += "?" + d.selector
	}
	return s
}

// headers are what a client of the route sends.
func (d door) headers() []string {
	switch d.segments[0] {
	case "branches", "groups", "authenticators": // of the protocol's second version
		return []string{"Accept", "application/x.secretsmgr.v2beta+json"}
	}
	return nil
}

// slots are the positions of placeholders.
func (d door) slots() []int {
	var slots []int
	for i, s := range d.segments {
		if s != "" && (s[0] == ':' || s[0] == '*') {
			slots = append(slots, i)
		}
	}
	return slots
}

// ordinary are good values of placeholders. Nothing has the identifier.
var ordinary = map[string]string{
	":account": account, ":role_kind": "host", ":resource_kind": "variable", ":value_kind": "variable",
	":key_kind": "user", ":any_kind": "variable", ":authenticator": "authn-jwt", ":service": "none",
	":id": "none", "*id": "none", "*member": "none",
}

// target is the door's path with ordinary values, but for one placeholder if slot is
// not negative, and its query.
func (d door) target(slot int, hostile string, query string) string {
	parts := make([]string, len(d.segments))
	for i, s := range d.segments {
		parts[i] = s
		switch value, ok := ordinary[s]; {
		case i == slot:
			parts[i] = hostile
		case ok:
			parts[i] = value
		case s != "" && (s[0] == ':' || s[0] == '*'):
			parts[i] = "none"
		}
	}
	path := "/" + strings.Join(parts, "/")
	if d.selector != "" {
		query = strings.TrimSuffix(d.selector+"&"+query, "&")
	}
	if query != "" {
		path += "?" + query
	}
	return path
}
