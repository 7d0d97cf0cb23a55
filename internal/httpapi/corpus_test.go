package httpapi

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// corpus has tricky policies and the answers to loading them. The numbers are those of
// the list that the language was specified with. Each case begins with an account in
// which setup was loaded, by default nothing; a case in foo/bar with that branch.
var corpus = []struct {
	number int
	text   string
	status int
	says   string // a part of the body

	method string // POST unless given
	at     string // root unless given
	setup  string
	there  string // short ids that are there afterwards
	gone   string // and that are not
}{
	{number: 1, text: "", status: 422, says: `"code":"validation_failed","message":"policy_text is not present"`},
	{number: 1, text: " \n", status: 422, says: `"code":"validation_failed","message":"policy_text is not present"`},
	{number: 2, text: "# note\n", status: 201, says: `{"created_roles":{},"version":1}`},
	{number: 2, text: "---", status: 201},
	{number: 2, text: "[]", status: 201},
	{number: 2, text: "---\n...", status: 201},
	{number: 3, text: "~", status: 422, says: `in policy : Unexpected scalar"`},
	{number: 4, text: "user: x", status: 422, says: `in policy : Unexpected mapping"`},
	{number: 5, text: "- !user a\n---\n- !user b", status: 422, says: `Multiple YAML documents encountered`, gone: "user:a"},
	{number: 6, text: "- alice", status: 422, says: `"code":"policy_invalid"`},
	{number: 7, text: "- id: alice", status: 422, says: `No type given or inferred for sequence entry`},
	{number: 8, text: "- !foo bar", status: 422, says: `in policy : Unrecognized data type '!foo'"`},
	{number: 9, text: "- !include x.yml", status: 422, says: `in policy : Unrecognized data type '!include'"`},
	{number: 10, text: "- !USER a\n- !hostFactory {id: f, layers: []}", status: 201, there: "user:a host_factory:f"},
	{number: 11, text: "- !user 007", status: 201, there: "user:007"},
	{number: 11, text: "- !user {id: 007}", status: 422, says: `Expected a string for field 'id', got Integer`},
	{number: 12, text: "- !user {id: yes}", status: 422, says: `Expected a string for field 'id', got TrueClass`},
	{number: 14, text: "- !user {id: a, id: b}", status: 422, says: `Duplicate attribute: id`},
	{number: 15, text: "- !user {id: a, login: b}", status: 422, says: `No such attribute 'login' on type User`},
	{number: 16, text: "- !user a\n- !user a", status: 422, says: `"message":"user 'a' is declared more than once"`, gone: "user:a"},
	{number: 17, text: "- !group a\n- !layer a\n- !policy a", status: 201, there: "group:a layer:a policy:a"},
	{number: 18, text: "- !policy p\n- !policy {id: p, body: [!user x]}", status: 422, says: `declared more than once`},
	{number: 19, text: "- !policy {body: [!user x]}", status: 422, says: `"message":"policy has a blank id"`},
	{number: 20, at: "foo/bar", text: "- !host\n- !layer\n- !user", status: 201, there: "host:foo/bar layer:foo/bar user:bar@foo"},
	{number: 21, at: "foo/bar", text: "- !policy", status: 422, says: `"message":"policy 'foo/bar' is declared more than once"`},
	{number: 22, at: "foo/bar", text: "- !user a/b", status: 201, there: "user:b@foo-bar-a"},
	{number: 23, at: "foo/bar", text: "- !user /x", status: 201, there: "user:x@"},
	{number: 23, at: "foo/bar", text: "- !host /x", status: 422, says: `"message":"Illegal absolute id: /x"`},
	{number: 24, at: "foo/bar", text: "- !host ../x", status: 201, there: "host:foo%2Fbar%2F..%2Fx"},
	{number: 24, at: "foo/bar", text: "- !user ../x", status: 422, says: `"message":"Invalid relative reference: foo/bar/../x"`},
	{number: 25, at: "foo/bar", setup: "- !user u", text: "- !group g\n- !grant {role: !group g, member: !user ../../u}", status: 201},
	{number: 26, at: "foo/bar", setup: "- !user u", text: "- !grant {role: !group ../g, member: !user /u}", status: 422, says: `"message":"Group 'foo/bar/../g' not found in account 'acme'"`},
	{number: 27, at: "foo/bar", text: "- !permit {role: !user /u, privilege: read, resource: !variable /v}", status: 422, says: `"message":"Illegal absolute id: /v"`},
	{number: 28, text: "- !grant {role: !group g, member: !user ../z}", status: 422, says: `"message":"Invalid relative reference: ../z"`},
	{number: 29, text: "- !group {id: a, owner: !group b}\n- !group b", status: 201},
	{number: 30, text: "- !group {id: a, owner: !group c}\n- !group b\n- !group c", status: 201},
	{number: 31, text: "- !group {id: a, owner: !group b}\n- !group {id: b, owner: !group a}", status: 422, says: `"message":"Dependency cycle encountered between group 'a' and group 'b'"`},
	{number: 32, text: "- !group {id: a, owner: !group a}", status: 201},
	{number: 33, text: "- !group {id: a, owner: alice}", status: 422, says: `Expected a Role for field 'owner', got String`},
	{number: 34, text: "- !grant {role: !variable v, member: !user u}", status: 422, says: `Expected a Role for field 'role', got Variable`},
	{number: 35, setup: "- [!group g, !group h, !user u]", text: "- !grant {role: !group g, members: [!user u, {role: !group h, admin: true}]}", status: 201},
	{number: 36, text: "- !grant {role: !group g, member: u}", status: 422, says: `"code":"policy_invalid"`},
	{number: 37, setup: "- !variable v", text: "- !permit {role: u, privilege: read, resource: !variable v}", status: 422, says: `"message":" 'u' not found in account 'acme'"`},
	{number: 38, setup: "- [!user u, !variable v]", text: "- !permit {role: !user u, resource: !variable v}\n- !grant {}", status: 201},
	{number: 39, setup: "- [!user u, !variable v]", text: "- !permit {role: !user u, privilege: \"fly high\", resource: !variable v}", status: 201},
	{number: 40, text: "- !permit {role: !user u, privilege: [1], resource: !variable v}", status: 422, says: `Expected a string for field 'privilege', got Integer`},
	{number: 41, text: "- !permit {role: !user u, privilege: read, resource: }", status: 422, says: `"message":"resource has a blank id"`},
	{number: 42, setup: "- [!group g, !user u]", text: "- !grant {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}", status: 201},
	{number: 42, setup: "- [!group g, !user u]", method: "PATCH", text: "- !grant {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}", status: 201},
	{number: 43, text: "- !delete {record: !user x}", status: 422, says: `"code":"validation_failed","message":"policy_text may not contain deletion statements"`},
	{number: 43, method: "PATCH", text: "- !delete {record: !user x}", status: 201},
	{number: 44, method: "PATCH", text: "- !delete {records: [!user x, !user y]}", status: 422, says: `"code":"policy_invalid"`},
	{number: 44, method: "PATCH", text: "- !delete {record: !role {kind: user, id: x}}", status: 422, says: `Expected a Resource for field 'record', got Role`},
	{number: 45, method: "PATCH", text: "- !variable v\n- !delete {record: !variable v}", status: 201, gone: "variable:v"},
	{number: 45, method: "PATCH", text: "- !user v\n- !delete {record: !user v}", status: 201, says: `{"created_roles":{},"version":1}`, gone: "user:v"},
	{number: 47, method: "PATCH", setup: "- [!group g, !user u]", text: "- !revoke {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}", status: 201},
	{number: 48, text: "- !host-factory f", status: 422, says: `"message":"Host factory 'f' does not include any layers"`},
	{number: 48, text: "- !host-factory {id: f, layers: []}", status: 201, there: "host_factory:f"},
	{number: 49, text: "- !host-factory {id: f, layers: [!group g]}", status: 422, says: `Expected a Layer for field 'layer', got Group`},
	{number: 49, text: "- !layer l\n- !host-factory {id: f, layers: l}", status: 201},
	{number: 50, text: "- !host {id: h, restricted_to: [10.0.0.1/24]}", status: 422, says: `Did you mean '10.0.0.0/24'?`},
	{number: 52, text: "- !user {id: a, public_keys: [ssh-rsa AAA]}", status: 422, says: `"message":"Invalid public key format"`},
	{number: 52, text: "- !user {id: a, public_keys: [ssh-rsa AAA my laptop]}", status: 201, there: "public_key:user/a/my%20laptop"},
	{number: 55, text: "- !variable {id: v, annotations: {a: {b: c}}}", status: 422, says: `Attribute 'a' can't be a mapping`},
	{number: 56, text: "- !policy {id: p, annotations: {owner: x, id: y}}", status: 201, says: `"warnings":["Annotation 'owner' matches`},
	{number: 57, text: "- !host {id: p/h, annotations: {ref: ../../../x}}", status: 422, says: `"message":"Invalid relative reference: `},
	{number: 58, text: "- &l [ !user a, !user b ]\n- !group g\n- !grant {role: !group g, members: *l}", status: 201, there: "user:a user:b"},
	{number: 58, text: "- &l [ !user a ]\n- !grant {role: !group g, members: [*l]}", status: 422, says: `Expected a Member for field 'member', got Array`},
	{number: 60, text: "- !user &x a\n- !host &x b", status: 422, says: `Duplicate anchor x`},
	{number: 61, text: "- !grant {role: *typo, member: !user u}", status: 422, says: `Undefined alias 'typo'`},
	{number: 62, text: "- &u !user a\n- !user\n  <<: *u", status: 422, says: ` on type User`},
	{number: 63, text: "- !group {id: 'a:b'}\n- !variable 'x y/ü%20'", status: 201, there: "group:a:b variable:x%20y%2F%C3%BC%2520"},
	{number: 64, text: "- !resource {kind: configuration, id: c}\n- !role {kind: team, id: t}", status: 201, there: "configuration:c"},
	{number: 64, text: "- !role t", status: 422, says: `"code":"policy_invalid"`},
	{number: 65, text: "- !resource {kind: a, id: x}\n- !resource {kind: b, id: x}", status: 422, says: `"message":"b resource 'x' is declared more than once"`},
	{number: 66, text: "- !grant {role: !managed-role {record: !layer l, role_name: use_host}, member: !user u}", status: 422, says: `"message":"@ 'layer/l/use_host' not found in account 'acme'"`},
	{number: 70, method: "PUT", setup: "- !group a", text: "- !group b\n- !grant {role: !group b, member: !group a}", status: 422, says: `"message":"Group 'a' not found in account 'acme'"`, there: "group:a", gone: "group:b"},
	{number: 71, text: "- !policy\n\tid: x", status: 422, says: `"message":"found character that cannot start any token while scanning for the next token"`},
	{number: 72, text: "- !!str, xxx", status: 422, says: `"message":"did not find expected whitespace or line break while scanning a tag"`},
	{number: 73, text: "- !policy\n  id: t\n  body\n  - !user me", status: 422, says: `"message":"could not find expected ':' while scanning a simple key"`},
	{number: 74, text: "- !policy {id: a/b, body: [!user x]}\n- !policy {id: a-b, body: [!user x]}", status: 422, says: `"message":"user 'x@a-b' is declared more than once"`},
	{number: 77, text: "- !policy {id: p, body: !user x}", status: 422, says: `in policy : `},
	{number: 77, text: "- !policy {id: p, body: foo}", status: 422, says: `in policy : `},
}

// fresh makes the account corpus anew and returns its administrator's Authorization.
func (s *testServer) fresh() string {
	s.Helper()
	if err := s.core.DeleteAccount(context.Background(), core.Operator(), "corpus"); err != nil && !fault.Is(err, fault.NotFound) {
		s.Fatal(err)
	}
	key, err := s.core.CreateAccount(context.Background(), core.Operator(), "corpus", nil)
	must(s.T, err)
	issued := s.call("POST", "/authn/corpus/admin/authenticate").data(key.RevealString()).send().status(200)
	return `Token token="` + base64.StdEncoding.EncodeToString([]byte(issued.body)) + `"`
}

// Each case is rehearsed before it is loaded: the rehearsal succeeds if the load does.
func TestCorpus(t *testing.T) {
	server := newTestServer(t)
	for _, c := range corpus {
		server.run(strings.ReplaceAll(c.text, "\n", " "), func(s *testServer) {
			key := s.fresh()
			at, method := c.at, c.method
			if at == "" {
				at = "root"
			} else {
				s.call("POST", "/policies/corpus/policy/root").as(key).data("- !policy foo\n- !policy foo/bar\n").send().status(201)
			}
			if method == "" {
				method = "POST"
			}
			if c.setup != "" {
				s.call("POST", "/policies/corpus/policy/root").as(key).data(c.setup).send().status(201)
			}
			rehearsed := map[int]int{201: 200, 422: 422}[c.status]
			s.call(method, "/policies/corpus/policy/"+at+"?dryRun=true").as(key).data(c.text).send().status(rehearsed)
			r := s.call(method, "/policies/corpus/policy/"+at).as(key).data(c.text).send().status(c.status)
			if says := strings.ReplaceAll(c.says, "'acme'", "'corpus'"); !strings.Contains(r.body, says) {
				s.Errorf("%d: got %s\nwithout %s", c.number, r.body, says)
			}
			for _, id := range strings.Fields(c.there) {
				kind, identifier, _ := strings.Cut(id, ":")
				s.call("GET", "/resources/corpus/"+kind+"/"+identifier).as(key).send().status(200)
			}
			for _, id := range strings.Fields(c.gone) {
				kind, identifier, _ := strings.Cut(id, ":")
				s.call("GET", "/resources/corpus/"+kind+"/"+identifier).as(key).send().status(404)
			}
		})
	}
}

// Entries of the corpus that take several loads.
func TestCorpusOfSeveralLoads(t *testing.T) {
	server := newTestServer(t)
	run := func(name string, test func(s *testServer, load func(method, at, text string), show func(id string) string)) {
		server.run(name, func(s *testServer) {
			key := s.fresh()
			load := func(method, at, text string) {
				s.Helper()
				s.call(method, "/policies/corpus/policy/"+at).as(key).data(text).send().status(201)
			}
			test(s, load, func(id string) string {
				kind, identifier, _ := strings.Cut(id, ":")
				return s.call("GET", "/resources/corpus/"+kind+"/"+identifier).as(key).send().body
			})
		})
	}
	has := func(s *testServer, body, part string) {
		s.Helper()
		if !strings.Contains(body, part) {
			s.Errorf("%s\nwithout %s", body, part)
		}
	}
	run("51: networks are added by POST and replaced by PATCH", func(s *testServer, load func(method, at, text string), show func(string) string) {
		load("POST", "root", "- !host {id: h, restricted_to: 10.0.0.0/8}")
		load("POST", "root", "- !host {id: h, restricted_to: 1.2.3.4}")
		has(s, show("host:h"), `"restricted_to":["10.0.0.0/8","1.2.3.4/32"]`)
		load("PATCH", "root", "- !host h")
		has(s, show("host:h"), `"restricted_to":[]`)
	})
	run("53, 54: annotations", func(s *testServer, load func(method, at, text string), show func(string) string) {
		load("POST", "root", "- !variable {id: v, kind: pw, annotations: {conjur/kind: x, a: 1.10, b: yes, c: , d: [x, 2]}}")
		has(s, show("variable:v"), `"annotations":[{"name":"a","value":"1.1","policy":"corpus:policy:root"},{"name":"b","value":"true","policy":"corpus:policy:root"},`+
			`{"name":"c","value":"","policy":"corpus:policy:root"},{"name":"conjur/kind","value":"x","policy":"corpus:policy:root"},{"name":"d","value":"[\"x\", 2]","policy":"corpus:policy:root"}]`)
	})
	run("46: a revocation reaches only what its own policy granted", func(s *testServer, load func(method, at, text string), show func(string) string) {
		load("POST", "root", "- !user u\n- !policy {id: foo, body: [!group g]}\n- !permit {role: !user u, privilege: read, resource: !group foo/g}")
		load("PATCH", "foo", "- !deny {role: !user /u, privilege: read, resource: !group g}")
		has(s, show("group:foo/g"), `"privilege":"read"`)
		load("PATCH", "root", "- !deny {role: !user u, privilege: read, resource: !group foo/g}")
		has(s, show("group:foo/g"), `"permissions":[]`)
	})
	run("67: POST leaves what is there as it is, PATCH changes it", func(s *testServer, load func(method, at, text string), show func(string) string) {
		load("POST", "root", "- !group g\n- !variable {id: v, annotations: {a: old}}")
		changed := "- !variable {id: v, owner: !group g, annotations: {a: new}}"
		load("POST", "root", changed)
		has(s, show("variable:v"), `"owner":"corpus:user:admin"`)
		has(s, show("variable:v"), `"value":"old"`)
		load("PATCH", "root", changed)
		has(s, show("variable:v"), `"owner":"corpus:group:g"`)
		has(s, show("variable:v"), `"value":"new"`)
	})
	run("68: PUT removes what was loaded into the policy, not what stands beneath it", func(s *testServer, load func(method, at, text string), show func(string) string) {
		load("POST", "root", "- !policy {id: foo, body: [!variable v]}")
		load("POST", "foo", "- !variable w")
		load("PUT", "foo", "[]")
		has(s, show("variable:foo/v"), `"id":"corpus:variable:foo/v"`)
		has(s, show("variable:foo/w"), `"code":"not_found"`)
	})
	run("69: PUT that moves a variable from an owner that goes keeps it", func(s *testServer, load func(method, at, text string), show func(string) string) {
		load("POST", "root", "- !group o1\n- !variable {id: v, owner: !group o1}")
		must(s.T, s.core.SetSecret(context.Background(), core.Operator(), "corpus:variable:v", secret.FromString("x")))
		load("PUT", "root", "- !variable v")
		has(s, show("variable:v"), `"owner":"corpus:user:admin"`)
		has(s, show("variable:v"), `"secrets":[{"version":1,`)
		has(s, show("group:o1"), `"code":"not_found"`)
	})
}

func TestCorpusOfPrivileges(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(`
- !user updater
- !user stranger
- !policy {id: app, body: [!variable v]}
- !permit {role: !user updater, privilege: update, resource: !policy app}
`)
	updater, stranger := s.token("updater", keys["acme:user:updater"]), s.token("stranger", keys["acme:user:stranger"])
	// 75: to replace takes update on all beneath, to modify does not.
	s.call("PUT", "/policies/acme/policy/app").as(updater).data("[]").is(403, "")
	s.call("PATCH", "/policies/acme/policy/app").as(updater).data("[]").send().status(201)
	// 76: who does not see the policy learns nothing of the text.
	for _, text := range []string{"[]", "- !bad x", ""} {
		s.call("PATCH", "/policies/acme/policy/app").as(stranger).data(text).is(404, notFound("policy", "app"))
	}
}
