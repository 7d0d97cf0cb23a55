package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

const staticPolicy = `
- !policy
  id: data
  body:
    - !variable a
    - !variable b
    - !variable empty
    - !variable binary
- !user alice
- !group readers
- !permit {role: !user alice, privileges: [read, execute], resource: !variable data/a}
- !permit {role: !user alice, privileges: [read, execute], resource: !variable data/empty}
- !permit {role: !user alice, privileges: [read, execute], resource: !variable data/binary}
- !permit {role: !user alice, privileges: [read], resource: !variable data/b}
`

func TestValuesAreReadEachByItself(t *testing.T) {
	s := newTestServer(t)
	alice := s.token("alice", s.load(staticPolicy)["acme:user:alice"])
	s.set("data/a", "one\"<\x01")
	s.set("data/b", "two")
	s.set("data/binary", "\xff\x00")
	read := func(body string) *call { return s.v2("POST", "/secrets/acme/values", alice).data(body) }
	read(`{"ids":["data/a","","data/b","data/empty","none","data/binary","data/a"]}`).
		is(200, `{"secrets":[{"id":"data/a","value":"one\"\u003c\u0001","status":200},{"id":"data/b","status":403},{"id":"data/empty","status":404},`+
			`{"id":"none","status":404},{"id":"data/binary","status":406},{"id":"data/a","value":"one\"\u003c\u0001","status":200}]}`).confided().has("Content-Type", v2Type)
	many := strings.TrimSuffix(strings.Repeat(`"x",`, 251), ",")
	for body, want := range map[string]string{
		`{"ids":[]}`:             "Ids must have 1 to 250 elements, but there are 0",
		`{"ids":[""]}`:           "Ids must have 1 to 250 elements, but there are 0",
		`{"ids":[` + many + `]}`: "Ids must have 1 to 250 elements, but there are 251",
		`{"ids":"data/a"}`:       "CONJ00192W The 'ids' parameter must be of 'type=array'",
		`{"ids":[1]}`:            "CONJ00192W The 'ids' parameter must be of 'type=array of strings'",
		`{"id":["data/a"]}`:      "CONJ00190W Missing required parameter: ids",
	} {
		read(body).is(422, v2Error(422, want))
	}
	s.v2("POST", "/secrets/values", alice).data(`{"ids":["data/a"]}`).
		is(200, `{"secrets":[{"id":"data/a","value":"one\"\u003c\u0001","status":200}]}`).confided().has("Content-Type", v2Type)
	s.call("POST", "/secrets/acme/values").as(alice).data(`{"ids":["data/a"]}`).send().status(400)
	s.call("POST", "/secrets/acme/values").data(`{"ids":["data/a"]}`).send().status(401)
}

func TestAStaticSecretIsMadeWithItsValueAndItsReaders(t *testing.T) {
	s := newTestServer(t)
	alice := s.token("alice", s.load(staticPolicy)["acme:user:alice"])
	stable := func(method, target, as string) *call {
		return s.call(method, target).as(as).with("Accept", v2StableType)
	}
	const asked = `{"branch":"/data","name":"new","mime_type":"text/plain","value":"v1","annotations":{"team":"a"},` +
		`"permissions":[{"subject":{"kind":"group","id":"readers"},"privileges":["read","execute"]},{"subject":{"kind":"user","id":"alice"},"privileges":["read"]}]}`
	const shown = `{"branch":"data","name":"new","mime_type":"text/plain","annotations":{"team":"a"},"permissions":{"href":"%s"}}`
	stable("POST", "/secrets/static", alice).data(asked).is(404, v2Error(404, "Branch 'data' not found in account 'acme'")).has("Content-Type", v2StableType)
	stable("POST", "/secrets/static", s.admin).data(asked).is(201, fmt.Sprintf(shown, "/secrets/static/data/new/permissions")).has("Content-Type", v2StableType)
	for _, path := range []string{"/secrets/acme/static", "/secrets/static"} {
		stable("POST", path, s.admin).data(asked).is(409, v2Error(409, `Secret \"acme:variable:data/new\" already exists`))
	}
	s.call("GET", "/secrets/acme/variable/data%2Fnew").as(s.admin).is(200, "v1").has("Content-Type", "text/plain")
	s.call("GET", "/resources/acme/variable/data%2Fnew").as(s.admin).send().mentions(`"owner":"acme:policy:data","policy":"acme:policy:data"`)
	stable("GET", "/secrets/static/data/new", alice).is(200, fmt.Sprintf(shown, "/secrets/static/data/new/permissions"))
	s.v2("GET", "/secrets/acme/static/data/new", s.admin).is(200, fmt.Sprintf(shown, "/secrets/acme/static/data/new/permissions"))
	const permissions = `{"permissions":[{"subject":{"kind":"group","id":"readers"},"privileges":["execute","read"]},{"subject":{"kind":"user","id":"alice"},"privileges":["read"]}],"count":2}`
	stable("GET", "/secrets/static/data/new/permissions", alice).is(200, permissions)
	stable("GET", "/secrets/acme/static/data%2Fnew/permissions", alice).is(200, permissions)
	stable("GET", "/secrets/static/none", alice).is(404, v2Error(404, "Variable 'none' not found in account 'acme'"))
	stable("GET", "/secrets/static/none/permissions", alice).is(404, v2Error(404, "Variable 'none' not found in account 'acme'"))
	s.v2("GET", "/secrets/acme/static/none", alice).is(404, v2Error(404, "Variable 'none' not found in account 'acme'"))
	s.v2("GET", "/secrets/acme/static/none/permissions", alice).is(404, v2Error(404, "Variable 'none' not found in account 'acme'"))
	s.call("GET", "/secrets/static/data/new").as(alice).send().status(400)

	stable("POST", "/secrets/static", s.admin).data(`{"branch":"data","name":"bare"}`).send().status(201)
	s.v2("POST", "/secrets/acme/static", s.admin).data(`{"branch":"data","name":"named"}`).
		is(201, `{"branch":"data","name":"named","annotations":{},"permissions":{"href":"/secrets/acme/static/data/named/permissions"}}`)
	s.v2("POST", "/secrets/acme/static", s.admin).data(`{"branch":"none","name":"x"}`).is(404, v2Error(404, "Branch 'none' not found in account 'acme'"))
	s.call("GET", "/secrets/acme/variable/data%2Fbare").as(s.admin).send().status(404)
	for body, want := range map[string]string{
		`{"branch":"data"}`:                                    "CONJ00190W Missing required parameter: name",
		`{"branch":"data","name":"x.y"}`:                       "Name Wrong name 'x.y'",
		`{"branch":"data","name":"x","mime_type":"nonsense/"}`: "Mime type 'nonsense/' is not a media type",
		`{"branch":"data","name":"x","more":1}`:                "Unexpected parameters: more",
		`{"branch":"data","name":"x","value":1}`:               "CONJ00192W The 'value' parameter must be of 'type=string'",
		`{"branch":"data","name":"x","permissions":[1]}`:       "CONJ00192W The 'permissions' parameter must be of 'type=array of objects'",
		`{"branch":"data","name":"x","permissions":[{"subject":{"kind":"user","id":"alice"},"privileges":["fly"]}]}`: "Privilege 'fly' is not a valid privilege",
		`{"branch":"data","name":"x","permissions":[{"subject":{"kind":"user","id":"alice"}}]}`:                      "Privileges can't be blank",
	} {
		stable("POST", "/secrets/static", s.admin).data(body).is(422, v2Error(422, want))
	}
	stable("POST", "/secrets/static", s.admin).data(`{"branch":"data","name":"x","permissions":[{"subject":{"kind":"user","id":"none"},"privileges":["read"]}]}`).
		is(404, v2Error(404, "User 'none' not found in account 'acme'"))
	s.call("GET", "/resources/acme/variable/data%2Fx").as(s.admin).send().status(404)
}
