package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rekey/internal/fault"
)

// Where an id stands decides what its slashes and dots mean. This is the security
// boundary of a delegated branch: what is granted, permitted on, declared or
// deleted lies in the branch; who gets it may lie anywhere.
func TestAddresses(t *testing.T) {
	const refused = "Illegal absolute id: /x"
	for _, c := range []struct{ place, text, name, absolute, parent string }{
		{"declared id", "- !host %s", "host host:foo/bar/x", refused, "host host:foo/bar/../x"},
		{"owner", "- !host {id: h, owner: !group %s}", "host host:foo/bar/h of group:foo/bar/x", "host host:foo/bar/h of group:x", "host host:foo/bar/h of group:foo/x"},
		{"grant member", "- !grant {role: !group g, member: !host %s}", "grant group:foo/bar/g to host:foo/bar/x", "grant group:foo/bar/g to host:x", "grant group:foo/bar/g to host:foo/x"},
		{"revoke member", "- !revoke {role: !group g, member: !host %s}", "revoke group:foo/bar/g from host:foo/bar/x", "revoke group:foo/bar/g from host:x", "revoke group:foo/bar/g from host:foo/x"},
		{"permit role", "- !permit {role: !host %s}", "permit host:foo/bar/x to  on ", "permit host:x to  on ", "permit host:foo/x to  on "},
		{"deny role", "- !deny {role: !host %s}", "deny host:foo/bar/x to  on ", "deny host:x to  on ", "deny host:foo/x to  on "},
		{"grant role", "- !grant {role: !group %s}", "grant group:foo/bar/x to ", refused, "grant group:foo/bar/../x to "},
		{"revoke role", "- !revoke {role: !group %s}", "revoke group:foo/bar/x from ", refused, "revoke group:foo/bar/../x from "},
		{"permit resource", "- !permit {resource: !variable %s}", "permit  to  on variable:foo/bar/x", refused, "permit  to  on variable:foo/bar/../x"},
		{"deny resource", "- !deny {resource: !variable %s}", "deny  to  on variable:foo/bar/x", refused, "deny  to  on variable:foo/bar/../x"},
		{"deleted record", "- !delete {record: !host %s}", "delete host:foo/bar/x", refused, "delete host:foo/bar/../x"},
		{"layer", "- !host-factory {id: f, layer: !layer %s}", "host-factory host_factory:foo/bar/f for layer:foo/bar/x", "host-factory host_factory:foo/bar/f for layer:/x", "host-factory host_factory:foo/bar/f for layer:foo/bar/../x"},
		{"member in another place by alias", "- !grant {role: !group g, member: &a !host %s}\n- !delete {record: *a}",
			"grant group:foo/bar/g to host:foo/bar/x\ndelete host:foo/bar/x", refused, "grant group:foo/bar/g to host:foo/x\ndelete host:foo/bar/../x"},
	} {
		for id, want := range map[string]string{"x": c.name, "/x": c.absolute, "../x": c.parent} {
			t.Run(c.place+" "+id, func(t *testing.T) {
				r, err := resolve(fmt.Sprintf(c.text, id), branchScope)
				got := show(r, branchScope)
				if err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	}
}

func TestClimb(t *testing.T) {
	for path, want := range map[string]string{
		"x": "x", "/x": "x", "//x": "/x", "x/": "x", "x//": "x", "a//b": "a//b", "a/../b": "b", "a/b/..": "a", "a/b/../../c": "c",
		"..": "", "../x": "", "a/..": "", "a/../..": "", "/": "", "": "", "a/..b": "a/..b", "a..": "a..", "/a/../b/": "b",
	} {
		got, ok := climb(path)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: got %q, %v, want %q", path, got, ok, want)
		}
	}
}

func TestUserForms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"- !resource {kind: user, id: a}", "resource user:a@foo-bar resource only"},
		{"- !role {kind: user, id: a}", "role user:foo/bar/a role only"},
		{"- !grant {role: !user x, member: !user ../y}", "grant user:x@foo-bar to user:y@foo"},
		{"- !grant {role: !user x, member: !user /a/b/y}", "grant user:x@foo-bar to user:y@a-b"},
	} {
		r, err := resolve(c.text, branchScope)
		if err != nil || show(r, branchScope) != c.want {
			t.Errorf("%s: got %s, %v", c.text, show(r, branchScope), err)
		}
	}
}

func TestOwners(t *testing.T) {
	text := "- !group top\n- !policy\n  id: p\n  owner: !group top\n  body:\n  - !group inner\n  - !policy {id: q, body: [ !variable v ]}\n  - !variable {id: w, owner: }\n- !role {kind: team, id: t}\n"
	for scope, want := range map[*Scope]string{
		&rootScope:   "group:top of user:admin, policy:p of group:top, group:p/inner of policy:p, policy:p/q of policy:p, variable:p/q/v of policy:p/q, variable:p/w of policy:p, team:t of ",
		&branchScope: "group:foo/bar/top of policy:foo/bar, policy:foo/bar/p of group:foo/bar/top, group:foo/bar/p/inner of policy:foo/bar/p, policy:foo/bar/p/q of policy:foo/bar/p, variable:foo/bar/p/q/v of policy:foo/bar/p/q, variable:foo/bar/p/w of policy:foo/bar/p, team:foo/bar/t of ",
	} {
		r, err := resolve(text, *scope)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, record := range r.Records {
			got = append(got, strings.ReplaceAll(string(record.ID)+" of "+string(record.Owner.ID), "acct:", ""))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
		}
	}
}

func TestAttributesStoredAsAnnotations(t *testing.T) {
	text := "- !user {id: u, uidnumber: 1000}\n- !group {id: g, gidnumber: 0x10, annotations: {a: b}}\n- !variable {id: v, kind: password, mime_type: text/plain}\n"
	r, err := resolve(text, rootScope)
	if err != nil {
		t.Fatal(err)
	}
	want := "user user:u conjur/uidnumber=1000\ngroup group:g a=b conjur/gidnumber=16\nvariable variable:v conjur/kind=password conjur/mime_type=text/plain"
	if got := show(r, rootScope); got != want {
		t.Errorf("got %s", got)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, text, message string
		cause               error
		line                int
	}{
		{"a foreign account", "- !policy p\n- !user {id: a, account: other}", "The account 'other' is not the one that the policy is loaded into", ErrMeaning, 2},
		{"a member of a foreign account", "- !grant\n  role: !group g\n  member: !user\n    id: admin\n    account: other", "The account 'other' is not the one that the policy is loaded into", ErrMeaning, 3},
		{"a body that is only referred to", "- !permit\n  resource: !policy\n    id: p\n    body: [ !user x ]", "The body of the policy 'p' would never be loaded: the policy is only referred to here", ErrMeaning, 4},
		{"a kind with a colon", "- !role {kind: 'a:b', id: c}", "The kind 'a:b' contains a colon", ErrStatement, 1},
		{"a role and a user of one id", "- !user x\n- !role {kind: user, id: x}", "user role 'x' is declared more than once", ErrMeaning, 2},
		{"an id that is a list", "- !user\n  id: [a]", "Expected a string for field 'id', got Array", ErrStatement, 2},
		{"an id that is a mapping", "- !user\n  id:\n    a: b", "Attribute 'id' can't be a mapping", ErrStatement, 3},
		{"an id that is a user", "- !user\n  id: !user x", "Expected a string for field 'id', got User", ErrStatement, 2},
		{"an id that is a date", "- !user {id: 2024-01-01}", "Expected a string for field 'id', got Date", ErrStatement, 1},
		{"a grant in shorthand", "- !grant foo", "'!grant' has no id and can't be a plain value", ErrStatement, 1},
		{"a member as a statement", "- !member {role: !user u}", "'!member' is not a statement", ErrStatement, 1},
		{"a member without role", "- !grant {role: !group g, member: {admin: true}}", "'!member' has no role", ErrStatement, 1},
		{"a deletion of nothing", "- !delete {}", "'!delete' has no record", ErrStatement, 1},
		{"a deletion of an empty value", "- !delete {record: }", "'!delete' has no record", ErrStatement, 1},
		{"a deletion of a bare word", "- !delete {record: x}", "Expected a Resource for field 'record', got String", ErrStatement, 1},
		{"an annotation without name", "- !user {id: a, annotations: {~: x}}", "An annotation has no name", ErrStatement, 1},
		{"an annotation twice", "- !user\n  id: a\n  annotations:\n    x: 1\n    x: 2", "Duplicate attribute: x", ErrStatement, 5},
		{"an annotation that is a user", "- !user {id: a, annotations: {x: !user b}}", "Expected a string for field 'x', got User", ErrStatement, 1},
		{"annotations as a list", "- !user {id: a, annotations: [x]}", "Expected a mapping for field 'annotations', got Array", ErrStatement, 1},
		{"a key that is a list", "- !user {? [a] : b}", "An attribute name must be a plain value, got Array", ErrStatement, 1},
		{"an equals sign as key", "- !user {=: b}", "No such attribute '=' on type User", ErrStatement, 1},
		{"a bare exclamation mark", "- ! a", "Unrecognized data type '!'", ErrStatement, 1},
		{"admin in words", "- !grant {role: !group g, member: {role: !user u, admin: always}}", "Expected a boolean for field 'admin', got String", ErrStatement, 1},
		{"a number in words", "- !group {id: g, gidnumber: many}", "Expected a integer for field 'gidnumber', got String", ErrStatement, 1},
		{"an anchor before a key", "- !user\n  &x id: a", "The anchor 'x' stands before the name of an attribute", ErrStatement, 2},
		{"an anchor before the name of an annotation", "- !user {id: a, annotations: {&x b: c}}", "The anchor 'x' stands before the name of an attribute", ErrStatement, 1},
		{"a revoked member that is no role", "- !revoke {role: !group g, member: !variable v}", "Expected a Role for field 'member', got Variable", ErrStatement, 1},
		{"a denied role without kind", "- !deny {role: u}", " 'u' not found in account 'acct'", ErrMeaning, 1},
		{"a role of the wrong type in a list", "- !permit\n  roles:\n  - !user u\n  - !variable v", "Expected a Role for field 'role', got Variable", ErrStatement, 4},
		{"a zero in a value", `- !user "a\0b"`, "A value contains the character with the code 0", ErrStatement, 1},
		{"a quoted root", "''", "Unexpected scalar", ErrStatement, 1},
		{"a policy in its own body", "- &p !policy\n  id: p\n  body:\n  - !user u\n  - [*p]", "The policy 'p' stands in its own body", ErrStatement, 5},
		{"a second empty document", "---\n---\n", "Multiple YAML documents encountered. Only a single document is permitted per policy.", ErrStatement, 2},
		{"a policy owned by its own group", "- !policy {id: p, owner: !group p/g, body: [!group g]}", "Dependency cycle encountered between policy 'p' and group 'p/g'", ErrMeaning, 1},
		{"a layer owned by its host factory", "- !layer {id: l, owner: !host-factory f}\n- !host-factory {id: f, layers: [!layer l]}", "Dependency cycle encountered between layer 'l' and host factory 'f'", ErrMeaning, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolve(c.text, rootScope)
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want %s", err, c.message)
			}
			if e.Message != c.message || !errors.Is(err, c.cause) || e.Line != c.line {
				t.Errorf("got %q (%v) in line %d, want %q in line %d", e.Message, e.Cause, e.Line, c.message, c.line)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"the own account", "- !user {id: a, account: acct}", "user user:a"},
		{"empty annotations as a list", "- !user {id: a, annotations: []}", "user user:a"},
		{"a body that is empty", "- !policy {id: p, body: }", "policy policy:p"},
		{"an entity that owns itself by alias", "- &g !group {id: g, owner: *g}", "group group:g of group:g"},
		{"a list that means its own branch", "- !policy\n  id: p\n  body:\n  - &l [ !variable v ]\n- !policy\n  id: q\n  body:\n  - !permit {role: !user u, privilege: read, resources: *l}",
			"policy policy:p\nvariable variable:p/v of policy:p\npolicy policy:q\npermit user:u@q to read on variable:p/v"},
		{"a list of bare layers that means its own branch", "- !policy {id: p, body: [!host-factory {id: f, layers: &l [a]}]}\n- !host-factory {id: f, layers: *l}",
			"policy policy:p\nhost-factory host_factory:p/f of policy:p for layer:p/a\nhost-factory host_factory:f for layer:p/a"},
		{"an anchor declared after it was referred to", "- !permit {role: &u !user u}\n- *u", "user user:u\npermit user:u to  on "},
		{"a list in itself", "- &l [ !user a, *l ]", "user user:a"},
		{"both spellings of an attribute: the last wins", "- !permit {role: !user a, roles: [!user b], privileges: [read], privilege: write}", "permit user:b to write on "},
		{"a role and a resource of one id", "- !role {kind: team, id: t}\n- !resource {kind: team, id: t}", "role team:t role only\nresource team:t resource only"},
		{"an untagged mapping as role", "- !permit {role: {kind: team, id: t}}", "permit team:t to  on "},
		{"admin as a quoted word", "- !grant {role: !group g, member: {role: !user u, admin: 'true'}}", "grant group:g to user:u with admin"},
		{"admin as no", "- !grant {role: !group g, member: !member {role: !user u, admin: no}}", "grant group:g to user:u"},
		{"a text that mentions dots", "- !host {id: p/h, annotations: {a: see ../x, b: .., c: a..b}}", "host host:p/h a=see ../x b=p c=a..b"},
		{"a reference may carry more", "- !permit {role: !user {id: u, annotations: {a: b}}}", "permit user:u to  on "},
		{"a role of a host factory is ignored", "- !host-factory {id: f, layers: [], role: !group g}", "host-factory host_factory:f"},
		{"two keys with one comment", "- !user {id: a, public_keys: [ssh-rsa A me, ' ssh-rsa  B me ']}", "user user:a key public_key:user/a/me=ssh-rsa A me key public_key:user/a/me=ssh-rsa  B me"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := resolve(c.text, rootScope)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r, rootScope); got != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

// A document may be resolved into several places, and keeps no memory of any.
func TestResolveAgain(t *testing.T) {
	d, err := Parse([]byte("- !host h\n- !host {id: a/b, annotations: {up: ../c}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for scope, want := range map[*Scope]string{
			&rootScope:   "host host:h\nhost host:a/b up=a/c",
			&branchScope: "host host:foo/bar/h\nhost host:foo/bar/a/b up=foo/bar/a/c",
		} {
			r, err := d.Resolve(*scope)
			if err != nil || show(r, *scope) != want {
				t.Errorf("got %s, %v", show(r, *scope), err)
			}
		}
	}
}
