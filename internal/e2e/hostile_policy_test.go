package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bomb doubles with each of its lines.
func bomb() string {
	var b strings.Builder
	b.WriteString("- &a0 [!variable x, !variable y]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&b, "- &a%d [*a%d, *a%[2]d]\n", i, i-1)
	}
	return b.String() + "- !variable [\n"
}

// staircase nests blocks.
func staircase(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "-\n")
	}
	return b.String()
}

// Policies that mean harm, or are none: refused with the reason and the place, in
// little time and memory, and without any effect.
func TestHostilePolicies(t *testing.T) {
	t.Parallel()
	s := openShop(t, "--log-level", "debug")
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	before := admin.listing(t)
	cases := []struct {
		name, text string
		status     int
		says       string
	}{
		{"nothing", "", 422, "policy_text is not present"},
		{"blanks", " \n\t", 422, "policy_text is not present"},
		{"10 MB of blanks", strings.Repeat(" ", 10<<20), 422, "policy_text is not present"},
		{"a scalar", "hello\n", 422, "Unexpected scalar"},
		{"a mapping", "a: b\n", 422, "Unexpected mapping"},
		{"JSON", `{"id": "x"}`, 422, "Unexpected mapping"},
		{"not UTF-8", "- !variable \xff\n", 422, `"column":13`},
		{"Latin-1", "- !variable caf\xe9\n", 422, "Save the policy as UTF-8"},
		{"UTF-16", "\xff\xfe-\x00 \x00", 422, "Save the policy as UTF-8"},
		{"NUL", "- !variable a\x00b\n", 422, "control characters are not allowed"},
		{"an escaped NUL", `- !variable "a\0b"`, 422, "character with the code 0"},
		{"tabs", "-\t!variable x\n\t- y\n", 422, "spaces for indentation, not tabs"},
		{"an unknown tag", "- !secret x\n", 422, "Unrecognized data type '!secret'"},
		{"an unknown attribute", "- !user\n  id: x\n  foo: y\n", 422, "No such attribute 'foo'"},
		{"an attribute twice", "- !variable\n  id: x\n  id: y\n", 422, "Duplicate attribute: id"},
		{"two documents", "- !variable a\n---\n- !variable b\n", 422, "Only a single document is permitted"},
		{"a tag of another language", "- !!python/object/apply:os.system [ls]\n", 422, "Expected a statement"},
		{"an alias of nothing", "- *nope\n", 422, "Undefined alias 'nope'"},
		{"an id of 3 KB", "- !variable " + strings.Repeat("x", 3<<10) + "\n", 422, "longer than 2048 bytes"},
		{"a scalar of 10 MB", "- !variable " + strings.Repeat("x", 10<<20) + "\n", 422, "larger than 65536 bytes"},
		{"an annotation of 10 MB", "- !variable\n  id: x\n  annotations:\n    a: " + strings.Repeat("x", 10<<20) + "\n", 422, "larger than 65536 bytes"},
		{"a string of 10 MB without an end", "- !variable \"" + strings.Repeat("\\n", 5<<20), 422, "unexpected end of stream"},
		{"a blank id", "- !variable ''\n", 422, "blank id"},
		{"an absolute id", "- !variable /other/x\n", 422, "Illegal absolute id"},
		{"an address that is none", "- !host\n  id: x\n  restricted_to: 10.0.0.300/8\n", 422, "Invalid IP address or CIDR range '10.0.0.300/8'"},
		{"an address with 99 bits", "- !host\n  id: x\n  restricted_to: 10.0.0.1/99\n", 422, "Invalid IP address or CIDR range"},
		{"a key that is none", "- !user\n  id: x\n  public_keys: [nonsense]\n", 422, "Invalid public key format"},
		{"deletion by POST", "- !delete\n  record: !variable x\n", 422, "may not contain deletion statements"},
		{"a role that is not there", "- !variable x\n- !grant\n  role: !group none\n  member: !user admin\n", 422, "Group 'none' not found in account 'demo'"},
		{"an owner that is not there", "- !variable\n  id: x\n  owner: !user none\n", 422, "User 'none' not found"},
		{"annotations in a list", "- !variable\n  id: x\n  annotations: [a]\n", 422, "Expected a mapping for field 'annotations'"},
		{"an error after a million bytes", strings.Repeat("# comment\n", 100_000) + "- !variable x\n- !variable [\n", 422, `"line":10000`},
		{"a bomb of aliases, with an error", bomb(), 422, "policy_invalid"},
		{"a million aliases", "- !variable &v x\n- !permit\n  role: !user a\n  privileges: [read]\n  resources: [" + strings.Repeat("*v,", 1_000_000) + "]\n", 422, "more than 1000000 values"},
		{"a million statements", strings.Repeat("- !variable x\n", 1_000_000), 422, "more than 1000000 values"},
		{"a million anchors", strings.Repeat("- &a !variable x\n", 1_000_000), 413, "larger than 16777216 bytes"},
		{"a million brackets", strings.Repeat("[", 1_000_000), 422, "more than 200 levels"},
		{"100000 braces", strings.Repeat("{a: ", 100_000), 422, "more than 200 levels"},
		{"2000 blocks in blocks", staircase(2000), 422, "more than 200 levels"},
		{"16 MB of comments before an error", strings.Repeat("# comment\n", 16<<20/10-10) + "- !variable [\n", 422, "policy_invalid"},
		{"60 MB", strings.Repeat("# comment\n", 6<<20), 413, "larger than 16777216 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			for _, method := range []string{"POST", "PATCH", "PUT"} {
				if method != "POST" && (len(c.text) > 1<<20 || c.name == "deletion by POST") {
					continue
				}
				got, err := admin.send(method, "/policies/demo/policy/root", []byte(c.text))
				if err != nil || got.status != c.status || !strings.Contains(got.body, c.says) {
					t.Errorf("%s: %.300v, %v, want %d %s", method, got, err, c.status, c.says)
				}
				if len(got.body) > 2000 {
					t.Errorf("%s: the answer has %d bytes", method, len(got.body))
				}
			}
			if took := time.Since(began); took > 20*time.Second*raceFactor {
				t.Errorf("took %v", took)
			}
		})
	}
	unchanged(t, before, admin.listing(t))
	now, most := s.memory(t)
	t.Logf("the server has %d MB in memory, at most %d MB", now>>20, most>>20)
	if most > policyMemory {
		t.Errorf("the server took %d MB", most>>20)
	}
}

// policyMemory is more than the server may have in memory, in bytes, when one policy
// after another is loaded, each as hostile and as large as is taken.
const policyMemory = 500 << 20 * raceFactor
