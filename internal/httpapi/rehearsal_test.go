package httpapi

import (
	"strings"
	"testing"
)

// rehearse is a dry run of a policy as a caller.
func (s *testServer) rehearse(method, policy, text, as string) *reply {
	s.Helper()
	return s.call(method, "/policies/acme/policy/"+policy+"?dryRun=true").as(as).data(text).send()
}

const nothingItems = `{"items":[]}`

func TestRehearsalReport(t *testing.T) {
	s := newTestServer(t)
	s.load(`
- !group ops
- !policy
  id: dev
  owner: !group ops
  body:
  - !variable {id: a, annotations: {k: v}}
  - !user {id: old, restricted_to: [10.0.0.0/8]}
`)
	s.set("dev/a", "x")
	const policyDev = `{"identifier":"acme:policy:dev","id":"dev","type":"policy","owner":"acme:group:ops","policy":"acme:policy:root",` +
		`"permissions":{},"annotations":{},"members":["acme:group:ops"],"memberships":`
	s.run("created and updated", func(s *testServer) {
		r := s.rehearse("POST", "dev", `
- !user {id: bob, annotations: {owner: x}, restricted_to: [10.0.0.0/8, 1.2.3.4]}
- !group g
- !grant {role: !group g, member: !user bob}
- !permit {role: !user bob, privileges: [execute, read], resource: !variable a}
`, s.admin)
		r.has("Content-Type", "application/json; charset=utf-8").is(200, `{"status":"Valid YAML","created":{"items":[`+
			`{"identifier":"acme:group:dev/g","id":"dev/g","type":"group","owner":"acme:policy:dev","policy":"acme:policy:dev",`+
			`"permissions":{},"annotations":{},"members":["acme:policy:dev","acme:user:bob@dev"],"memberships":[],"restricted_to":[]},`+
			`{"identifier":"acme:user:bob@dev","id":"bob@dev","type":"user","owner":"acme:policy:dev","policy":"acme:policy:dev",`+
			`"permissions":{"execute":["acme:variable:dev/a"],"read":["acme:variable:dev/a"]},"annotations":{"owner":"x"},`+
			`"members":["acme:policy:dev"],"memberships":["acme:group:dev/g"],"restricted_to":["10.0.0.0/8","1.2.3.4/32"]}]},`+
			`"updated":{"before":{"items":[`+policyDev+`["acme:user:old@dev"],"restricted_to":[]},`+
			`{"identifier":"acme:variable:dev/a","id":"dev/a","type":"variable","owner":"acme:policy:dev","policy":"acme:policy:root","permitted":{},"annotations":{"k":"v"}}]},`+
			`"after":{"items":[`+policyDev+`["acme:group:dev/g","acme:user:bob@dev","acme:user:old@dev"],"restricted_to":[]},`+
			`{"identifier":"acme:variable:dev/a","id":"dev/a","type":"variable","owner":"acme:policy:dev","policy":"acme:policy:root",`+
			`"permitted":{"execute":["acme:user:bob@dev"],"read":["acme:user:bob@dev"]},"annotations":{"k":"v"}}]}},"deleted":`+nothingItems+
			`,"warnings":["Annotation 'owner' matches a known policy attribute. This annotation will not be treated as a standard attribute and may not have the intended effect."]}`)
	})
	s.run("deleted, with the values that go along", func(s *testServer) {
		r := s.rehearse("PATCH", "root", "- !delete {record: !policy dev}\n", s.admin).status(200)
		var got struct {
			Deleted struct {
				Items []struct{ Identifier string }
			}
			Values struct {
				Count     int
				Variables []string
			} `json:"deleted_values"`
		}
		r.decode(&got)
		var ids []string
		for _, item := range got.Deleted.Items {
			ids = append(ids, item.Identifier)
		}
		if strings.Join(ids, " ") != "acme:policy:dev acme:user:old@dev acme:variable:dev/a" || got.Values.Count != 1 || got.Values.Variables[0] != "acme:variable:dev/a" {
			s.Error(r.body)
		}
	})
	s.run("restricted_to has masks before and after", func(s *testServer) {
		r := s.rehearse("PATCH", "root", "- !policy {id: dev, owner: !group ops, body: [!user {id: old, restricted_to: [1.2.3.4]}]}\n", s.admin).status(200)
		if !strings.Contains(r.body, `"restricted_to":["10.0.0.0/8"]`) || !strings.Contains(r.body, `"restricted_to":["1.2.3.4/32"]`) {
			s.Error(r.body)
		}
	})
	s.run("adding at the top names the administrator", func(s *testServer) {
		r := s.rehearse("POST", "root", "- !variable v\n", s.admin).status(200)
		if !strings.Contains(r.body, `"after":{"items":[{"identifier":"acme:user:admin","id":"admin","type":"user","owner":"acme:user:admin","policy":null,`) {
			s.Error(r.body)
		}
	})
	s.run("an id has all that follows the kind", func(s *testServer) {
		r := s.rehearse("POST", "root", `- !variable "a:b:c"`, s.admin).status(200)
		if !strings.Contains(r.body, `"identifier":"acme:variable:a:b:c","id":"a:b:c"`) {
			s.Error(r.body)
		}
	})
	s.run("nothing to do", func(s *testServer) {
		s.rehearse("POST", "root", "- !group ops\n", s.admin).is(200,
			`{"status":"Valid YAML","created":`+nothingItems+`,"updated":{"before":`+nothingItems+`,"after":`+nothingItems+`},"deleted":`+nothingItems+`}`)
	})
	s.run("nothing has happened", func(s *testServer) {
		s.call("GET", "/resources/acme/user/bob%40dev").as(s.admin).send().status(404)
		s.call("GET", "/secrets/acme/variable/dev/a").as(s.admin).is(200, "x")
		s.call("POST", "/policies/acme/policy/root").as(s.admin).data("[]").is(201, `{"created_roles":{},"version":2}`)
	})
}

func TestRehearsalOfWhatCannotBeLoaded(t *testing.T) {
	s := newTestServer(t)
	const tags = "!delete, !deny, !grant, !group, !host, !host-factory, !layer, !permit, !policy, !revoke, !user, !variable, !webservice"
	invalid := func(line, column, message string) string {
		lines := line
		if line == "null" {
			lines = ""
		}
		return `{"status":"Invalid YAML","errors":[{"line":` + line + `,"column":` + column + `,"message":"` + message +
			`","context":{"policy_id":"root","offending_lines":[` + lines + `]}}]}`
	}
	for _, c := range []struct{ name, method, text, want string }{
		{"unknown tag", "POST", "- !foo bar", invalid("1", "3", `Unrecognized data type '!foo'\nThe tag must be one of the following: `+tags)},
		{"owners of each other", "POST", "- !group {id: a, owner: !group b}\n- !group {id: b, owner: !group a}",
			invalid("1", "3", `Dependency cycle encountered between group 'a' and group 'b'\nTry redefining one or both.`)},
		{"a standard tag and text", "POST", "- !!str, xxx", invalid("1", "3", `did not find expected whitespace or line break while scanning a tag\nOnly one node can be defined per line.`)},
		{"a colon is missing", "POST", "- !policy\n  id: t\n  body\n  - !user me\n",
			invalid("3", "3", `could not find expected ':' while scanning a simple key\nThis error can occur when you have a missing ':' or missing space after ':'`)},
		{"empty", "POST", " \n", invalid("null", "null", `policy_text is not present\nSend the policy as the body of the request.`)},
		{"deletion in POST", "POST", "- !delete {record: !user x}", invalid("null", "null",
			`policy_text may not contain deletion statements\nLoad the policy with update (PATCH) or replace (PUT), or leave the !delete, !deny and !revoke statements out.`)},
		{"references to nothing", "PATCH", "- !group g\n- !grant {role: !group g, members: [!user x, !user y]}", invalid("2", "37",
			`User 'x' not found in account 'acme'\nMissing altogether: acme:user:x, acme:user:y. Declare them before they are used, or correct their ids.`)},
	} {
		s.run(c.name, func(s *testServer) {
			s.rehearse(c.method, "root", c.text, s.admin).has("Content-Type", "application/json; charset=utf-8").is(422, c.want)
		})
	}
}

func TestRehearsalNeedsPrivilege(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !user reader\n- !user nobody\n- !policy app\n- !permit {role: !user reader, privilege: read, resource: !policy app}\n")
	reader, nobody := s.token("reader", keys["acme:user:reader"]), s.token("nobody", keys["acme:user:nobody"])
	for _, method := range []string{"POST", "PATCH", "PUT"} {
		s.rehearse(method, "app", "- !bad", reader).is(403, "")
		s.rehearse(method, "app", "- !bad", nobody).is(404, notFound("policy", "app"))
	}
	for value, status := range map[string]int{"true": 200, "%20TRUE%20": 200, "1": 201, "": 201, "yes": 201} {
		s.call("POST", "/policies/acme/policy/app?dryRun="+value).as(s.admin).data("[]").send().status(status)
	}
}
