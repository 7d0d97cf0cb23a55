package httpapi

import (
	"strings"
	"testing"

	"rekey/internal/row"
)

// may is stored before a server starts: acme's administrator may do these with accounts.
func may(privileges ...string) *row.Set {
	set := &row.Set{}
	for _, p := range privileges {
		set.Add(row.Insert, row.Permission{Resource: "!:webservice:accounts", Role: "acme:user:admin", Privilege: p})
	}
	return set
}

func TestAccounts(t *testing.T) {
	s := newTestServer(t, may("read", "execute", "update"))
	create := func(s *testServer) *call { return s.call("POST", "/accounts").as(s.admin) }
	s.run("list, without the one that guards them", func(s *testServer) {
		s.call("GET", "/accounts").as(s.admin).is(200, `["acme"]`)
	})
	s.run("create by a form", func(s *testServer) {
		var got struct {
			ID  string
			Key string `json:"api_key"`
		}
		create(s).with("Content-Type", "application/x-www-form-urlencoded").data("id=form&owner_id=x").send().status(201).decode(&got).confided()
		if got.ID != "form" {
			s.Errorf("%+v", got)
		}
		s.call("GET", "/authn/form/login").as(basic("admin", got.Key)).is(200, got.Key)
	})
	s.run("create by a body without a type", func(s *testServer) { create(s).data("id=untyped").send().status(201) })
	s.run("create by JSON", func(s *testServer) {
		create(s).with("Content-Type", "application/json; charset=utf-8").data(`{"id":"json","more":1}`).send().status(201)
	})
	s.run("create by query", func(s *testServer) {
		s.call("POST", "/accounts?id=query").as(s.admin).with("Content-Type", "text/plain").data("id=ignored").send().status(201)
	})
	s.run("the body wins over the query", func(s *testServer) {
		s.call("POST", "/accounts?id=loser").as(s.admin).data("id=winner").send().status(201)
	})
	s.run("in the order of their creation", func(s *testServer) {
		s.call("GET", "/accounts").as(s.admin).is(200, `["acme","form","untyped","json","query","winner"]`)
	})
	s.run("existing is 409", func(s *testServer) {
		for _, name := range []string{"acme", "!"} {
			create(s).data("id="+name).is(409, `{"error":{"code":"conflict","message":"account \"`+name+`\" already exists","target":"account",`+
				`"details":{"code":"conflict","target":"id","message":"`+name+`"}}}`)
		}
	})
	s.run("unfit names are 422", func(s *testServer) {
		create(s).data("id=new%2Fa").is(422, argumentError("Invalid account: new/a"))
		create(s).data("id=a:b").is(422, argumentError(`account name \"a:b\" contains invalid characters (:)`))
		create(s).data("id=a+b").is(422, argumentError(`account name \"a b\" contains invalid characters ( )`))
	})
	s.run("no name is 422", func(s *testServer) {
		create(s).send().status(422)
		create(s).data("id=").send().status(422)
		create(s).with("Content-Type", "application/json").data(`{}`).send().status(422)
	})
	s.run("illegible body is 400", func(s *testServer) {
		for _, body := range []string{`{`, `[]`, `"x"`, `{"id":["a"]}`} {
			r := create(s).with("Content-Type", "application/json").data(body).send().status(400)
			if strings.Contains(r.body, "json:") || strings.Contains(r.body, "Go ") {
				s.Error(r.body)
			}
		}
		create(s).data("id=%zz").send().status(400)
	})
	s.run("delete", func(s *testServer) {
		s.call("DELETE", "/accounts/form").as(s.admin).data("id=json").is(204, "")
		s.call("GET", "/accounts").as(s.admin).is(200, `["acme","untyped","json","query","winner"]`)
		s.call("DELETE", "/accounts/form").as(s.admin).is(404, `{"error":{"code":"not_found","message":"Account 'form' not found","target":"account",`+
			`"details":{"code":"not_found","target":"id","message":"form"}}}`)
		s.call("DELETE", "/accounts/a%2Fb").as(s.admin).is(422, argumentError("Invalid account: a/b"))
		create(s).data("id=form").send().status(201)
	})
}

func TestAccountsWithoutPrivilege(t *testing.T) {
	s := newTestServer(t)
	s.call("GET", "/accounts").is(401, "Authorization missing")
	s.call("GET", "/accounts").as(s.admin).is(403, "")
	s.call("POST", "/accounts").as(s.admin).data("id=x").is(403, "")
	s.call("POST", "/accounts").as(s.admin).is(403, "")
	s.call("DELETE", "/accounts/acme").as(s.admin).is(403, "")
}
