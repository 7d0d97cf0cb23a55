package httpapi

import (
	"strings"
	"testing"
)

func TestLoadPolicy(t *testing.T) {
	s := newTestServer(t)
	load := func(s *testServer, method, text string) *call {
		return s.call(method, "/policies/acme/policy/root").as(s.admin).data(text)
	}
	s.run("shows the keys of new users and hosts only", func(s *testServer) {
		var got struct {
			Created map[string]struct {
				ID  string
				Key string `json:"api_key"`
			} `json:"created_roles"`
			Version  int
			Warnings []string
		}
		load(s, "POST", "- !user bob\n- !host app/h1\n- !group ops\n").send().status(201).
			has("Content-Type", "application/json; charset=utf-8").confided().decode(&got)
		bob := got.Created["acme:user:bob"]
		if len(got.Created) != 2 || bob.ID != "acme:user:bob" || got.Created["acme:host:app/h1"].Key == "" || got.Version != 1 || got.Warnings != nil {
			s.Errorf("%+v", got)
		}
		s.token("bob", bob.Key)
		load(s, "POST", "- !user bob\n").is(201, `{"created_roles":{},"version":2}`)
	})
	s.run("whatever the content type", func(s *testServer) {
		for _, contentType := range []string{"application/x-www-form-urlencoded", "application/json", "text/plain"} {
			load(s, "POST", "- !user bob\n").with("Content-Type", contentType).send().status(201)
		}
	})
	s.run("trailing slash and query", func(s *testServer) {
		s.call("POST", "/policies/acme/policy/root/?dryRun=false").as(s.admin).data("[]").send().status(201)
	})
	s.run("comments and an empty list are policies", func(s *testServer) {
		load(s, "POST", "# nothing\n").send().status(201)
		load(s, "POST", "--- []\n").send().status(201)
	})
	s.run("warning", func(s *testServer) {
		var got struct{ Warnings []string }
		load(s, "POST", "- !variable\n  id: w\n  annotations: { owner: me }\n").send().status(201).decode(&got)
		if len(got.Warnings) != 1 || got.Warnings[0] != "Annotation 'owner' matches a known policy attribute. This annotation will not be treated as a standard attribute and may not have the intended effect." {
			s.Errorf("%q", got.Warnings)
		}
	})
	s.run("empty is 422", func(s *testServer) {
		for _, text := range []string{"", " \n"} {
			r := load(s, "POST", text).send().status(422)
			if !strings.HasPrefix(r.body, `{"error":{"code":"validation_failed","message":"policy_text is not present","details":[{"code":"validation_failed","target":"policy_text","message":"is not present"}]`) {
				s.Error(r.body)
			}
		}
	})
	s.run("deletion in POST is 422", func(s *testServer) {
		r := load(s, "POST", "- !delete\n  record: !user bob\n").send().status(422)
		if !strings.Contains(r.body, `"message":"policy_text may not contain deletion statements"`) {
			s.Error(r.body)
		}
	})
	s.run("error with its place", func(s *testServer) {
		var got struct {
			Error struct {
				Code, Message string
				Innererror    struct {
					Code, Filename string
					Line, Column   int
				}
			}
		}
		load(s, "POST", "- !user\n  id: x\n  foo: bar\n").send().status(422).decode(&got)
		e := got.Error
		if e.Code != "policy_invalid" || !strings.HasPrefix(e.Message, "Error at line ") || !strings.Contains(e.Message, " in policy : No such attribute 'foo' on type User") ||
			e.Innererror.Code != "policy_invalid" || e.Innererror.Filename != "policy" || e.Innererror.Line != 3 {
			s.Errorf("%+v", got)
		}
	})
	s.run("reference to nothing is 422", func(s *testServer) {
		r := load(s, "POST", "- !grant { role: !group zz, member: !user bob }").send().status(422)
		if !strings.HasPrefix(r.body, `{"error":{"code":"policy_invalid","message":"Group 'zz' not found in account 'acme'"`) {
			s.Error(r.body)
		}
	})
	s.run("a refused load changes nothing", func(s *testServer) {
		load(s, "POST", "- !user fresh\n- !grant { role: !group zz, member: !user fresh }").send().status(422)
		s.call("GET", "/resources/acme/user/fresh").as(s.admin).is(404, notFound("user", "fresh"))
	})
	s.run("modify and replace", func(s *testServer) {
		load(s, "PATCH", "- !delete\n  record: !variable w\n").send().status(201)
		s.call("GET", "/resources/acme/variable/w").as(s.admin).is(404, notFound("variable", "w"))
		load(s, "PUT", "- !user bob\n- !variable only\n").send().status(201)
		s.call("GET", "/resources/acme/host/app/h1").as(s.admin).is(404, notFound("host", "app/h1"))
		s.call("GET", "/resources/acme/variable/only").as(s.admin).send().status(200)
	})
}

func TestLoadPolicyNeedsPrivilege(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(`
- !policy app
- !user creator
- !user updater
- !user reader
- !user nobody
- !permit { role: !user creator, privileges: [ create ], resource: !policy app }
- !permit { role: !user updater, privileges: [ update ], resource: !policy app }
- !permit { role: !user reader, privileges: [ read ], resource: !policy app }
`)
	cases := []struct {
		login             string
		post, patch, put_ int
	}{
		{"creator", 201, 403, 403},
		{"updater", 403, 201, 201},
		{"reader", 403, 403, 403},
		{"nobody", 404, 404, 404},
	}
	for _, c := range cases {
		s.run(c.login, func(s *testServer) {
			as := s.token(c.login, keys["acme:user:"+c.login])
			for method, want := range map[string]int{"POST": c.post, "PATCH": c.patch, "PUT": c.put_} {
				r := s.call(method, "/policies/acme/policy/app").as(as).data("[]").send().status(want)
				switch want {
				case 403:
					r.is(403, "")
				case 404:
					r.is(404, notFound("policy", "app"))
				}
			}
		})
	}
	s.run("missing policy is 404", func(s *testServer) {
		s.call("POST", "/policies/acme/policy/none").as(s.admin).data("[]").is(404, notFound("policy", "none"))
		s.call("POST", "/policies/nowhere/policy/root").as(s.admin).data("[]").is(404, strings.ReplaceAll(notFound("policy", "root"), "acme", "nowhere"))
	})
	s.run("a rehearsal is never a load", func(s *testServer) {
		for _, method := range []string{"POST", "PATCH", "PUT"} {
			s.call(method, "/policies/acme/policy/root?dryRun=%20True").as(s.admin).data("- !user rehearsed").send().status(200)
			s.call(method, "/policies/acme/policy/root?dryRun=true").as(s.admin).data("- !user { id: x, foo: bar }").send().status(422)
			s.call("GET", "/resources/acme/user/rehearsed").as(s.admin).is(404, notFound("user", "rehearsed"))
		}
	})
}
