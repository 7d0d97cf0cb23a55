package httpapi

import (
	"fmt"
	"math/rand"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// v2 is a request of the protocol's second version.
func (s *testServer) v2(method, target, as string) *call {
	return s.call(method, target).as(as).with("Accept", v2Type)
}

func v2Error(status int, message string) string {
	return fmt.Sprintf(`{"code":"%d","message":"%s"}`, status, message)
}

const branchPolicy = `
- !policy
  id: data
  owner: !group owners
  body:
    - !policy safe
    - !variable v
- !group owners
- !user alice
- !user bob
- !policy a.b
- !policy gap/child
- !permit {role: !user alice, privileges: [read, create], resource: !policy data}
- !permit {role: !user bob, privileges: [read, update], resource: !policy data/safe}
- !permit {role: !user bob, privileges: [create], resource: !policy data}
`

func newBranches(t *testing.T) (s *testServer, alice, bob string) {
	s = newTestServer(t)
	keys := s.load(branchPolicy)
	return s, s.token("alice", keys["acme:user:alice"]), s.token("bob", keys["acme:user:bob"])
}

func TestTheSecondVersionMustBeAskedFor(t *testing.T) {
	s := newTestServer(t)
	missing := `{"code":"400","message":"CONJ00194W The api belongs to v2 APIs but it missing the version \"application/x.secretsmgr.v2beta+json\" in the Accept header"}`
	for _, accept := range []string{"", "application/json", "application/x.secretsmgr.v2+json"} {
		c := s.call("GET", "/branches/acme").as(s.admin)
		if accept != "" {
			c.with("Accept", accept)
		}
		c.send().status(400).is(400, missing)
	}
	s.call("GET", "/branches/acme").with("Accept", v2Type).is(401, "")
	s.v2("GET", "/branches/acme", s.admin).is(200, `{"branches":[],"count":0}`).has("Content-Type", v2Type)
	longer := "application/json;q=0.5, " + v2Type
	s.call("GET", "/branches/acme").as(s.admin).with("Accept", longer).send().status(200).has("Content-Type", longer)
	s.v2("GET", "/branches/acme/x", s.admin).is(404, v2Error(404, "Branch 'x' not found in account 'acme'")).has("Content-Type", v2Type)
	s.call("GET", "/branches/acme/x").as(s.admin).with("Accept", longer).is(404, notFound("branch", "x"))
	s.v2("GET", "/branches/acme?color=red", s.admin).is(422, v2Error(422, "Unexpected parameters: color"))
}

func TestBodiesOfTheSecondVersion(t *testing.T) {
	s := newTestServer(t)
	for body, want := range map[string]string{
		"":                                       v2Error(400, "Invalid JSON body: unexpected token at ''"),
		" ":                                      v2Error(400, "Invalid JSON body: unexpected token at ''"),
		"{}":                                     v2Error(400, "Empty request body"),
		"[]":                                     v2Error(400, "Empty request body"),
		"[1]":                                    v2Error(400, "Invalid JSON body: it must be an object"),
		"7":                                      v2Error(400, "Invalid JSON body: it must be an object"),
		"null":                                   v2Error(400, "Invalid JSON body: it must be an object"),
		`{"a":1} 2`:                              v2Error(400, "Invalid JSON body: there is something after its end"),
		"{\"a\xff\":1}":                          v2Error(400, "Invalid JSON body: it is not UTF-8"),
		`{"a":1}`:                                v2Error(422, "CONJ00190W Missing required parameter: name, branch"),
		`{"name":"x","branch":" "}`:              v2Error(422, "CONJ00190W Missing required parameter: branch"),
		`{"name":"x","branch":"/","b":1,"a":2}`:  v2Error(422, "Unexpected parameters: a, b"),
		`{"name":1,"branch":"/"}`:                v2Error(422, "CONJ00192W The 'name' parameter must be of 'type=string'"),
		`{"name":"x","branch":"/","owner":"me"}`: v2Error(422, "CONJ00192W The 'owner' parameter must be of 'type=object'"),
		`{"name":"x","branch":"/","annotations":[]}`:  v2Error(422, "CONJ00192W The 'annotations' parameter must be of 'type=object'"),
		`{"name":"x","branch":"/","owner":{"x":"y"}}`: v2Error(422, "Unexpected parameters: x"),
	} {
		c := s.v2("POST", "/branches/acme", s.admin).with("Content-Type", "text/plain").data(body)
		r := c.send()
		if fmt.Sprintf(`{"code":"%d"`, r.StatusCode) != want[:13] || r.body != want {
			t.Errorf("%q: %d %s, want %s", body, r.StatusCode, r.body, want)
		}
	}
	s.v2("POST", "/branches/acme", s.admin).data("{").send().status(400).mentions("Invalid JSON body: ")
}

func TestABranchIsMadeReadChangedAndRemoved(t *testing.T) {
	s, _, _ := newBranches(t)
	made := `{"name":"b","branch":"data/safe","owner":{"kind":"policy","id":"data/safe"},"annotations":{"a":"1","k":"v"}}`
	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"b","branch":"/data/safe","annotations":{"k":"v","a":"1"}}`).
		is(201, made).has("Content-Type", v2Type)
	s.v2("GET", "/branches/acme/data/safe/b", s.admin).is(200, made)
	s.v2("GET", "/branches/acme/%2Fdata%2Fsafe%2Fb", s.admin).is(200, made)
	s.v2("PATCH", "/branches/acme/data/safe/b", s.admin).data(`{"owner":{"kind":"group","id":"/owners"},"annotations":{"k":"w","z":"y"}}`).
		is(200, `{"name":"b","branch":"data/safe","owner":{"kind":"group","id":"owners"},"annotations":{"a":"1","k":"w","z":"y"}}`)
	s.call("GET", "/roles/acme/policy/data%2Fsafe%2Fb").as(s.admin).send().status(200).
		mentions(`"members":[{"admin_option":true,"ownership":true,"role":"acme:policy:data/safe/b","member":"acme:group:owners"`).
		mentions(`"policy":"acme:policy:data/safe"`)
	s.v2("DELETE", "/branches/acme/data/safe/b", s.admin).is(204, "")
	s.v2("GET", "/branches/acme/data/safe/b", s.admin).is(404, v2Error(404, "Branch 'data/safe/b' not found in account 'acme'"))

	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"top","branch":"root","owner":{"kind":"user","id":"alice"}}`).
		is(201, `{"name":"top","branch":"/","owner":{"kind":"user","id":"alice"},"annotations":{}}`)
	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"tip","branch":"/"}`).
		is(201, `{"name":"tip","branch":"/","owner":{"kind":"user","id":"admin"},"annotations":{}}`)
	for _, root := range []string{"root", "%2F", "%2Froot"} {
		s.v2("GET", "/branches/acme/"+root, s.admin).is(200, `{"name":"root","branch":"/","owner":{"kind":"user","id":"admin"},"annotations":{}}`)
	}
}

func TestABranchBelongsToThePolicyThatItWasMadeIn(t *testing.T) {
	s, _, _ := newBranches(t)
	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"b","branch":"data/safe"}`).send().status(201)
	s.call("PUT", "/policies/acme/policy/data%2Fsafe").as(s.admin).data("- !variable x").send().status(201)
	s.v2("GET", "/branches/acme/data/safe/b", s.admin).send().status(404)
}

func TestWhoMayDoWhatWithABranch(t *testing.T) {
	s, alice, bob := newBranches(t)
	missing := func(path string) string { return v2Error(404, "Branch '"+path+"' not found in account 'acme'") }
	s.v2("POST", "/branches/acme", alice).data(`{"name":"b","branch":"data"}`).send().status(201)
	s.v2("POST", "/branches/acme", alice).data(`{"name":"b","branch":"data/safe"}`).is(404, missing("data/safe"))
	s.v2("POST", "/branches/acme", alice).data(`{"name":"b","branch":"/"}`).is(404, missing("root"))
	s.v2("POST", "/branches/acme", alice).data(`{"name":"safe","branch":"data"}`).
		is(409, v2Error(409, `Branch \"acme:branch:data/safe\" already exists`))
	s.v2("GET", "/branches/acme/data", alice).send().status(200)
	s.v2("GET", "/branches/acme/data", bob).is(404, missing("data")) // seen, not readable
	s.v2("PATCH", "/branches/acme/data", alice).data(`{"annotations":{"a":"b"}}`).is(404, missing("data"))
	s.v2("PATCH", "/branches/acme/data/safe", bob).data(`{"annotations":{"a":"b"}}`).send().status(200)
	s.v2("PATCH", "/branches/acme/data/safe", bob).data(`{"owner":{"kind":"group","id":"none"}}`).
		is(404, v2Error(404, "Group 'none' not found in account 'acme'"))
	s.v2("PATCH", "/branches/acme/data/safe", bob).data(`{"name":"n"}`).is(422, v2Error(422, "Unexpected parameters: name"))
	s.v2("DELETE", "/branches/acme/data", alice).is(404, v2Error(404, "Policy 'data/safe' not found in account 'acme'"))
	s.v2("DELETE", "/branches/acme/gap", bob).is(404, missing("gap"))
	s.load("- !policy {id: data/safe/in, owner: !user admin}")
	s.v2("DELETE", "/branches/acme/data/safe", bob).is(404, v2Error(404, "Policy 'data/safe/in' not found in account 'acme'"))
	s.v2("GET", "/branches/acme/data/safe", s.admin).send().status(200)
	s.v2("DELETE", "/branches/acme/root", s.admin).send().status(422)
	s.v2("GET", "/branches/acme/root", s.admin).send().status(200)
	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"b","branch":"data","owner":{"kind":"host","id":"none"}}`).send().status(409)
	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"c","branch":"data","owner":{"kind":"host","id":"none"}}`).
		is(404, v2Error(404, "Host 'none' not found in account 'acme'"))
	s.v2("POST", "/branches/acme", s.admin).data(`{"name":"c","branch":"gap/child"}`).is(404, missing("gap"))
}

func TestABranchWhoseRemovalWouldTakeTheRootAlongStays(t *testing.T) {
	s, _, _ := newBranches(t)
	s.v2("PATCH", "/branches/acme/root", s.admin).data(`{"owner":{"kind":"policy","id":"data"}}`).send().status(200)
	s.v2("DELETE", "/branches/acme/data", s.admin).send().status(422)
	s.v2("GET", "/branches/acme/data", s.admin).send().status(200)
}

func TestValidationOfBranches(t *testing.T) {
	s := newTestServer(t)
	long := strings.Repeat("x", 61)
	deep := strings.TrimSuffix(strings.Repeat("a/", 15), "/")
	for body, want := range map[string]string{
		`{"name":"a b","branch":"/"}`:                                                      "Name Wrong name 'a b'",
		`{"name":"` + long + `","branch":"/"}`:                                             "Name is too long (maximum is 60 characters)",
		`{"name":"a","branch":"x y"}`:                                                      "Branch Wrong path 'x y'",
		`{"name":"a.b","branch":"x y"}`:                                                    "Name Wrong name 'a.b' and Branch Wrong path 'x y'",
		`{"name":"a","branch":"` + deep + `"}`:                                             "The number of identifier nesting exceeds maximum depth of 15",
		`{"name":"a","branch":"` + strings.Repeat("b", 949) + `"}`:                         "Identifier exceeds maximum length of 950 characters",
		`{"name":"a","branch":"/","owner":{"kind":"layer","id":"x"}}`:                      "Kind 'layer' is not a valid owner kind",
		`{"name":"a","branch":"/","owner":{"kind":"group","id":"a@b"}}`:                    "Id Wrong path 'a@b'",
		`{"name":"a","branch":"/","owner":{"kind":"group"}}`:                               "Id can't be blank, Id Wrong path '', and Id is too short (minimum is 1 character)",
		`{"name":"a","branch":"/","owner":{}}`:                                             "Kind can't be blank, Kind '' is not a valid owner kind, Id can't be blank, Id Wrong path '', and Id is too short (minimum is 1 character)",
		`{"name":"a","branch":"/","annotations":{"my_key":6}}`:                             "My key should have string value but got 6",
		`{"name":"a","branch":"/","annotations":{"k":""}}`:                                 "K annotation value length cannot exceeded 1",
		`{"name":"a","branch":"/","annotations":{"k":"it's"}}`:                             "K annotation value format error",
		`{"name":"a","branch":"/","annotations":{"a>b":"x"}}`:                              "A\\u003eb annotation key format error 'a\\u003eb'",
		`{"name":"a","branch":"/","annotations":{"k":"` + strings.Repeat("x", 121) + `"}}`: "K annotation value length cannot exceeded 120",
	} {
		s.v2("POST", "/branches/acme", s.admin).data(body).is(422, v2Error(422, want))
	}
}

func TestAListOfBranchesIsPaged(t *testing.T) {
	s, alice, _ := newBranches(t)
	names := func(query, as string) (names []string, count int) {
		t.Helper()
		var list struct {
			Branches []struct{ Name, Branch string }
			Count    int
		}
		s.v2("GET", "/branches/acme"+query, as).send().status(200).decode(&list)
		for _, b := range list.Branches {
			names = append(names, b.Branch+":"+b.Name)
		}
		return names, list.Count
	}
	// gap/child is in no branch that exists; a name with a dot is listed all the same.
	all := []string{"/:a.b", "/:data", "data:safe"}
	for query, want := range map[string][]string{"": all, "?offset=1": all[1:], "?limit=1": all[:1], "?limit=1&offset=2": all[2:], "?limit=0": nil, "?offset=9": nil} {
		if got, count := names(query, s.admin); !slices.Equal(got, want) || count != 3 {
			t.Errorf("%q: %v of %d", query, got, count)
		}
	}
	if got, count := names("", alice); !slices.Equal(got, []string{"/:data"}) || count != 1 {
		t.Errorf("alice: %v of %d", got, count)
	}
	for query, want := range map[string]string{
		"?limit=-1":   "Limit must be greater than or equal to 0",
		"?limit=1001": "Limit must be less than or equal to 1000",
		"?offset=-1":  "Offset must be greater than or equal to 0",
		"?limit=many": "Limit is not a number",
		"?offset=":    "Offset is not a number",
	} {
		s.v2("GET", "/branches/acme"+query, s.admin).is(422, v2Error(422, want))
	}
}

// Characters that mean something to databases and patterns are nothing but characters.
func TestRemovingABranchTouchesOnlyWhatIsBeneath(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewSource(seed))
	names := []string{"a", "a_", "a-", "_", "-", "%", "a%", "aa", "a_a", "a.a", "(a|b)", ".*", "a+"}
	for round := range 12 {
		s := newTestServer(t)
		paths := map[string]bool{}
		var text strings.Builder
		for range 25 {
			path := names[random.Intn(len(names))]
			for range random.Intn(3) {
				path += "/" + names[random.Intn(len(names))]
			}
			parts := strings.Split(path, "/")
			for i := range parts {
				if p := strings.Join(parts[:i+1], "/"); !paths[p] {
					paths[p] = true
					fmt.Fprintf(&text, "- !policy \"%s\"\n- !variable \"%s/v\"\n- !group \"%s/g\"\n", p, p, p)
				}
			}
		}
		s.load(text.String())
		all := s.call("GET", "/resources/acme").as(s.admin).send().ids()
		var branches []string
		for p := range paths {
			branches = append(branches, p)
		}
		slices.Sort(branches)
		gone := branches[random.Intn(len(branches))]
		s.v2("DELETE", "/branches/acme/"+url.PathEscape(gone), s.admin).is(204, "")
		var want []string
		for _, id := range all {
			if path := strings.SplitN(id, ":", 3)[2]; path != gone && !strings.HasPrefix(path, gone+"/") {
				want = append(want, id)
			}
		}
		if got := s.call("GET", "/resources/acme").as(s.admin).send().ids(); !slices.Equal(got, want) {
			t.Errorf("seed %d, round %d: without %q %v, want %v", seed, round, gone, got, want)
		}
	}
}
