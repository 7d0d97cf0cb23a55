package httpapi

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const rolePolicy = `
- !group ops
- !group dev
- !user alice
- !user bob
- !user carol
- !host h1
- !layer web
- !grant { role: !group ops, members: [ !user alice, !user bob, !host h1, !group dev ] }
- !grant { role: !group dev, member: !user carol }
- !policy
  id: app
  owner: !group dev
  body:
  - !group users
- !permit { role: !user alice, privilege: read, resource: !group ops }
`

// times are not predictable.
var anyTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00`)

func timeless(s string) string { return anyTime.ReplaceAllString(s, "T") }

func memberJSON(role, member string, owner bool) string {
	return fmt.Sprintf(`{"admin_option":%t,"ownership":%t,"role":"acme:%s","member":"acme:%s","policy":"acme:policy:root"}`, owner, owner, role, member)
}

func TestShowRole(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(rolePolicy)
	s.run("with its direct members", func(s *testServer) {
		r := s.call("GET", "/roles/acme/group/dev").as(s.admin).send().status(200)
		want := `{"created_at":"T","id":"acme:group:dev","policy":"acme:policy:root","members":[` +
			memberJSON("group:dev", "user:admin", true) + "," + memberJSON("group:dev", "user:carol", false) + `]}`
		if timeless(r.body) != want {
			s.Errorf("got  %s\nwant %s", timeless(r.body), want)
		}
	})
	s.run("without a policy", func(s *testServer) {
		if r := s.call("GET", "/roles/acme/user/admin").as(s.admin).send().status(200); strings.Contains(r.body, `"policy":null`) {
			s.Error(r.body)
		}
	})
	s.run("missing is 404", func(s *testServer) {
		s.call("GET", "/roles/acme/group/none").as(s.admin).is(404, notFound("group", "none"))
	})
	s.run("not seen is 404", func(s *testServer) {
		bob := s.token("bob", keys["acme:user:bob"])
		s.call("GET", "/roles/acme/group/ops").as(bob).is(404, notFound("group", "ops")) // being a member is not enough
		s.call("GET", "/roles/acme/user/bob").as(bob).is(404, notFound("user", "bob"))
		s.call("GET", "/roles/acme/group/ops?members").as(bob).send().status(404)
		s.call("GET", "/roles/acme/group/ops?graph").as(bob).send().status(404)
		s.call("GET", "/roles/acme/group/ops?all").as(bob).send().status(404)
	})
	s.run("seen by a privilege", func(s *testServer) {
		s.call("GET", "/roles/acme/group/ops").as(s.token("alice", keys["acme:user:alice"])).send().status(200)
	})
}

func TestAllRoles(t *testing.T) {
	s := newTestServer(t)
	s.load(rolePolicy)
	get := func(query string) *call { return s.call("GET", "/roles/acme/user/carol?"+query).as(s.admin) }
	get("all").is(200, `["acme:group:app/users","acme:group:dev","acme:group:ops","acme:policy:app","acme:user:carol"]`)
	get("all=false").is(200, `["acme:group:app/users","acme:group:dev","acme:group:ops","acme:policy:app","acme:user:carol"]`)
	get("all&limit=1&offset=2&search=x&kind=user").is(200, `["acme:group:app/users","acme:group:dev","acme:group:ops","acme:policy:app","acme:user:carol"]`)
	get("all&count").is(200, `{"count":5}`)
	get("all&count=false").is(200, `{"count":5}`)
	get("all&filter=group:dev").is(200, `["acme:group:dev"]`)
	get("all&filter[]=group:dev&filter[]=acme:group:ops&filter[]=group:none&filter[]=user:bob").is(200, `["acme:group:dev","acme:group:ops"]`)
	get("all&filter=dev").is(422, argumentError("Expected at least 2 tokens in dev"))
	get("graph&all").send().status(200) // graph comes first
}

func TestMemberships(t *testing.T) {
	s := newTestServer(t)
	s.load(rolePolicy)
	get := func(query string) *call { return s.call("GET", "/roles/acme/group/dev?"+query).as(s.admin) }
	get("memberships").is(200, "["+memberJSON("group:ops", "group:dev", false)+","+memberJSON("policy:app", "group:dev", true)+"]")
	get("memberships&count").is(200, `{"count":2}`)
	get("memberships&kind=policy").is(200, "["+memberJSON("policy:app", "group:dev", true)+"]")
	get("memberships&search=ops").is(200, "["+memberJSON("group:ops", "group:dev", false)+"]")
	get("memberships&filter=group:ops").is(200, "["+memberJSON("group:ops", "group:dev", false)+"]")
	get("memberships&members").is(200, "["+memberJSON("group:ops", "group:dev", false)+","+memberJSON("policy:app", "group:dev", true)+"]")
}

func TestMembers(t *testing.T) {
	s := newTestServer(t)
	s.load(rolePolicy)
	get := func(query string) *call { return s.call("GET", "/roles/acme/group/ops?"+query).as(s.admin) }
	dev, h1, admin := memberJSON("group:ops", "group:dev", false), memberJSON("group:ops", "host:h1", false), memberJSON("group:ops", "user:admin", true)
	alice, bob := memberJSON("group:ops", "user:alice", false), memberJSON("group:ops", "user:bob", false)
	list := func(members ...string) string { return "[" + strings.Join(members, ",") + "]" }

	get("members").is(200, list(dev, h1, admin, alice, bob))
	get("members&kind=user").is(200, list(admin, alice, bob))
	get("members&kind[]=host&kind[]=group").is(200, list(dev, h1))
	get("members&kind=nothing").is(200, "[]")
	get("members&search=alice").is(200, list(alice))
	get("members&search=").is(200, "[]")
	get("members&limit=2").is(200, list(dev, h1))
	get("members&limit=2&offset=1").is(200, list(h1, admin))
	get("members&offset=3").is(200, list(alice, bob))
	get("members&offset=30").is(200, "[]")
	get("members&offset=abc").is(200, list(dev, h1, admin, alice, bob))
	get("members&count").is(200, `{"count":5}`)
	get("members&count&limit=1&kind=user").is(200, `{"count":3}`)
	for _, bad := range []string{"limit=0", "limit=abc", "limit=-1", "limit="} {
		get("members&"+bad).is(422, unprocessable("'limit' contains an invalid value. 'limit' must be a positive integer."))
	}
	get("members&offset=-1").is(422, unprocessable("'offset' contains an invalid value. 'offset' must be an integer greater than or equal to 0."))
}

func TestRoleGraph(t *testing.T) {
	s := newTestServer(t)
	s.load("- !group ops\n- !user alice\n- !grant { role: !group ops, member: !user alice }")
	r := s.call("GET", "/roles/acme/group/ops?graph").as(s.admin).send().status(200)
	for _, edge := range []string{`{"parent":"acme:group:ops","child":"acme:user:alice"}`, `{"parent":"acme:group:ops","child":"acme:user:admin"}`} {
		if !strings.Contains(r.body, edge) {
			s.Errorf("%s lacks %s", r.body, edge)
		}
	}
}

func TestChangeMembers(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(rolePolicy + `
- !permit { role: !user bob, privilege: read, resource: !group ops }
- !permit { role: !user carol, privileges: [ read, create ], resource: !group ops }
`)
	change := func(method, query string) *call { return s.call(method, "/roles/acme/group/ops?"+query).as(s.admin) }
	s.run("add, again, remove", func(s *testServer) {
		change("POST", "members&member=acme:user:carol").is(204, "")
		change("POST", "members&member=acme:user:carol").is(204, "")
		s.call("GET", "/roles/acme/group/ops?members&search=carol").as(s.admin).
			is(200, `[{"admin_option":false,"ownership":false,"role":"acme:group:ops","member":"acme:user:carol"}]`)
		change("DELETE", "members&member=acme%3Auser%3Acarol").is(204, "")
		change("DELETE", "members&member=acme:user:carol").is(404, notFound("user", "carol"))
	})
	s.run("without members it is an unknown path", func(s *testServer) {
		change("POST", "member=acme:user:carol").is(404, "")
		change("DELETE", "").is(404, "")
	})
	s.run("without a member is 422", func(s *testServer) {
		change("POST", "members").send().status(422)
		change("DELETE", "members").send().status(422)
	})
	s.run("member that cannot exist is 404", func(s *testServer) {
		change("POST", "members&member=").is(404, `{"error":{"code":"not_found","message":"Unknown kind '' not found in account 'unknown account'"}}`)
		change("POST", "members&member=user:x").is(404, `{"error":{"code":"not_found","message":"X '' not found in account 'user'","target":"x",`+
			`"details":{"code":"not_found","target":"id","message":"user:x"}}}`)
		change("POST", "members&member=acme:user:none").is(404, notFound("user", "none"))
	})
	s.run("role that does not exist is 404", func(s *testServer) {
		s.call("POST", "/roles/acme/group/none?members&member=acme:user:bob").as(s.admin).is(404, notFound("group", "none"))
	})
	s.run("role without a policy is 422", func(s *testServer) {
		s.call("POST", "/roles/acme/user/admin?members&member=acme:user:bob").as(s.admin).send().status(422)
	})
	s.run("without privilege on the policy is 403", func(s *testServer) {
		for _, login := range []string{"bob", "carol"} {
			as := s.token(login, keys["acme:user:"+login])
			s.call("POST", "/roles/acme/group/ops?members&member=acme:user:carol").as(as).is(403, "")
			s.call("DELETE", "/roles/acme/group/ops?members&member=acme:user:alice").as(as).is(403, "")
		}
	})
	s.run("a cycle terminates", func(s *testServer) {
		s.call("POST", "/roles/acme/group/dev?members&member=acme:group:ops").as(s.admin).is(204, "")
		s.call("POST", "/roles/acme/group/dev?members&member=acme:group:dev").as(s.admin).is(204, "")
		s.call("GET", "/roles/acme/group/ops?all&count").as(s.admin).is(200, `{"count":4}`)
		s.call("GET", "/roles/acme/group/ops?graph").as(s.admin).send().status(200)
	})
}
