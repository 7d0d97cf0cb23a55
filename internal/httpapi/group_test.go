package httpapi

import (
	"strings"
	"testing"
)

const groupPolicy = `
- !policy
  id: data
  body:
    - !group g
    - !group inner
    - !host h
- !group top
- !user alice
- !user bob
- !user eve
- !host hidden
- !grant {role: !group data/g, members: [!user bob]}
- !permit {role: !user alice, privileges: [create, update], resource: !policy data}
- !permit {role: !user alice, privileges: [read], resource: !group data/g}
- !permit {role: !user alice, privileges: [read], resource: !group data/inner}
- !permit {role: !user alice, privileges: [read], resource: !host data/h}
- !permit {role: !user alice, privileges: [read], resource: !user bob}
- !permit {role: !user eve, privileges: [create], resource: !policy data}
- !permit {role: !user eve, privileges: [update], resource: !user eve}
`

func TestMembersJoinAndLeaveAGroup(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(groupPolicy)
	alice, eve := s.token("alice", keys["acme:user:alice"]), s.token("eve", keys["acme:user:eve"])
	const members = "/groups/acme/data/g/members"
	post := func(body string) *call { return s.v2("POST", members, alice).data(body) }

	post(`{"kind":"host","id":"/data/h"}`).is(201, `{"kind":"host","id":"data/h"}`).has("Content-Type", v2Type)
	s.call("GET", "/roles/acme/group/data%2Fg?members&kind=host").as(s.admin).
		is(200, `[{"admin_option":false,"ownership":false,"role":"acme:group:data/g","member":"acme:host:data/h","policy":"acme:policy:root"}]`)
	post(`{"kind":"host","id":"data/h"}`).is(409, v2Error(409, "CONJ00180W '/data/h' (kind='host') is already a member of 'acme:group:data/g'"))
	s.v2("POST", "/groups/acme/data%2Fg/members", alice).data(`{"kind":"group","id":"data/inner"}`).send().status(201)
	s.v2("DELETE", members+"/host/data/h", alice).is(204, "")
	s.v2("DELETE", members+"/group/data%2Finner", alice).is(204, "")
	s.v2("DELETE", members+"/host/data/h", alice).is(404, v2Error(404, "CONJ00181W 'data/h' (kind='host') isn't a member of '/data/g'"))
	// What a policy has granted can be taken back here, too.
	s.v2("DELETE", members+"/user/bob", alice).is(204, "")
	s.v2("POST", "/groups/acme/top/members", s.admin).data(`{"kind":"user","id":"bob"}`).send().status(201)

	for body, want := range map[string]string{
		`{"kind":"host"}`:                                         "CONJ00190W Missing required parameter: id",
		`{"kind":"","id":""}`:                                     "CONJ00190W Missing required parameter: kind, id",
		`{"kind":"layer","id":"x"}`:                               "Kind 'layer' is not a valid member kind",
		`{"kind":"host","id":"a b"}`:                              "Id Wrong path 'a b'",
		`{"kind":"host","id":"a@b"}`:                              "Id Wrong path 'a@b'",
		`{"kind":"host","id":"` + strings.Repeat("x", 501) + `"}`: "Id is too long (maximum is 500 characters)",
		`{"kind":"host","id":"x","more":1}`:                       "Unexpected parameters: more",
		`{"kind":"host","id":"none"}`:                             "Host 'none' not found in account 'acme'",
		`{"kind":"host","id":"hidden"}`:                           "Host 'hidden' not found in account 'acme'",
		`{"kind":"group","id":"data/g"}`:                          "CONJ00191W The value in the Member ID parameter is not valid. Error: The 'data/g' group cannot be a member of itself",
		`{"kind":"group","id":"/data/g"}`:                         "CONJ00191W The value in the Member ID parameter is not valid. Error: The 'data/g' group cannot be a member of itself",
	} {
		post(body).is(422, v2Error(422, want))
	}
	s.v2("POST", "/groups/acme/top/members", alice).data(`{"kind":"host","id":"data/h"}`).is(404, v2Error(404, "Branch 'root' not found in account 'acme'"))
	s.v2("POST", "/groups/acme/data/none/members", alice).data(`{"kind":"host","id":"data/h"}`).is(404, v2Error(404, "Group 'data/none' not found in account 'acme'"))
	s.v2("POST", members, eve).data(`{"kind":"user","id":"eve"}`).is(404, v2Error(404, "Group 'data/g' not found in account 'acme'"))
	s.v2("DELETE", members+"/user/bob", eve).is(404, v2Error(404, "Branch 'data' not found in account 'acme'"))
	s.v2("DELETE", members+"/policy/data", alice).is(422, v2Error(422, "Kind 'policy' is not a valid member kind"))
}

func TestOwnershipOfAGroupIsNoMembershipToRemove(t *testing.T) {
	s := newTestServer(t)
	s.load("- !user alice\n- !group {id: g, owner: !user alice}")
	s.v2("DELETE", "/groups/acme/g/members/user/alice", s.admin).send().status(404)
	s.v2("POST", "/groups/acme/g/members", s.admin).data(`{"kind":"user","id":"alice"}`).send().status(201)
	s.v2("DELETE", "/groups/acme/g/members/user/alice", s.admin).is(204, "")
	s.call("GET", "/roles/acme/group/g").as(s.admin).send().status(200).mentions(`"ownership":true,"role":"acme:group:g","member":"acme:user:alice"`)
}
