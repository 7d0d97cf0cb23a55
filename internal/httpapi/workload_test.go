package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const workloadPolicy = `
- !policy
  id: data
  body:
    - !policy apps
- !user alice
- !user bob
- !group owners
- !permit {role: !user alice, privileges: [read, create, update], resource: !policy data/apps}
- !permit {role: !user bob, privileges: [read], resource: !policy data/apps}
`

// stable asks for the second version as the newest clients do.
func (s *testServer) stable(method, target, as string) *call {
	return s.call(method, target).as(as).with("Accept", v2StableType)
}

// made is the answer to a workload that was made, and its API key if it has one.
func made(t *testing.T, body string) (workload map[string]any, key string) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &workload); err != nil {
		t.Fatal(err)
	}
	key, _ = workload["api_key"].(string)
	delete(workload, "api_key")
	delete(workload, "created_at")
	return workload, key
}

func (s *testServer) workload(r *reply, want string) (key string) {
	s.T.Helper()
	got, key := made(s.T, r.body)
	wanted, _ := made(s.T, want)
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		s.T.Errorf("got  %v\nwant %v", got, wanted)
	}
	return key
}

func TestAWorkloadIsAHostWithItsRestrictionsAndItsKey(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(workloadPolicy)
	alice, bob := s.token("alice", keys["acme:user:alice"]), s.token("bob", keys["acme:user:bob"])
	const asked = `{"name":"web","branch":"/data/apps","type":"Jenkins","annotations":{"team":"a"},"restricted_to":["127.0.0.1","10.0.0.0/8"],` +
		`"authn_descriptors":[{"type":"authn_api_key"},{"type":"authn-jwt","service_id":"ci","data":{"job_name":"build","n":5,"ok":true}},{"type":"aws","service_id":"prod"},` +
		`{"type":"authn-cert","service_id":"pki","data":{"claims":{"san_dns":["a.example","b.example"],"cn":"web"}}},{"type":"gcp","data":{"project_id":"p1"}}]}`
	const shown = `{"name":"web","branch":"data/apps","type":"Jenkins","owner":{"kind":"policy","id":"data/apps"},"annotations":{"team":"a"},"restricted_to":["127.0.0.1/32","10.0.0.0/8"],` +
		`"authn_descriptors":[{"type":"api_key"},{"type":"aws","service_id":"prod"},{"type":"certificate","service_id":"pki","data":{"cn":"web","san_dns":["a.example","b.example"]}},` +
		`{"type":"gcp","data":{"project_id":"p1"}},{"type":"jwt","service_id":"ci","data":{"job_name":"build","n":"5","ok":"true"}}]}`
	s.stable("POST", "/workloads", bob).data(asked).is(404, v2Error(404, "Branch 'data/apps' not found in account 'acme'"))
	key := s.workload(s.stable("POST", "/workloads", alice).data(asked).send().status(201).confided().has("Content-Type", v2StableType), shown)
	for path, accept := range map[string]string{"/workloads": v2StableType, "/workloads/acme": v2Type} {
		s.call("POST", path).as(alice).with("Accept", accept).data(asked).is(409, v2Error(409, `Workload \"acme:workload:data/apps/web\" already exists`))
	}

	// The host has the annotations that its authenticators look for, and its key works.
	host := s.call("GET", "/resources/acme/host/data%2Fapps%2Fweb").as(s.admin).send()
	for _, part := range []string{`"owner":"acme:policy:data/apps","policy":"acme:policy:data/apps"`, `"name":"authn-jwt/ci/job_name","value":"build"`,
		`"name":"authn-gcp/project-id","value":"p1"`, `"name":"authn-cert/pki/san-dns","value":"a.example,b.example"`,
		`"name":"authn/api-key","value":"true"`, `"restricted_to":["127.0.0.1/32","10.0.0.0/8"]`} {
		host.mentions(part)
	}
	s.call("POST", "/authn/acme/host%2Fdata%2Fapps%2Fweb/authenticate").data(key).send().status(200)

	if again := s.workload(s.stable("GET", "/workloads/data%2Fapps%2Fweb", s.admin).send().status(200), shown); again != "" {
		t.Error("the key is shown again")
	}
	s.stable("GET", "/workloads/data/apps/none", s.admin).is(404, v2Error(404, "Workload 'data/apps/none' not found in account 'acme'"))
	s.stable("GET", "/workloads/data%2Fapps%2Fweb", bob).is(404, v2Error(404, "Workload 'data/apps/web' not found in account 'acme'"))
	s.call("GET", "/workloads/data%2Fapps%2Fweb").as(s.admin).send().status(400)
	s.stable("GET", "/workloads/data%2Fapps%2Fweb?x=1", s.admin).is(422, v2Error(422, "Unexpected parameters: x"))

	// One without a key has none, whatever the default.
	bare := s.workload(s.v2("POST", "/workloads/acme", s.admin).data(`{"name":"bare","branch":"/","owner":{"kind":"group","id":"owners"},"authn_descriptors":[{"type":"jwt","service_id":"ci"}]}`).send().status(201),
		`{"name":"bare","branch":"/","type":"other","owner":{"kind":"group","id":"owners"},"annotations":{},"authn_descriptors":[{"type":"jwt","service_id":"ci"}],"restricted_to":[]}`)
	if bare != "" {
		t.Error("a workload that logs in elsewhere got an API key")
	}
}

func TestAWorkloadChanges(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(workloadPolicy)
	alice, bob := s.token("alice", keys["acme:user:alice"]), s.token("bob", keys["acme:user:bob"])
	s.stable("POST", "/workloads", s.admin).data(`{"name":"w","branch":"data/apps","annotations":{"team":"a"},"authn_descriptors":[{"type":"jwt","service_id":"ci","data":{"branch":"main"}},{"type":"jwt","service_id":"other"}]}`).send().status(201)
	const target = "/workloads/data%2Fapps%2Fw"
	shown := func(annotations, descriptors, networks, source string) string {
		return `{"name":"w","branch":"data/apps","type":"other","owner":{"kind":"policy","id":"data/apps"},"annotations":{` + annotations + `},"authn_descriptors":[` + descriptors + `],"restricted_to":[` + networks + `]` + source + `}`
	}
	const jwt, other = `{"type":"jwt","service_id":"ci","data":{"branch":"main"}}`, `{"type":"jwt","service_id":"other"}`
	change := func(body string) *call { return s.stable("PATCH", target, s.admin).data(body) }
	s.workload(change(`{"annotations":{"zone":"b"},"restricted_to":["10.0.0.1"],"authentication_source":"pipeline"}`).send().status(200),
		shown(`"team":"a","zone":"b"`, jwt+","+other, `"10.0.0.1/32"`, `,"authentication_source":"pipeline"`))
	s.workload(change(`{"restricted_to":["127.0.0.0/8"]}`).send().status(200), shown(`"team":"a","zone":"b"`, jwt+","+other, `"127.0.0.0/8"`, `,"authentication_source":"pipeline"`))
	s.workload(change(`{"restricted_to":[]}`).send().status(200), shown(`"team":"a","zone":"b"`, jwt+","+other, ``, `,"authentication_source":"pipeline"`))

	// Data of one descriptor is merged; descriptors are replaced.
	s.stable("PATCH", target+"/authn_descriptors/jwt/ci", s.admin).data(`{"branch":"next","job":"build"}`).
		is(200, `{"authn_descriptor":{"type":"jwt","service_id":"ci","data":{"branch":"next","job":"build"}}}`)
	s.stable("PATCH", target+"/authn_descriptors/authn-jwt/other", s.admin).data(`{"a":"b"}`).is(200, `{"authn_descriptor":{"type":"jwt","service_id":"other","data":{"a":"b"}}}`)
	s.stable("PATCH", target+"/authn_descriptors/jwt/none", s.admin).data(`{"a":"b"}`).is(404, v2Error(404, "Authn descriptor 'jwt/none' not found in workload 'data/apps/w'"))
	s.stable("PATCH", target+"/authn_descriptors/jwt/ci", s.admin).data(`{}`).is(400, v2Error(400, "Empty request body"))
	s.stable("PATCH", target+"/authn_descriptors/jwt/ci", s.admin).data(`{"a":{}}`).is(422, v2Error(422, "CONJ00192W The 'a' parameter must be of 'type=string or array of strings'"))
	s.stable("PATCH", target+"/authn_descriptors/jwt/ci", bob).data(`{"a":"b"}`).is(404, v2Error(404, "Workload 'data/apps/w' not found in account 'acme'"))
	const source = `,"authentication_source":"pipeline"`
	key := s.workload(change(`{"authn_descriptors":[{"type":"api_key"}]}`).send().status(200).confided(), shown(`"team":"a","zone":"b"`, `{"type":"api_key"}`, ``, source))
	authenticate := func(status int) {
		t.Helper()
		s.call("POST", "/authn/acme/host%2Fdata%2Fapps%2Fw/authenticate").data(key).send().status(status)
	}
	authenticate(200)
	if again := s.workload(change(`{"annotations":{"zone":"c"}}`).send().status(200), shown(`"team":"a","zone":"c"`, `{"type":"api_key"}`, ``, source)); again != "" {
		t.Error("another key was made")
	}
	authenticate(200)
	s.workload(change(`{"authn_descriptors":[`+jwt+`]}`).send().status(200), shown(`"team":"a","zone":"c"`, jwt, ``, source))
	authenticate(401)

	change(`{}`).is(400, v2Error(400, "Empty request body"))
	for body, want := range map[string]string{
		`{"restricted_to":null}`:                  "CONJ00192W The 'restricted_to' parameter must be of 'type=array of strings'",
		`{"restricted_to":["10.0.0.1/8"]}`:        "Invalid IP address or CIDR range '10.0.0.1/8': Value has bits set to right of mask. Did you mean '10.0.0.0/8'?",
		`{"name":"x"}`:                            "Unexpected parameters: name",
		`{"authn_descriptors":[]}`:                "Authn descriptors can't be blank",
		`{"annotations":{"authn/api-key":"x"}}`:   "Annotation 'authn/api-key' is set by the type, the authn_descriptors and the like of the workload",
		`{"annotations":{"workload/type":"x"}}`:   "Annotation 'workload/type' is set by the type, the authn_descriptors and the like of the workload",
		`{"authentication_source":"<"}`:           "Authentication source annotation value format error",
		`{"authentication_source":1}`:             "CONJ00192W The 'authentication_source' parameter must be of 'type=string'",
		`{"authn_descriptors":[{"type":"oidc"}]}`: "'oidc' is not a valid authn descriptor type",
	} {
		change(body).is(422, v2Error(422, want))
	}
	s.stable("PATCH", target, bob).data(`{"annotations":{"a":"b"}}`).is(404, v2Error(404, "Workload 'data/apps/w' not found in account 'acme'"))
	s.stable("PATCH", "/workloads/data%2Fapps%2Fnone", s.admin).data(`{"annotations":{"a":"b"}}`).is(404, v2Error(404, "Workload 'data/apps/none' not found in account 'acme'"))
	_ = alice // who may change the branch, and does not see what is in it
	s.stable("PATCH", target, alice).data(`{"annotations":{"a":"b"}}`).is(404, v2Error(404, "Workload 'data/apps/w' not found in account 'acme'"))
}

func TestAWorkloadIsDeleted(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(workloadPolicy)
	bob := s.token("bob", keys["acme:user:bob"])
	for i, path := range []string{"/hosts/", "/workloads/"} {
		name := fmt.Sprint("w", i)
		s.stable("POST", "/workloads", s.admin).data(`{"name":"` + name + `","branch":"data/apps","authn_descriptors":[{"type":"api_key"}]}`).send().status(201)
		s.stable("DELETE", path+"data%2Fapps%2F"+name, bob).is(404, v2Error(404, "Workload 'data/apps/"+name+"' not found in account 'acme'"))
		s.stable("DELETE", path+"data%2Fapps%2F"+name+"?x=1", s.admin).is(422, v2Error(422, "Unexpected parameters: x"))
		s.call("DELETE", path+"data%2Fapps%2F"+name).as(s.admin).send().status(400)
		s.call("DELETE", path+"data%2Fapps%2F"+name).send().status(401)
		s.stable("DELETE", path+"data%2Fapps%2F"+name, s.admin).is(204, "")
		s.stable("DELETE", path+"data%2Fapps%2F"+name, s.admin).is(404, v2Error(404, "Workload 'data/apps/"+name+"' not found in account 'acme'"))
	}
	s.stable("DELETE", "/workloads/none/w", s.admin).is(404, v2Error(404, "Workload 'none/w' not found in account 'acme'"))
}

func TestAWorkloadThatMakesNoSenseIsRefused(t *testing.T) {
	s := newTestServer(t)
	s.load(workloadPolicy)
	make := func(body string) *call { return s.stable("POST", "/workloads", s.admin).data(body) }
	with := func(descriptors string) string {
		return `{"name":"x","branch":"data","authn_descriptors":[` + descriptors + `]}`
	}
	for body, want := range map[string]string{
		`{"name":"x","branch":"data"}`: "CONJ00190W Missing required parameter: authn_descriptors",
		`{"a":"b"}`:                    "CONJ00190W Missing required parameter: name, branch, authn_descriptors",
		with(``):                       "Authn descriptors can't be blank",
		with(`1`):                      "CONJ00192W The 'authn_descriptors' parameter must be of 'type=array of objects'",
		with(`{}`):                     "Authn descriptor type can't be blank",
		with(`{"type":"magic"}`):       "'magic' is not a valid authn descriptor type",
		with(`{"type":"api_key","service_id":"x"}`):                                                           "Authn descriptor service_id cannot be specified for api_key",
		with(`{"type":"api_key","data":{"a":"b"}}`):                                                           "Authn descriptor data cannot be specified for api_key",
		with(`{"type":"jwt"}`):                                                                                "Authn descriptor service_id Wrong service ''",
		with(`{"type":"jwt","service_id":"a/b"}`):                                                             "Authn descriptor service_id Wrong service 'a/b'",
		with(`{"type":"jwt","service_id":"a","claims":{}}`):                                                   "Unexpected parameters: claims",
		with(`{"type":"jwt","service_id":"a","data":{"x y":"z"}}`):                                            "Authn descriptor data Wrong name 'x y'",
		with(`{"type":"jwt","service_id":"a","data":{"x":""}}`):                                               "Authn descriptor data annotation value length cannot exceeded 1",
		with(`{"type":"jwt","service_id":"a","data":{"x":["a,b"]}}`):                                          "The elements of 'x' must not be empty or have commas",
		with(`{"type":"api_key"},{"type":"authn_api_key"}`):                                                   "Authn descriptor api_key is given twice",
		`{"name":"x.y","branch":"a b","authn_descriptors":[{"type":"api_key"}]}`:                              "Name Wrong name 'x.y' and Branch Wrong path 'a b'",
		`{"name":"x","branch":"data","owner":{"kind":"layer","id":"l"},"authn_descriptors":[{"type":"gcp"}]}`: "Kind 'layer' is not a valid owner kind",
		`{"name":"x","branch":"data","restricted_to":["1.2.3.999"],"authn_descriptors":[{"type":"gcp"}]}`:     "Invalid IP address or CIDR range '1.2.3.999'",
		`{"name":"x","branch":"data","restricted_to":[1],"authn_descriptors":[{"type":"gcp"}]}`:               "CONJ00192W The 'restricted_to' parameter must be of 'type=array of strings'",
	} {
		make(body).is(422, v2Error(422, want))
	}
	make(`{"name":"x","branch":"none","authn_descriptors":[{"type":"gcp"}]}`).is(404, v2Error(404, "Branch 'none' not found in account 'acme'"))
	s.stable("POST", "/workloads/other", s.admin).data(with(`{"type":"gcp"}`)).is(404, v2Error(404, "Branch 'data' not found in account 'other'"))
	make(`{"name":"x","branch":"data","owner":{"kind":"group","id":"none"},"authn_descriptors":[{"type":"gcp"}]}`).is(404, v2Error(404, "Group 'none' not found in account 'acme'"))
	make(`[`).send().status(400)
	make(strings.Repeat(" ", jsonBody+1)).send().status(413)
	s.call("POST", "/workloads").as(s.admin).data(with(`{"type":"gcp"}`)).send().status(400)
	s.call("POST", "/workloads").data(with(`{"type":"gcp"}`)).send().status(401)
	s.call("GET", "/resources/acme/host").as(s.admin).is(200, "[]")
}
