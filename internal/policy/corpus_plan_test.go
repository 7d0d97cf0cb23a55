package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
)

// into is one load of a text: into root if no policy is named.
type into struct {
	mode   Mode
	policy string
	text   string
}

// planned holds those entries of the corpus that depend on what is there already: the
// given texts are loaded one after the other, then the last one. It fails with a
// message and changes nothing, or else the state has some rows and lacks others (see
// line).
var planned = []struct {
	number int
	name   string
	given  []into
	when   into
	fails  string
	advice string
	same   bool // nothing changes
	has    []string
	lacks  []string
}{
	{number: 2, name: "an empty text adds nothing", when: into{text: "# note"}, same: true},
	{number: 10, name: "tags in other letters", when: into{text: "- !USER a\n- !hostFactory {id: f, layers: []}"},
		has: []string{"role user:a", "key of user:a", "host_factory:f of user:admin", "user:admin owns host_factory:f"}},
	{number: 17, name: "kinds share ids", when: into{text: "- !group a\n- !layer a\n- !policy a"},
		has: []string{"group:a of user:admin", "layer:a of user:admin", "policy:a of user:admin"}},
	{number: 20, name: "blank ids mean the branch", given: branches, when: into{policy: "foo/bar", text: "- !host\n- !layer\n- !user"},
		has: []string{"host:foo/bar of policy:foo/bar", "layer:foo/bar of policy:foo/bar", "user:bar@foo of policy:foo/bar"}},
	{number: 22, name: "a user in a branch", given: branches, when: into{policy: "foo/bar", text: "- !user a/b"}, has: []string{"user:b@foo-bar-a of policy:foo/bar"}},
	{number: 25, name: "a member of another branch", given: []into{foobar, {text: "- !user u"}},
		when: into{policy: "foo/bar", text: "- !group g\n- !grant {role: !group g, member: !user ../../u}"}, has: []string{"user:u in group:foo/bar/g"}},
	{number: 26, name: "a granted role outside of the branch", given: []into{foobar, {text: "- !user u\n- !group foo/g"}},
		when: into{policy: "foo/bar", text: "- !grant {role: !group ../g, member: !user /u}"}, fails: "Group 'foo/bar/../g' not found in account 'acct'"},
	{number: 29, name: "an owner declared later", when: into{text: "- !group {id: a, owner: !group b}\n- !group b"}, has: []string{"group:a of group:b", "group:b owns group:a"}},
	{number: 30, name: "an owner declared much later", when: into{text: "- !group {id: a, owner: !group c}\n- !group b\n- !group c"}, has: []string{"group:a of group:c"}},
	{number: 32, name: "an owner of itself", when: into{text: "- !group {id: a, owner: !group a}"}, has: []string{"group:a of group:a", "group:a owns group:a"}},
	{number: 32, name: "what owns itself can be deleted", given: []into{{text: "- !group {id: a, owner: !group a}"}}, when: into{mode: Modify, text: "- !delete {record: !group a}"},
		lacks: []string{"role group:a", "group:a of group:a", "group:a owns group:a"}},
	{number: 35, name: "members with and without admin", when: into{text: "- !user u\n- !group g\n- !group h\n- !grant {role: !group g, members: [!user u, {role: !group h, admin: true}]}"},
		has: []string{"user:u in group:g", "group:h in group:g with admin"}},
	{number: 38, name: "no privilege", given: someone, when: into{text: "- !permit {role: !user u, resource: !variable v}"}, same: true},
	{number: 38, name: "no privilege for nobody, replacing", when: into{mode: Replace, text: "- !permit {role: !user nobody, resource: !variable nothing}\n- !group g"}, has: []string{"role group:g"}},
	{number: 38, name: "an empty grant", when: into{text: "- !grant {}"}, same: true},
	{number: 39, name: "any privilege", given: someone, when: into{text: `- !permit {role: !user u, privilege: "fly high", resource: !variable v}`}, has: []string{"user:u may fly high on variable:v"}},
	{number: 42, name: "the same grant twice, adding", given: someone, when: into{text: twice}, has: []string{"user:u in group:g"}},
	{number: 42, name: "the same grant twice, modifying", given: someone, when: into{mode: Modify, text: twice}, has: []string{"user:u in group:g"}},
	{number: 42, name: "the same grant twice: the first decides about admin", given: append(someone, into{text: "- !grant {role: !group g, member: !user u}"}),
		when: into{mode: Modify, text: "- !grant {role: !group g, member: !member {role: !user u, admin: true}}\n- !grant {role: !group g, member: !user u}"},
		has:  []string{"user:u in group:g with admin"}, lacks: []string{"user:u in group:g"}},
	{number: 43, name: "a deletion, adding", when: into{text: "- !delete {record: !user x}"}, fails: "may not contain deletion statements"},
	{number: 43, name: "a deletion of nothing", when: into{mode: Modify, text: "- !delete {record: !user x}"}, same: true},
	{number: 45, name: "a variable created and deleted", when: into{mode: Modify, text: "- !variable v\n- !delete {record: !variable v}"}, same: true},
	{number: 45, name: "a user created and deleted", when: into{mode: Modify, text: "- !user {id: v, restricted_to: 10.0.0.1, public_keys: [ssh-rsa AAAA x]}\n- !delete {record: !user v}"}, lacks: []string{"role user:v", "key of user:v", "user:v from 10.0.0.1/32"}},
	{number: 46, name: "a revocation of what another policy granted", given: []into{{text: "- !policy {id: foo, body: [!group g]}\n- !user u\n- !grant {role: !group foo/g, member: !user u}"}},
		when: into{mode: Modify, policy: "foo", text: "- !revoke {role: !group g, member: !user /u}"}, same: true},
	{number: 47, name: "a revocation before its grant", given: someone, when: into{mode: Modify, text: "- !revoke {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}"}, lacks: []string{"user:u in group:g"}},
	{number: 47, name: "a denial before its permission", given: someone, when: into{mode: Modify, text: "- !deny {role: !user u, privilege: read, resource: !variable v}\n- !permit {role: !user u, privileges: [read, execute], resource: !variable v}"},
		has: []string{"user:u may execute on variable:v"}, lacks: []string{"user:u may read on variable:v"}},
	{number: 47, name: "a denial before its permission, replacing", when: into{mode: Replace, text: "- !user u\n- !variable v\n- !deny {role: !user u, privilege: read, resource: !variable v}\n- !permit {role: !user u, privilege: read, resource: !variable v}"},
		has: []string{"role user:u"}, lacks: []string{"user:u may read on variable:v"}},
	{number: 48, name: "a host factory with no layer", when: into{text: "- !host-factory {id: f, layers: []}"}, has: []string{"role host_factory:f"}},
	{number: 49, name: "a bare layer", given: []into{{text: "- !layer l"}}, when: into{text: "- !host-factory {id: f, layers: l}"}, has: []string{"host_factory:f in layer:l"}},
	{number: 49, name: "a layer that is not there", when: into{text: "- !host-factory {id: f, layers: l}"}, fails: "Layer 'l' not found in account 'acct'"},
	{number: 51, name: "networks, adding", given: []into{{text: "- !host {id: h, restricted_to: 10.0.0.1}"}}, when: into{text: "- !host {id: h, restricted_to: [10.0.0.2, 10.0.0.1]}"},
		has: []string{"host:h from 10.0.0.1/32 10.0.0.2/32"}},
	{number: 51, name: "networks left out, modifying", given: []into{{text: "- !host {id: h, restricted_to: 10.0.0.1}"}}, when: into{mode: Modify, text: "- !host h"}, lacks: []string{"host:h from 10.0.0.1/32"}},
	{number: 51, name: "networks left out, replacing", given: []into{{text: "- !host {id: h, restricted_to: 10.0.0.1}"}}, when: into{mode: Replace, text: "- !host h"}, lacks: []string{"host:h from 10.0.0.1/32"}},
	{number: 52, name: "a public key", when: into{text: "- !user {id: a, public_keys: [ssh-rsa AAA my laptop]}"}, has: []string{"public_key:user/a/my laptop of user:admin", "public_key:user/a/my laptop version 1"}},
	{number: 52, name: "a public key goes with its line", given: []into{{text: "- !user {id: a, public_keys: [ssh-rsa AAA x]}"}}, when: into{mode: Replace, text: "- !user a"},
		has: []string{"role user:a"}, lacks: []string{"public_key:user/a/x of user:admin", "public_key:user/a/x version 1"}},
	{number: 52, name: "a public key has the owner of its user", given: []into{{text: "- !group o\n- !user {id: a, owner: !group o, public_keys: [ssh-rsa AAA x]}"}}, when: into{mode: Replace, text: "- !user {id: a, public_keys: [ssh-rsa AAA x]}"},
		has: []string{"public_key:user/a/x of user:admin", "public_key:user/a/x version 1"}},
	{number: 53, name: "an annotation beats the attribute", when: into{text: "- !variable {id: v, kind: pw, annotations: {conjur/kind: x}}"}, has: []string{"variable:v conjur/kind=x"}},
	{number: 54, name: "annotations are typed", when: into{text: "- !variable {id: v, annotations: {a: 1.10, b: yes, c: , d: [x, 2]}}"},
		has: []string{"variable:v a=1.1", "variable:v b=true", "variable:v c=", `variable:v d=["x", 2]`}},
	{number: 63, name: "ids are any text", when: into{text: "- !group {id: 'a:b'}\n- !variable 'x y/ü%20'"}, has: []string{"group:a:b of user:admin", "variable:x y/ü%20 of user:admin"}},
	{number: 64, name: "a resource alone", when: into{text: "- !resource {kind: configuration, id: c}"}, has: []string{"configuration:c of user:admin"}, lacks: []string{"role configuration:c"}},
	{number: 64, name: "a role alone", when: into{text: "- !role {kind: team, id: t}"}, has: []string{"role team:t"}, lacks: []string{"team:t of user:admin"}},
	{number: 64, name: "a host role alone", when: into{text: "- !role {kind: host, id: t}"}, has: []string{"role host:t", "key of host:t"}},
	{number: 67, name: "other owner and value, adding", given: []into{{text: "- !group o\n- !variable {id: v, annotations: {a: b}}"}}, when: into{text: "- !variable {id: v, owner: !group o, annotations: {a: c}}"}, same: true},
	{number: 67, name: "other owner and value, modifying", given: []into{{text: "- !group o\n- !variable {id: v, annotations: {a: b}}"}}, when: into{mode: Modify, text: "- !variable {id: v, owner: !group o, annotations: {a: c}}"},
		has: []string{"variable:v of group:o", "variable:v a=c"}},
	{number: 68, name: "an emptied branch keeps what its parent declared", given: []into{{text: "- !policy {id: foo, body: [!variable v]}"}}, when: into{mode: Replace, policy: "foo", text: "[]"}, same: true},
	{number: 68, name: "an emptied branch loses what it declared", given: []into{{text: "- !policy foo"}, {policy: "foo", text: "- !variable v"}}, when: into{mode: Replace, policy: "foo", text: "[]"},
		has: []string{"role policy:foo"}, lacks: []string{"variable:foo/v of policy:foo", "variable:foo/v version 1"}},
	{number: 69, name: "what gets another owner keeps its values", given: []into{{text: "- !group o1\n- !variable {id: v, owner: !group o1}"}}, when: into{mode: Replace, text: "- !variable v"},
		has: []string{"variable:v of user:admin", "variable:v version 1"}, lacks: []string{"role group:o1"}},
	{number: 70, name: "a member that this load removes", given: []into{{text: "- !group a"}}, when: into{mode: Replace, text: "- !group b\n- !grant {role: !group b, member: !group a}"}, fails: "Group 'a' not found in account 'acct'"},

	// Not in the list that the language was specified with.
	{name: "all that is missing is named", when: into{text: "- !grant {role: !group a, members: [!user b, !user c]}"}, fails: "Group 'a' not found in account 'acct'",
		advice: "Missing altogether: acct:group:a, acct:user:b, acct:user:c. Declare them before they are used, or correct their ids."},
	{name: "an owner that is not there", when: into{text: "- !variable {id: v, owner: !group x}"}, fails: "Group 'x' not found in account 'acct'"},
	{name: "the administrator", when: into{mode: Modify, text: "- !delete {record: !user admin}"}, fails: "'acct:user:admin' holds the account together and cannot be deleted"},
	{name: "the root policy", when: into{mode: Modify, text: "- !delete {record: !policy root}"}, fails: "'acct:policy:root' holds the account together and cannot be deleted"},
	{name: "the root policy's owner cannot be changed by declaring it", when: into{mode: Replace, text: "- !user u\n- !policy {id: root, owner: !user u}"}, has: []string{"policy:root of user:admin", "user:admin owns policy:root"}, lacks: []string{"user:u owns policy:root"}},
	{name: "a branch deletes itself", given: []into{{text: "- !policy foo"}, {policy: "foo", text: "- !variable v"}}, when: into{mode: Modify, policy: "foo", text: "- !delete {record: !policy}"},
		lacks: []string{"role policy:foo", "policy:foo of user:admin", "variable:foo/v of policy:foo", "variable:foo/v version 1"}},
	{name: "a policy goes with all that was loaded into it", given: []into{{text: "- !policy foo\n- !user u"}, {policy: "foo", text: "- !group g\n- !variable v\n- !grant {role: !group g, member: !user /u}\n- !permit {role: !user /u, privilege: read, resource: !variable v}"}},
		when: into{mode: Replace, text: "- !user u"}, has: []string{"role user:u", "key of user:u"},
		lacks: []string{"role group:foo/g", "variable:foo/v of policy:foo", "user:u in group:foo/g", "user:u may read on variable:foo/v"}},
	{name: "a branch beneath keeps what was loaded into it", given: []into{foobar, {policy: "foo/bar", text: "- !variable v"}}, when: into{mode: Replace, text: foobar.text}, same: true},
	{name: "a host that a factory made goes with the factory", given: []into{{text: "- !layer l\n- !host-factory {id: f, layers: l}"}, {text: "- !host {id: h, owner: !host-factory f}"}}, when: into{mode: Modify, text: "- !delete {record: !host-factory f}"},
		has: []string{"role layer:l"}, lacks: []string{"role host:h", "key of host:h", "host:h of host_factory:f"}},
	{name: "a grant that a removed branch had made already", given: []into{{text: "- !policy foo\n- !group foo/g\n- !user u"}, {policy: "foo", text: "- !grant {role: !group g, member: !user /u}"}},
		when: into{mode: Replace, text: "- !user u\n- !group foo/g\n- !grant {role: !group foo/g, member: !user u}"}, has: []string{"user:u in group:foo/g"}},
	{name: "a privilege and a note that a removed branch had given already", given: []into{{text: "- !policy foo\n- !variable foo/v\n- !user u"}, {policy: "foo", text: "- !variable {id: v, annotations: {note: theirs}}\n- !permit {role: !user /u, privilege: read, resource: !variable v}"}},
		when: into{mode: Replace, text: "- !user u\n- !variable {id: foo/v, annotations: {note: ours}}\n- !permit {role: !user u, privilege: read, resource: !variable foo/v}"},
		has:  []string{"user:u may read on variable:foo/v", "variable:foo/v note=ours"}},
	{name: "a record that has to go with what owns it", given: []into{{text: "- !policy foo\n- !group o"}, {policy: "foo", text: "- !variable {id: v, owner: !group /o}"}},
		when: into{mode: Replace, text: "- !policy foo\n- !variable foo/v"}, fails: "Variable 'foo/v' not found in account 'acct'"},
	{name: "a removal of an owner that the record keeps", given: []into{{text: "- !group o\n- !variable {id: v, owner: !group o}"}}, when: into{mode: Replace, text: "- !variable {id: v, owner: !group o}"}, fails: "Group 'o' not found in account 'acct'"},
	{name: "a revoked owner is a member again once declared", given: []into{{text: "- !group g"}, {mode: Modify, text: "- !revoke {role: !group g, member: !user /admin}"}}, when: into{text: "- !group g"}, has: []string{"user:admin owns group:g"}},
	{name: "a revoked owner stays the owner", given: []into{{text: "- !group g"}}, when: into{mode: Modify, text: "- !revoke {role: !group g, member: !user /admin}"}, has: []string{"group:g of user:admin"}, lacks: []string{"user:admin owns group:g"}},
	{name: "a host without a key", when: into{text: "- !host {id: h, annotations: {authn/api-key: false}}"}, has: []string{"role host:h"}, lacks: []string{"key of host:h"}},
	{name: "a host loses its key", given: []into{{text: "- !host h"}}, when: into{mode: Modify, text: "- !host {id: h, annotations: {authn/api-key: FALSE}}"}, lacks: []string{"key of host:h"}},
	{name: "a host gets a key", given: []into{{text: "- !host {id: h, annotations: {authn/api-key: false}}"}}, when: into{mode: Modify, text: "- !host {id: h, annotations: {authn/api-key: true}}"}, has: []string{"key of host:h"}},
	{name: "adding does not change the annotation, nor the key", given: []into{{text: "- !host h\n- !host {id: i, annotations: {authn/api-key: true}}"}}, when: into{text: "- !host {id: i, annotations: {authn/api-key: false}}"}, same: true},
	{name: "the annotation of a branch goes, the key comes back", given: []into{{text: "- !policy foo\n- !host foo/h"}, {policy: "foo", text: "- !host {id: h, annotations: {authn/api-key: false}}"}}, when: into{mode: Replace, policy: "foo", text: "[]"}, has: []string{"key of host:foo/h"}},
	{name: "a user keeps its key whatever it says", when: into{text: "- !user {id: u, annotations: {authn/api-key: false}}"}, has: []string{"key of user:u"}},
	{name: "users whose branches coincide are the first's", given: []into{{text: "- !policy a/b\n- !policy a-b"}, {policy: "a/b", text: "- !user {id: x, restricted_to: 10.0.0.1}"}},
		when:  into{mode: Modify, policy: "a-b", text: "- !user {id: x, public_keys: [ssh-rsa AAA x]}"},
		fails: "User 'x@a-b' belongs to another policy, whose name differs in slashes and dashes only"},
}

var (
	foobar   = into{text: "- !policy {id: foo, body: [!policy bar]}"}
	branches = []into{foobar}
	someone  = []into{{text: "- !user u\n- !group g\n- !variable v"}}
)

const twice = "- !grant {role: !group g, member: !user u}\n- !grant {role: !group g, member: !user u}"

// elsewhere says where the other entries of the list are tried that are not in corpus.
var elsewhere = map[int]string{
	1:  "an empty body is refused before the language: core",
	75: "privileges are decided before the language: core",
	76: "privileges are decided before the language: core",
}

func TestCorpusOfPlans(t *testing.T) {
	for _, c := range planned {
		t.Run(fmt.Sprintf("%d/%s", c.number, c.name), func(t *testing.T) {
			w := newPlanWorld(t, 0)
			for _, given := range c.given {
				if err := w.into(given); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range w.state { // values, to see them stay or go
				if x, ok := r.(row.Resource); ok && x.ID.Kind() == "variable" {
					w.apply([]row.Change{{Op: row.Insert, Row: row.Secret{Resource: x.ID, Version: 1}}}, "")
				}
			}
			before := w.lines()
			err := w.into(c.when)
			after := w.lines()
			if c.fails != "" {
				failure, ok := err.(*fault.Error)
				if !ok || failure.Message != c.fails || c.advice != "" && failure.Advice != c.advice {
					t.Errorf("got %v, want %s", err, c.fails)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if (c.same || c.fails != "") && !slices.Equal(before, after) {
				t.Errorf("got\n%s\ninstead of\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
			}
			for _, line := range c.has {
				if !slices.Contains(after, line) {
					t.Errorf("missing: %s, in\n%s", line, strings.Join(after, "\n"))
				}
			}
			for _, line := range c.lacks {
				if slices.Contains(after, line) {
					t.Errorf("not to be there: %s", line)
				}
			}
			if !c.same && c.fails == "" && len(c.has)+len(c.lacks) == 0 {
				t.Error("the case asks nothing")
			}
		})
	}
}

func TestCorpusIsComplete(t *testing.T) {
	tried := map[int]bool{}
	for _, c := range corpus {
		tried[c.number] = true
	}
	for _, c := range planned {
		tried[c.number] = true
	}
	for n := 1; n <= 77; n++ {
		if !tried[n] && elsewhere[n] == "" {
			t.Errorf("entry %d is tried nowhere", n)
		}
	}
}

// into loads a text and applies what it leads to.
func (w *planWorld) into(l into) error {
	policy := ident.ID("acct:policy:root")
	if l.policy != "" {
		policy = fullID("policy", l.policy)
	}
	x, ok := w.state.resource(policy)
	if !ok {
		return fmt.Errorf("there is no %s", policy)
	}
	r, err := resolve(l.text, Scope{Account: "acct", Policy: policy, Owner: x.Owner})
	if err != nil {
		return err
	}
	changes, planned, err := w.plan(r, Load{Mode: l.mode, Policy: policy, Now: planTime, APIKeyDefault: true}, nil, l.text)
	if err == nil {
		w.apply(w.withCredentials(changes, planned), l.text)
	}
	return err
}

// lines shows the state one row a line, without the account.
func (w *planWorld) lines() []string {
	var lines []string
	for _, r := range w.state {
		var line string
		switch r := r.(type) {
		case row.Role:
			line = fmt.Sprintf("role %s", r.ID)
		case row.Resource:
			line = fmt.Sprintf("%s of %s", r.ID, r.Owner)
		case row.Membership:
			line = fmt.Sprintf("%s in %s", r.Member, r.Role)
			if r.Ownership {
				line = fmt.Sprintf("%s owns %s", r.Member, r.Role)
			} else if r.Admin {
				line += " with admin"
			}
		case row.Permission:
			line = fmt.Sprintf("%s may %s on %s", r.Role, r.Privilege, r.Resource)
		case row.Annotation:
			line = fmt.Sprintf("%s %s=%s", r.Resource, r.Name, r.Value)
		case row.APIKey:
			line = fmt.Sprintf("key of %s", r.Role)
		case row.Restriction:
			line = strings.NewReplacer("[", "", "]", "").Replace(fmt.Sprintf("%s from %s", r.Role, r.Networks))
		case row.Secret:
			line = fmt.Sprintf("%s version %d", r.Resource, r.Version)
		}
		lines = append(lines, strings.ReplaceAll(line, "acct:", ""))
	}
	slices.Sort(lines)
	return lines
}
