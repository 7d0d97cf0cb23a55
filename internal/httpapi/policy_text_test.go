package httpapi

import (
	"strings"
	"testing"
)

const effectiveSample = `
- !policy
  id: foo
  body:
  - !user {id: bob, restricted_to: [10.0.0.0/24]}
  - !variable v
  - !layer l
  - !group l
  - !host-factory {id: hf, layers: [!layer l]}
  - !grant {role: !group l, members: [!user bob, !member {role: !layer l, admin: true}]}
  - !permit {role: !group l, privileges: [read, execute], resource: !variable v}
  - !policy {id: bar, body: [!host h]}
`

func TestEffectivePolicy(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(effectiveSample + `
- !user reader
- !permit {role: !user reader, privilege: read, resource: !policy foo}
- !user nobody
`)
	get := func(s *testServer, target string) *call {
		return s.call("GET", "/policies/acme/policy/"+target).as(s.admin)
	}
	s.run("YAML", func(s *testServer) {
		for _, accept := range []string{"", "application/json", "*/*"} {
			get(s, "foo").with("Accept", accept).send().has("Content-Type", "application/x-yaml; charset=utf-8").is(200, `---
- !policy
  id: foo
  owner: !user /admin
  body:
  - !user
    id: bob
    restricted_to: [10.0.0.0/24]
  - !policy
    id: bar
    body:
    - !host h
  - !variable v
  - !layer l
  - !host-factory
    id: hf
    layers: [!layer l]
  - !group l
  - !grant
    role: !group l
    members:
    - !member
      role: !layer /foo/l
      admin: true
    - !user /foo/bob
  - !permit
    role: !group l
    privileges: [execute, read]
    resource: !variable v
- !permit
  role: !user /reader
  privileges: [read]
  resource: !policy foo
`)
		}
	})
	s.run("JSON by the type of the request", func(s *testServer) {
		get(s, "foo").with("Content-Type", "application/json").send().has("Content-Type", "application/json; charset=utf-8").is(200,
			`[{"policy":{"id":"foo","owner":{"user":"/admin"},"body":[{"group":{"id":"l"}},{"grant":{"role":{"group":"l"},"members":[`+
				`{"member":{"role":{"layer":"/foo/l"},"admin":true}},{"user":"/foo/bob"}]}},`+
				`{"host-factory":{"id":"hf","layers":[{"layer":"l"}]}},{"layer":{"id":"l"}},{"policy":{"id":"bar","body":[{"host":{"id":"h"}}]}},`+
				`{"variable":{"id":"v"}},{"permit":{"role":{"group":"l"},"privileges":["execute","read"],"resource":{"variable":"v"}}},`+
				`{"user":{"id":"bob","restricted_to":["10.0.0.0/24"]}}]}},`+
				`{"permit":{"role":{"user":"/reader"},"privileges":["read"],"resource":{"policy":"foo"}}}]`)
		get(s, "foo").with("Content-Type", "application/json; charset=utf-8").send().has("Content-Type", "application/x-yaml; charset=utf-8")
	})
	s.run("root, one level", func(s *testServer) {
		get(s, "root?depth=0").is(200, `---
- !user admin
- !user nobody
- !user reader
- !policy
  id: foo
  body:
  - !user
    id: bob
    restricted_to: [10.0.0.0/24]
- !permit
  role: !user reader
  privileges: [read]
  resource: !policy foo
`)
	})
	s.run("depth", func(s *testServer) {
		for target, want := range map[string]string{
			"foo?depth=0": "- !policy\n  id: foo\n  owner: !user /admin\n  body:\n  - !user\n    id: bob\n",
			"foo?depth=1": "  - !policy bar\n",
			"foo?depth=2": "    - !host h\n",
		} {
			if r := get(s, target).send().status(200); !strings.Contains(r.body, want) {
				s.Errorf("%s: %s", target, r.body)
			}
		}
		if r := get(s, "foo?depth=0").send(); strings.Contains(r.body, "!variable") {
			s.Error(r.body)
		}
	})
	s.run("a branch loads into its parent", func(s *testServer) {
		if r := get(s, "foo/bar").send().status(200); r.body != "---\n- !policy\n  id: bar\n  body:\n  - !host h\n" {
			s.Error(r.body)
		}
	})
	s.run("limit", func(s *testServer) {
		get(s, "foo?limit=3").is(422, unprocessable(`CONJ00164E Policy max allowed 'limit' = 3 exceeded. Value for policy is: 10`))
		get(s, "foo?limit=10").send().status(200)
		get(s, "foo?depth=9;limit=3").send().status(422)
	})
	s.run("bad numbers are 400 without a body", func(s *testServer) {
		for _, q := range []string{"depth=", "depth=x", "depth=-1", "depth=65", "depth=1.5", "limit=", "limit=100001", "limit=-1"} {
			get(s, "foo?"+q).is(400, "")
		}
	})
	s.run("seen but not owned is 403, before anything else", func(s *testServer) {
		s.call("GET", "/policies/acme/policy/foo?depth=x").as(s.token("reader", keys["acme:user:reader"])).is(403, "")
	})
	s.run("unseen and missing are 404", func(s *testServer) {
		s.call("GET", "/policies/acme/policy/foo").as(s.token("nobody", keys["acme:user:nobody"])).is(404, notFound("policy", "foo"))
		get(s, "none").is(404, notFound("policy", "none"))
	})
	s.run("ids are compared as they are", func(s *testServer) {
		s.load("- !policy {id: a_c, body: [!variable mine]}\n- !policy {id: abc, body: [!variable theirs]}\n- !policy {id: a%, body: []}\n")
		if r := get(s, "a_c").send(); strings.Contains(r.body, "theirs") || !strings.Contains(r.body, "mine") {
			s.Error(r.body)
		}
		if r := get(s, "a%25").send(); strings.Contains(r.body, "mine") {
			s.Error(r.body)
		}
	})
}

func TestEffectivePolicyOfACustomKind(t *testing.T) {
	s := newTestServer(t)
	s.load("- !resource {kind: configuration, id: c}\n- !role {kind: team, id: t}\n- !grant {role: !role {kind: team, id: t}, member: !user admin}\n")
	s.call("GET", "/policies/acme/policy/root").as(s.admin).is(200, `---
- !user admin
- !resource
  id: c
  kind: configuration
- !role
  id: t
  kind: team
- !grant
  role: !role
    kind: team
    id: t
  members:
  - !user /admin
`)
	s.call("GET", "/policies/acme/policy/root").as(s.admin).with("Content-Type", "application/json").is(200,
		`[{"resource":{"id":"c","kind":"configuration"}},{"role":{"id":"t","kind":"team"}},`+
			`{"grant":{"role":{"role":{"kind":"team","id":"t"}},"members":[{"user":"/admin"}]}},{"user":{"id":"admin"}}]`)
}

func TestPolicyVersions(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !user reader\n- !user nobody\n- !policy app\n- !permit {role: !user reader, privilege: read, resource: !policy app}\n")
	first, second := "- !group a\n- !variable x\n", "- !group a\n- !variable y\n"
	for _, text := range []string{first, second} {
		s.call("PATCH", "/policies/acme/policy/app").as(s.admin).data(text).send().status(201)
	}
	reader, nobody := s.token("reader", keys["acme:user:reader"]), s.token("nobody", keys["acme:user:nobody"])
	get := func(s *testServer, query, as string) *call {
		return s.call("GET", "/policies/acme/policy/app?"+query).as(as)
	}
	s.run("the text of a version, to who sees the policy", func(s *testServer) {
		get(s, "version=1", reader).send().has("Content-Type", "application/x-yaml; charset=utf-8").is(200, first)
		get(s, "version=2", reader).is(200, second)
	})
	s.run("what has changed between two", func(s *testServer) {
		r := get(s, "diff=1..2", reader).send().status(200).has("Content-Type", "text/x-diff; charset=utf-8")
		head, change, _ := strings.Cut(r.body, "@@")
		if change != " -1,2 +1,2 @@\n - !group a\n-- !variable x\n+- !variable y\n" ||
			!strings.HasPrefix(head, "--- acme:policy:app version 1 by acme:user:admin\t20") || !strings.Contains(head, "\n+++ acme:policy:app version 2 by acme:user:admin\t20") {
			s.Error(r.body)
		}
		get(s, "diff=2..2", reader).is(200, "")
	})
	s.run("errors", func(s *testServer) {
		const kept = ` of policy 'app' is not kept: there are 1 to 2"}}`
		get(s, "version=3", reader).is(404, `{"error":{"code":"not_found","message":"Version 3`+kept)
		get(s, "diff=1..9", reader).is(404, `{"error":{"code":"not_found","message":"Version 9`+kept)
		for _, bad := range []string{"version=", "version=0", "version=x", "diff=1", "diff=..", "diff=1..x"} {
			get(s, bad, reader).send().status(422)
		}
		get(s, "version=1", nobody).is(404, notFound("policy", "app"))
		get(s, "diff=1..2", nobody).is(404, notFound("policy", "app"))
	})
}
