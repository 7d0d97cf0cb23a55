package httpapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const resourcePolicy = `
- !group ops
- !user alice
- !user bob
- !variable
  id: app/db/password
  mime_type: text/plain
  annotations: { description: "The <main> database" }
- !variable app/db/user-name
- !variable other
- !webservice door
- !host
  id: app/h1
  restricted_to: [ 10.0.0.0/8, 127.0.0.1 ]
- !policy
  id: sub
  owner: !group ops
  body:
  - !variable x
- !grant { role: !group ops, member: !user alice }
- !permit { role: !user bob, privileges: [ read, execute ], resource: !variable app/db/password }
- !permit { role: !group ops, privileges: [ execute ], resource: !variable app/db/password }
`

func TestListResources(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(resourcePolicy)
	bob := s.token("bob", keys["acme:user:bob"])
	alice := s.token("alice", keys["acme:user:alice"])
	list := func(s *testServer, as, target string, want ...string) {
		s.Helper()
		got := s.call("GET", target).as(as).send().ids()
		for i := range want {
			want[i] = "acme:" + want[i]
		}
		if !slices.Equal(got, want) {
			s.Errorf("%s:\ngot  %q\nwant %q", target, got, want)
		}
	}
	s.run("what the caller sees, by id", func(s *testServer) {
		list(s, bob, "/resources", "variable:app/db/password")
		list(s, bob, "/resources/acme", "variable:app/db/password")
		list(s, alice, "/resources/acme", "policy:sub", "variable:app/db/password", "variable:sub/x")
		list(s, s.admin, "/resources/acme", "group:ops", "host:app/h1", "policy:root", "policy:sub", "user:admin", "user:alice", "user:bob",
			"variable:app/db/password", "variable:app/db/user-name", "variable:other", "variable:sub/x", "webservice:door")
	})
	s.run("by kind", func(s *testServer) {
		list(s, s.admin, "/resources/acme/webservice", "webservice:door")
		list(s, s.admin, "/resources/acme?kind=webservice", "webservice:door")
		list(s, s.admin, "/resources/acme/?kind=webservice", "webservice:door")
		list(s, s.admin, "/resources?account=acme&kind=webservice", "webservice:door")
		list(s, s.admin, "/resources/acme?kind=nothing")
		list(s, s.admin, "/resources/none")
	})
	s.run("search", func(s *testServer) {
		list(s, s.admin, "/resources/acme?search=password", "variable:app/db/password")
		list(s, s.admin, "/resources/acme?search=Passwords", "variable:app/db/password")
		list(s, s.admin, "/resources/acme?search=app/db", "variable:app/db/password", "variable:app/db/user-name")
		list(s, s.admin, "/resources/acme?search=app+name", "variable:app/db/user-name")
		list(s, s.admin, "/resources/acme?search=main+database", "variable:app/db/password")
		list(s, s.admin, "/resources/acme/variable?search=variable&limit=1", "variable:app/db/password")
		list(s, s.admin, "/resources/acme?search=passw")
		list(s, s.admin, "/resources/acme?search=")
		list(s, bob, "/resources/acme?search=user")
	})
	s.run("by owner", func(s *testServer) {
		list(s, s.admin, "/resources/acme?owner=policy:sub", "variable:sub/x")
		list(s, s.admin, "/resources/acme?owner=acme:group:ops", "policy:sub", "variable:sub/x")
		for _, path := range []string{"/resources/acme?owner=group:none", "/resources/acme/variable?owner=group:none", "/resources?owner=acme:group:none"} {
			s.call("GET", path).as(s.admin).is(404, notFound("group", "none"))
		}
		s.call("GET", "/resources/acme?owner=ops").as(s.admin).is(422, argumentError("Expected at least 2 tokens in ops"))
	})
	s.run("as another role", func(s *testServer) {
		list(s, s.admin, "/resources?role=acme:group:ops", "policy:sub", "variable:app/db/password", "variable:sub/x")
		list(s, s.admin, "/resources?acting_as=acme:group:ops", "policy:sub", "variable:app/db/password", "variable:sub/x")
		list(s, bob, "/resources?role=&acting_as=", "variable:app/db/password")
		for _, role := range []string{"acme:user:alice", "acme:user:none", "user:alice", "x"} {
			for _, path := range []string{"/resources", "/resources/acme", "/resources/acme/variable"} {
				s.call("GET", path+"?role="+role).as(bob).is(403, "")
			}
			s.call("GET", "/resources?acting_as="+role).as(bob).is(403, "")
		}
	})
	s.run("pages", func(s *testServer) {
		list(s, s.admin, "/resources/acme/variable?limit=2", "variable:app/db/password", "variable:app/db/user-name")
		list(s, s.admin, "/resources/acme/variable?limit=2&offset=1", "variable:app/db/user-name", "variable:other")
		list(s, s.admin, "/resources/acme/variable?offset=3", "variable:sub/x")
		list(s, s.admin, "/resources/acme/variable?offset=30")
		list(s, s.admin, "/resources/acme/webservice?limit=10000", "webservice:door")
		s.call("GET", "/resources/acme?limit=1001").as(s.admin).is(422, unprocessable("'Limit' parameter must not exceed 1000"))
		for _, bad := range []string{"0", "-1", "abc", "01", "%2B1", ""} {
			s.call("GET", "/resources/acme?limit="+bad).as(s.admin).
				is(422, unprocessable("'limit' contains an invalid value. 'limit' must be a positive integer."))
		}
		for _, bad := range []string{"-1", "abc", "01", ""} {
			s.call("GET", "/resources/acme?offset="+bad).as(s.admin).
				is(422, unprocessable("'offset' contains an invalid value. 'offset' must be an integer greater than or equal to 0."))
		}
	})
	s.run("count", func(s *testServer) {
		for _, path := range []string{"/resources/acme/variable?", "/resources/acme?kind=variable&", "/resources?kind=variable&"} {
			s.call("GET", path+"count=true").as(s.admin).is(200, `{"count":4}`)
		}
		s.call("GET", "/resources/acme/variable?count=true&limit=3").as(s.admin).is(200, `{"count":3}`)
		s.call("GET", "/resources/acme/variable?count=true&offset=3").as(s.admin).is(200, `{"count":1}`)
		s.call("GET", "/resources/acme/variable?count=true&search=password").as(s.admin).is(200, `{"count":1}`)
		list(s, s.admin, "/resources/acme/webservice?count=false", "webservice:door")
	})
}

func TestDefaultPages(t *testing.T) {
	s := newTestServer(t)
	var policy strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&policy, "- !variable v%04d\n", i)
	}
	s.load(policy.String())
	for query, want := range map[string]int{"": 1000, "?limit=10000": 1100, "?offset=5": 10, "?limit=1000&offset=500": 600, "?count=1": 1000} {
		if got := len(s.call("GET", "/resources/acme/variable"+query).as(s.admin).send().ids()); got != want {
			t.Errorf("%q: %d, want %d", query, got, want)
		}
	}
	s.call("GET", "/resources/acme/variable?count=true").as(s.admin).is(200, `{"count":1100}`)
}

func TestShowResource(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(resourcePolicy)
	s.set("app/db/password", "v1")
	show := func(s *testServer, id, want string) {
		s.Helper()
		if r := s.call("GET", "/resources/acme/"+id).as(s.admin).send().status(200); timeless(r.body) != want {
			s.Errorf("got  %s\nwant %s", timeless(r.body), want)
		}
	}
	s.run("variable", func(s *testServer) {
		show(s, "variable/app/db/password", `{"created_at":"T","id":"acme:variable:app/db/password","owner":"acme:user:admin","policy":"acme:policy:root",`+
			`"permissions":[{"privilege":"execute","role":"acme:group:ops","policy":"acme:policy:root"},`+
			`{"privilege":"execute","role":"acme:user:bob","policy":"acme:policy:root"},{"privilege":"read","role":"acme:user:bob","policy":"acme:policy:root"}],`+
			`"annotations":[{"name":"conjur/mime_type","value":"text/plain","policy":"acme:policy:root"},`+
			`{"name":"description","value":"The \u003cmain\u003e database","policy":"acme:policy:root"}],`+
			`"secrets":[{"version":1,"expires_at":null}]}`)
	})
	s.run("host", func(s *testServer) {
		show(s, "host/app/h1", `{"created_at":"T","id":"acme:host:app/h1","owner":"acme:user:admin","policy":"acme:policy:root",`+
			`"permissions":[],"annotations":[],"restricted_to":["10.0.0.0/8","127.0.0.1/32"]}`)
	})
	s.run("policy", func(s *testServer) {
		show(s, "policy/sub", `{"created_at":"T","id":"acme:policy:sub","owner":"acme:group:ops","policy":"acme:policy:root",`+
			`"permissions":[],"annotations":[],"policy_versions":[]}`)
		var got struct {
			Versions []struct {
				Version           int
				Text              string `json:"policy_text"`
				SHA256            string `json:"policy_sha256"`
				IP                string `json:"client_ip"`
				ID, Role          string
				Created, Finished string
			} `json:"policy_versions"`
		}
		s.call("GET", "/resources/acme/policy/root").as(s.admin).send().status(200).decode(&got)
		if len(got.Versions) != 1 {
			s.Fatalf("%+v", got)
		}
		v := got.Versions[0]
		if v.Version != 1 || v.Text != resourcePolicy || len(v.SHA256) != 64 || v.IP != "127.0.0.1" || v.ID != "acme:policy:root" || v.Role != "acme:user:admin" {
			s.Errorf("%+v", v)
		}
	})
	s.run("others", func(s *testServer) {
		show(s, "webservice/door", `{"created_at":"T","id":"acme:webservice:door","owner":"acme:user:admin","policy":"acme:policy:root","permissions":[],"annotations":[]}`)
	})
	s.run("missing is 404", func(s *testServer) {
		s.call("GET", "/resources/acme/variable/none").as(s.admin).is(404, notFound("variable", "none"))
		s.call("GET", "/resources/acme/host_factory/none").as(s.admin).is(404, notFound("host_factory", "none"))
	})
	s.run("not seen is 404", func(s *testServer) {
		bob := s.token("bob", keys["acme:user:bob"])
		s.call("GET", "/resources/acme/variable/other").as(bob).is(404, notFound("variable", "other"))
		s.call("HEAD", "/resources/acme/variable/other").as(bob).is(404, "")
		s.call("GET", "/resources/acme/variable/app/db/password").as(bob).send().status(200)
	})
}

func TestCheck(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(resourcePolicy)
	bob := s.token("bob", keys["acme:user:bob"])
	check := func(s *testServer, as, query string) *call {
		return s.call("GET", "/resources/acme/variable/app/db/password?"+query).as(as)
	}
	s.run("yes is 204", func(s *testServer) {
		check(s, bob, "check&privilege=execute").is(204, "")
		check(s, bob, "check=&privilege=read").is(204, "")
		check(s, bob, "check=false&privilege=read").is(204, "")
		check(s, s.admin, "check=true&privilege=anything").is(204, "")
		check(s, bob, "check&privilege=read&role=").is(204, "")
	})
	s.run("no is 404 without a body", func(s *testServer) {
		check(s, bob, "check&privilege=update").is(404, "").has("Content-Type", "text/html")
		check(s, bob, "check&privilege=update").with("Accept", "application/json").is(404, "").has("Content-Type", "application/json")
		check(s, bob, "check&privilege=").is(404, "")
	})
	s.run("privilege missing is 422", func(s *testServer) { check(s, bob, "check").is(422, argumentError("privilege")) })
	s.run("another role that the caller holds", func(s *testServer) {
		check(s, s.admin, "check&privilege=execute&role=acme:group:ops").is(204, "")
		check(s, s.admin, "check&privilege=update&role=acme:group:ops").is(404, "")
		check(s, s.admin, "check&privilege=execute&role=acme:user:alice").is(204, "")
	})
	s.run("another role that the caller does not hold is 403", func(s *testServer) {
		for _, role := range []string{"acme:group:ops", "acme:user:none", "group:ops", "x"} {
			check(s, bob, "check&privilege=execute&role="+role).is(403, "")
		}
		s.call("GET", "/resources/acme/variable/none?check&privilege=read&role=acme:group:ops").as(bob).is(403, "")
	})
	s.run("not seen is 404 with a body", func(s *testServer) {
		s.call("GET", "/resources/acme/variable/other?check&privilege=read").as(bob).is(404, notFound("variable", "other"))
	})
	s.run("check comes before permitted_roles", func(s *testServer) {
		check(s, bob, "permitted_roles&check&privilege=read").is(204, "")
	})
}

func TestPermittedRoles(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(resourcePolicy)
	get := func(query string) *call {
		return s.call("GET", "/resources/acme/variable/app/db/password?"+query).as(s.admin)
	}
	want := `["acme:group:ops","acme:user:admin","acme:user:alice","acme:user:bob"]`
	get("permitted_roles&privilege=execute").is(200, want)
	get("permitted_roles=true&permission=execute").is(200, want)
	get("permitted_roles&privilege=nothing").is(200, `["acme:user:admin"]`)
	get("permitted_roles").is(422, argumentError("privilege"))
	s.call("GET", "/resources/acme/variable/other?permitted_roles&privilege=read").as(s.token("bob", keys["acme:user:bob"])).
		is(404, notFound("variable", "other"))
}
