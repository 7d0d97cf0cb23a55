package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// corpus holds tricky policies and what they come to. The numbers are those of the
// list that the language was specified with; an entry may have several cases.
//
// A case is loaded into the root policy, or into the branch foo/bar. It either
// fails with a message, or shows the resolved statements one a line (see show).
var corpus = []struct {
	number int
	name   string
	branch bool
	text   string

	fails  string // the exact message
	line   int    // of the error, 0 where it does not matter
	advice string // exact if given
	shows  string // the resolved statements
}{
	{number: 2, name: "a comment alone is an empty policy", text: "# note\n"},
	{number: 2, name: "a document start alone is empty", text: "---"},
	{number: 2, name: "an empty list is empty", text: "[]"},
	{number: 2, name: "a document start and end are empty", text: "---\n...\n"},
	{number: 3, name: "null is no list", text: "null", fails: "Unexpected scalar", line: 1, advice: "Please check the syntax for defining a new node."},
	{number: 3, name: "tilde is no list", text: "~", fails: "Unexpected scalar", line: 1},
	{number: 4, name: "a mapping is no list", text: "user: x", fails: "Unexpected mapping", line: 1},
	{number: 5, name: "two documents", text: "- !user a\n---\n- !user b", line: 2,
		fails: "Multiple YAML documents encountered. Only a single document is permitted per policy."},
	{number: 6, name: "a bare string is no statement", text: "- alice", fails: "Expected a statement, got String", line: 1},
	{number: 7, name: "an untagged mapping is no statement", text: "- id: alice", fails: "No type given or inferred for sequence entry", line: 1},
	{number: 8, name: "an unknown tag", text: "- !foo bar", fails: "Unrecognized data type '!foo'", line: 1,
		advice: "The tag must be one of the following: !delete, !deny, !grant, !group, !host, !host-factory, !layer, !permit, !policy, !revoke, !user, !variable, !webservice"},
	{number: 9, name: "include is unknown", text: "- !include x.yml", fails: "Unrecognized data type '!include'", line: 1},
	{number: 10, name: "tags in other letters", text: "- !USER a\n- !hostFactory {id: f, layers: []}", shows: "user user:a\nhost-factory host_factory:f"},
	{number: 11, name: "a number in shorthand is text", text: "- !user 007", shows: "user user:007"},
	{number: 11, name: "a number as id is none", text: "- !user {id: 007}", fails: "Expected a string for field 'id', got Integer", line: 1},
	{number: 11, name: "a quoted number is text", text: `- !user {id: "007"}`, shows: "user user:007"},
	{number: 12, name: "yes as id is a boolean", text: "- !user {id: yes}", fails: "Expected a string for field 'id', got TrueClass"},
	{number: 12, name: "yes in shorthand is text", text: "- !user yes", shows: "user user:yes"},
	{number: 13, name: "what is not octal is text", text: "- !host {id: 0999}", shows: "host host:0999"},
	{number: 14, name: "an attribute twice", text: "- !user {id: a, id: b}", fails: "Duplicate attribute: id"},
	{number: 15, name: "an unknown attribute", text: "- !user {id: a, login: b}", fails: "No such attribute 'login' on type User"},
	{number: 16, name: "a record twice", text: "- !user a\n- !user a", fails: "user 'a' is declared more than once", line: 2},
	{number: 17, name: "kinds share ids", text: "- !group a\n- !layer a\n- !policy a", shows: "group group:a\nlayer layer:a\npolicy policy:a"},
	{number: 18, name: "a policy twice", text: "- !policy p\n- !policy {id: p, body: [!user x]}", fails: "policy 'p' is declared more than once"},
	{number: 19, name: "a policy without id", text: "- !policy {body: [!user x]}", fails: "policy has a blank id", advice: "Each resource must be identified using the 'id' field"},
	{number: 20, name: "blank ids mean the branch", branch: true, text: "- !host\n- !layer\n- !user", shows: "host host:foo/bar\nlayer layer:foo/bar\nuser user:bar@foo"},
	{number: 21, name: "the branch in itself", branch: true, text: "- !policy", fails: "policy 'foo/bar' is declared more than once"},
	{number: 22, name: "a user in a branch", branch: true, text: "- !user a/b", shows: "user user:b@foo-bar-a"},
	{number: 23, name: "an absolute user keeps an empty suffix", branch: true, text: "- !user /x", shows: "user user:x@"},
	{number: 23, name: "an absolute host", branch: true, text: "- !host /x", fails: "Illegal absolute id: /x"},
	{number: 24, name: "dots in a declared id are literal", branch: true, text: "- !host ../x", shows: "host host:foo/bar/../x"},
	{number: 24, name: "dots in a declared user", branch: true, text: "- !user ../x", fails: "Invalid relative reference: foo/bar/../x"},
	{number: 25, name: "a member of another branch", branch: true, text: "- !grant {role: !group g, member: !user ../../u}", shows: "grant group:foo/bar/g to user:u"},
	{number: 26, name: "dots in a granted role are literal", branch: true, text: "- !grant {role: !group ../g, member: !user /u}", shows: "grant group:foo/bar/../g to user:u"},
	{number: 27, name: "an absolute resource", branch: true, text: "- !permit {role: !user /u, privilege: read, resource: !variable /v}", fails: "Illegal absolute id: /v"},
	{number: 28, name: "above the top", text: "- !grant {role: !group g, member: !user ../z}", fails: "Invalid relative reference: ../z"},
	{number: 29, name: "an owner declared later", text: "- !group {id: a, owner: !group b}\n- !group b", shows: "group group:b\ngroup group:a of group:b"},
	{number: 30, name: "an owner declared much later", text: "- !group {id: a, owner: !group c}\n- !group b\n- !group c", shows: "group group:c\ngroup group:a of group:c\ngroup group:b"},
	{number: 31, name: "owners of each other", text: "- !group {id: a, owner: !group b}\n- !group {id: b, owner: !group a}",
		fails: "Dependency cycle encountered between group 'a' and group 'b'", advice: "Try redefining one or both."},
	{number: 32, name: "an owner of itself", text: "- !group {id: a, owner: !group a}", shows: "group group:a of group:a"},
	{number: 33, name: "a bare owner", text: "- !group {id: a, owner: alice}", fails: "Expected a Role for field 'owner', got String"},
	{number: 33, name: "an owner that is no role", text: "- !group {id: a, owner: !variable v}", fails: "Expected a Role for field 'owner', got Variable"},
	{number: 34, name: "a granted variable", text: "- !grant {role: !variable v, member: !user u}", fails: "Expected a Role for field 'role', got Variable"},
	{number: 35, name: "members with and without admin", text: "- !grant {role: !group g, members: [!user u, {role: !group h, admin: true}]}", shows: "grant group:g to user:u, group:h with admin"},
	{number: 36, name: "a bare member", text: "- !grant {role: !group g, member: u}", fails: "Expected a Member for field 'member', got String"},
	{number: 37, name: "a role without kind", text: "- !permit {role: u, privilege: read, resource: !variable v}", fails: " 'u' not found in account 'acct'"},
	{number: 38, name: "no privilege", text: "- !permit {role: !user u, resource: !variable v}", shows: "permit user:u to  on variable:v"},
	{number: 38, name: "an empty grant", text: "- !grant {}", shows: "grant  to "},
	{number: 39, name: "any privilege", text: `- !permit {role: !user u, privilege: "fly high", resource: !variable v}`, shows: "permit user:u to fly high on variable:v"},
	{number: 40, name: "a numeric privilege", text: "- !permit {role: !user u, privilege: [1], resource: !variable v}", fails: "Expected a string for field 'privilege', got Integer"},
	{number: 41, name: "an empty resource", text: "- !permit {role: !user u, privilege: read, resource: }", fails: "resource has a blank id"},
	{number: 42, name: "the same grant twice", text: "- !grant {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}", shows: "grant group:g to user:u\ngrant group:g to user:u"},
	{number: 43, name: "a deletion", text: "- !delete {record: !user x}", shows: "delete user:x"},
	{number: 44, name: "a deletion of several", text: "- !delete {records: [!user x, !user y]}", fails: "Expected a Resource for field 'record', got Array"},
	{number: 44, name: "a deletion of a role", text: "- !delete {record: !role {kind: user, id: x}}", fails: "Expected a Resource for field 'record', got Role"},
	{number: 45, name: "created and deleted", text: "- !variable v\n- !delete {record: !variable v}", shows: "variable variable:v\ndelete variable:v"},
	{number: 46, name: "a revocation", text: "- !revoke {role: !group g, member: !user u}", shows: "revoke group:g from user:u"},
	{number: 47, name: "a revocation before its grant", text: "- !revoke {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}", shows: "grant group:g to user:u\nrevoke group:g from user:u"},
	{number: 48, name: "a host factory without layers", text: "- !host-factory f", fails: "Host factory 'f' does not include any layers"},
	{number: 48, name: "a host factory with no layer", text: "- !host-factory {id: f, layers: []}", shows: "host-factory host_factory:f"},
	{number: 49, name: "a host factory of a group", text: "- !host-factory {id: f, layers: [!group g]}", fails: "Expected a Layer for field 'layer', got Group"},
	{number: 49, name: "a bare layer", text: "- !host-factory {id: f, layers: l}", shows: "host-factory host_factory:f for layer:l"},
	{number: 50, name: "bits behind the mask", text: "- !host {id: h, restricted_to: [10.0.0.1/24]}", advice: "",
		fails: "Invalid IP address or CIDR range '10.0.0.1/24': Value has bits set to right of mask. Did you mean '10.0.0.0/24'?"},
	{number: 50, name: "an address", text: "- !host {id: h, restricted_to: 1.2.3.4}", shows: "host host:h only 1.2.3.4/32"},
	{number: 50, name: "an address in capitals", text: "- !host {id: h, restricted_to: '2001:DB8::1'}",
		fails: "Invalid IP address or CIDR range '2001:DB8::1': Value has bits set to right of mask. Did you mean '2001:db8::1'?"},
	{number: 52, name: "a public key without comment", text: "- !user {id: a, public_keys: [ssh-rsa AAA]}", fails: "Invalid public key format"},
	{number: 52, name: "a public key", text: "- !user {id: a, public_keys: [ssh-rsa AAA my laptop]}", shows: "user user:a key public_key:user/a/my laptop=ssh-rsa AAA my laptop"},
	{number: 53, name: "an annotation beats the attribute", text: "- !variable {id: v, kind: pw, annotations: {conjur/kind: x}}", shows: "variable variable:v conjur/kind=x"},
	{number: 54, name: "annotations are typed", text: "- !variable {id: v, annotations: {a: 1.10, b: yes, c: , d: [x, 2]}}", shows: `variable variable:v a=1.1 b=true c= d=["x", 2]`},
	{number: 55, name: "a mapping in an annotation", text: "- !variable {id: v, annotations: {a: {b: c}}}", fails: "Attribute 'a' can't be a mapping"},
	{number: 55, name: "empty annotations", text: "- !variable {id: v, annotations: }", fails: "Expected a mapping for field 'annotations', got NilClass"},
	{number: 56, name: "annotations named like attributes", text: "- !policy {id: p, annotations: {owner: x, id: y}}", shows: "policy policy:p owner=x id=y\nwarning owner\nwarning id"},
	{number: 57, name: "a path in an annotation", text: "- !host {id: p/h, annotations: {ref: ../x}}", shows: "host host:p/h ref=p/x"},
	{number: 57, name: "a path above the top", text: "- !host {id: p/h, annotations: {ref: ../../../x}}", fails: "Invalid relative reference: p/h/../../../x"},
	{number: 58, name: "a named list", text: "- &l [ !user a, !user b ]\n- !grant {role: !group g, members: *l}", shows: "user user:a\nuser user:b\ngrant group:g to user:a, user:b"},
	{number: 58, name: "a named list in a list", text: "- &l [ !user a ]\n- !grant {role: !group g, members: [*l]}", fails: "Expected a Member for field 'member', got Array"},
	{number: 59, name: "an anchor means its own branch", text: "- !policy {id: p, body: [!group &g x]}\n- !grant {role: *g, member: !user u}",
		shows: "policy policy:p\ngroup group:p/x of policy:p\ngrant group:p/x to user:u"},
	{number: 60, name: "an anchor twice", text: "- !user &x a\n- !host &x b", fails: "Duplicate anchor x", line: 2},
	{number: 61, name: "an undefined alias", text: "- !grant {role: *typo, member: !user u}", fails: "Undefined alias 'typo'", line: 1},
	{number: 62, name: "a merge key", text: "- &u !user a\n- !user\n  <<: *u", fails: "No such attribute '<<' on type User", line: 3},
	{number: 63, name: "ids are any text", text: "- !group {id: 'a:b'}\n- !variable 'x y/ü%20'", shows: "group group:a:b\nvariable variable:x y/ü%20"},
	{number: 64, name: "a resource of its own kind", text: "- !resource {kind: configuration, id: c}", shows: "resource configuration:c resource only"},
	{number: 64, name: "a role of its own kind", text: "- !role {kind: team, id: t}", shows: "role team:t role only"},
	{number: 64, name: "a role without kind", text: "- !role t", fails: "The role 't' has no kind"},
	{number: 65, name: "the kind does not tell resources apart", text: "- !resource {kind: a, id: x}\n- !resource {kind: b, id: x}", fails: "b resource 'x' is declared more than once"},
	{number: 66, name: "an automatic role", text: "- !grant {role: !managed-role {record: !layer l, role_name: use_host}, member: !user u}", fails: "@ 'layer/l/use_host' not found in account 'acct'"},
	{number: 71, name: "a tab", text: "- !policy\n\tid: x", fails: "found character that cannot start any token while scanning for the next token", line: 2},
	{number: 72, name: "a comma behind a tag", text: "- !!str, xxx", fails: "did not find expected whitespace or line break while scanning a tag", advice: "Only one node can be defined per line."},
	{number: 73, name: "a missing colon", text: "- !policy\n  id: t\n  body\n  - !user me", line: 3,
		fails: "could not find expected ':' while scanning a simple key", advice: "This error can occur when you have a missing ':' or missing space after ':'"},
	{number: 74, name: "branches whose dashes coincide", text: "- !policy {id: a/b, body: [!user x]}\n- !policy {id: a-b, body: [!user x]}", fails: "user 'x@a-b' is declared more than once"},
	{number: 77, name: "a body that is a user", text: "- !policy {id: p, body: !user x}", fails: "Expected a list for field 'body', got User"},
	{number: 77, name: "a body that is text", text: "- !policy {id: p, body: foo}", fails: "Expected a list for field 'body', got String"},
}

var (
	rootScope   = Scope{Account: "acct", Policy: "acct:policy:root", Owner: "acct:user:admin"}
	branchScope = Scope{Account: "acct", Policy: "acct:policy:foo/bar", Owner: "acct:policy:foo"}
)

func TestCorpus(t *testing.T) {
	for _, c := range corpus {
		t.Run(fmt.Sprintf("%d/%s", c.number, c.name), func(t *testing.T) {
			scope := rootScope
			if c.branch {
				scope = branchScope
			}
			resolved, err := resolve(c.text, scope)
			if c.fails != "" {
				var e *fault.Error
				if !errors.As(err, &e) {
					t.Fatalf("got %v\n%s\nwant %s", err, show(resolved, scope), c.fails)
				}
				if e.Kind != fault.PolicyInvalid || e.Message != c.fails {
					t.Errorf("got %q, want %q", e.Message, c.fails)
				}
				if e.Line < 1 || e.Column < 1 || c.line != 0 && e.Line != c.line {
					t.Errorf("got line %d, column %d, want line %d", e.Line, e.Column, c.line)
				}
				if c.advice != "" && e.Advice != c.advice {
					t.Errorf("got advice %q, want %q", e.Advice, c.advice)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := show(resolved, scope); got != c.shows {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.shows)
			}
		})
	}
}

func resolve(text string, scope Scope) (*Resolved, error) {
	d, err := Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	return d.Resolve(scope)
}

// show writes resolved statements one a line, without the account, and without the
// owner of a record that the top of the document gives it.
func show(r *Resolved, scope Scope) string {
	if r == nil {
		return ""
	}
	short := func(id ident.ID) string { return strings.TrimPrefix(string(id), scope.Account+":") }
	refs := func(list []Reference) string {
		var ids []string
		for _, ref := range list {
			ids = append(ids, short(ref.ID))
		}
		return strings.Join(ids, ", ")
	}
	top := scope.Owner
	if scope.Policy != "acct:policy:root" {
		top = scope.Policy
	}
	var lines []string
	for _, record := range r.Records {
		line := record.Tag + " " + short(record.ID)
		if record.Owner.ID != top && record.Owner.ID != "" {
			line += " of " + short(record.Owner.ID)
		}
		if !record.Role && record.Tag == "resource" {
			line += " resource only"
		}
		if !record.Resource {
			line += " role only"
		}
		for _, prefix := range record.RestrictedTo {
			line += " only " + prefix.String()
		}
		for _, a := range record.Annotations {
			line += " " + a.Name + "=" + a.Value
		}
		for _, key := range record.PublicKeys {
			line += " key " + short(key.Resource) + "=" + key.Line
		}
		if len(record.Layers) > 0 {
			line += " for " + refs(record.Layers)
		}
		lines = append(lines, line)
	}
	for _, g := range r.Grants {
		var members []string
		for _, m := range g.Members {
			member := short(m.ID)
			if m.Admin {
				member += " with admin"
			}
			members = append(members, member)
		}
		lines = append(lines, "grant "+refs(g.Roles)+" to "+strings.Join(members, ", "))
	}
	permission := func(verb string, p Permit) string {
		return verb + " " + refs(p.Roles) + " to " + strings.Join(p.Privileges, ", ") + " on " + refs(p.Resources)
	}
	for _, p := range r.Permits {
		lines = append(lines, permission("permit", p))
	}
	for _, removal := range r.Removals {
		switch x := removal.(type) {
		case Revoke:
			lines = append(lines, "revoke "+refs(x.Roles)+" from "+refs(x.Members))
		case Deny:
			lines = append(lines, permission("deny", Permit(x)))
		case Delete:
			lines = append(lines, "delete "+short(x.Record.ID))
		}
	}
	for _, warning := range r.Warnings {
		_, rest, _ := strings.Cut(warning, "'")
		name, _, _ := strings.Cut(rest, "'")
		lines = append(lines, "warning "+name)
	}
	return strings.Join(lines, "\n")
}
