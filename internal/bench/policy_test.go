package bench

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestPoliciesAreYAMLWithTheWantedRecords(t *testing.T) {
	cases := []struct {
		name, text       string
		hosts, variables int
	}{
		{"clients", clientsPolicy(3), 3, 3},
		{"list", listPolicy(4), 1, 4},
		{"branch", branchPolicy("branch00", 2, 5), 2, 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var document yaml.Node
			if err := yaml.Unmarshal([]byte(c.text), &document); err != nil {
				t.Fatalf("%v in\n%s", err, c.text)
			}
			hosts, variables := declared(&document, "!host"), declared(&document, "!variable")
			if strings.Contains(c.text, "role: !host") {
				hosts-- // named, not declared
			}
			if hosts != c.hosts || variables != c.variables {
				t.Fatalf("%d hosts and %d variables, want %d and %d, in\n%s", hosts, variables, c.hosts, c.variables, c.text)
			}
		})
	}
}

// declared counts the nodes with the tag, behind aliases not again.
func declared(node *yaml.Node, tag string) int {
	count := 0
	if node.Tag == tag {
		count++
	}
	for _, child := range node.Content {
		count += declared(child, tag)
	}
	return count
}

func TestCreatedHosts(t *testing.T) {
	keys, err := createdHosts([]byte(`{"created_roles":{"bench:host:a/b":{"id":"bench:host:a/b","api_key":"k"},"bench:user:u":{"id":"bench:user:u","api_key":"x"}},"version":1}`))
	if want := map[string]string{"a/b": "k"}; err != nil || !reflect.DeepEqual(keys, want) {
		t.Fatalf("got %v, %v; want %v", keys, err, want)
	}
	if _, err := createdHosts([]byte("<html>")); err == nil {
		t.Fatal("an answer that is not JSON was accepted")
	}
}

func TestRender(t *testing.T) {
	cases := []struct{ name, got, want string }{
		{"a read", string(render("GET", "/x", `Token token="dA=="`, "")), "GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token token=\"dA==\"\r\n\r\n"},
		{"an empty body", string(render("PUT", "/x", "", "")), "PUT /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"},
		{"a body", string(render("POST", "/x", "", "ab")), "POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\nab"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.got != c.want {
				t.Fatalf("got %q, want %q", c.got, c.want)
			}
		})
	}
	if got, want := authenticatePath("host/a/b"), "/authn/bench/host%2Fa%2Fb/authenticate"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
