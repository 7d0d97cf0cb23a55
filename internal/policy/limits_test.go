package policy

import (
	"fmt"
	"strings"
	"testing"
)

// Each of these would cost more than the process has, or takes quadratic time, if
// the reader did as it is told.
func TestHostileDocuments(t *testing.T) {
	repeat := strings.Repeat
	bomb := "- &l0 [ !user a ]\n"
	inAnnotation := "- !user\n  id: a\n  annotations:\n    l0: &l0 [ x, x, x, x, x, x, x, x, x, x ]\n"
	for i := 1; i <= 40; i++ {
		alias := fmt.Sprintf("*l%d, ", i-1)
		bomb += fmt.Sprintf("- &l%d [ %s ]\n", i, repeat(alias, 10))
		inAnnotation += fmt.Sprintf("    l%d: &l%d [ %s ]\n", i, i, repeat(alias, 10))
	}
	many := repeat("!user u, ", 2000)
	list := "- &l [ " + repeat("!user u, ", 20000) + " ]\n"
	for _, c := range []struct{ name, text, fails string }{
		{"a list of lists of lists, each ten times", bomb, ""},
		{"the same in an annotation", inAnnotation, "A value is larger than 65536 bytes"},
		{"a list in itself in an annotation", "- !user {id: a, annotations: {x: &x [ *x ]}}", "The list nests more than 200 levels deep"},
		{"a long list as the members of many grants", "- &l [ " + repeat("!user u, ", 2000) + " ]\n" + repeat("- !grant { members: *l }\n", 2000), "The policy has more than 1000000 values"},
		{"many aliases", list + repeat("- *l\n", MaxAliases+1), "The policy has more than 100000 aliases"},
		{"as many aliases as allowed", "- &u !user u\n" + repeat("- *u\n", MaxAliases), ""},
		{"many roles times many members", "- !grant { roles: [" + many + "], members: [" + many + "] }", "The policy has more than 1000000 combinations of roles, members, privileges and resources"},
		{"brackets", repeat("[", 1<<20), "The policy has more than 1000000 values"},
		{"deep flow lists", "- " + repeat("[", 300), "The policy nests more than 200 levels deep"},
		{"deep block lists", repeat("- ", 300), "The policy nests more than 200 levels deep"},
		{"deep policies", repeat("{!policy a: ", 300), "The policy nests more than 200 levels deep"},
		{"a large document", repeat(" ", MaxText+1), "The policy is larger than 16777216 bytes"},
		{"a large scalar", "- !user " + repeat("a", MaxScalar+1), "A value is larger than 65536 bytes"},
		{"a long id", "- !host " + repeat("a", MaxIdentifier+1), "The id '" + repeat("a", 60) + "...' is longer than 2048 bytes"},
		{"ids below a long branch", "- !policy\n  id: " + repeat("p", 2000) + "\n  body: [" + repeat("!host a, ", 300000) + "]", "host '" + repeat("p", 2000) + "/a' is declared more than once"},
		{"a long number", "- !user {id: a, uidnumber: " + repeat("9", 60000) + "}", "Expected a integer for field 'uidnumber', got String"},
		{"many comments", repeat("#\n", 400000), ""},
		{"a comment behind each entry", repeat("- [] # c\n", 100000), ""},
		{"many anchors", manyAnchors(100000), ""},
		{"a long plain scalar of many lines", "- !user\n  id: a\n  annotations:\n    d: x\n" + repeat("      b\n", 10000), ""},
		{"more anchors than allowed", manyAnchors(MaxAliases + 1), "The policy has more than 100000 anchors"},
		{"an undefined alias among many", manyAnchors(MaxAliases) + "- *b1", "Undefined alias 'b1'"},
		{"a long list in many annotations", "- !user\n  id: x\n  annotations:\n    a: &p [" + repeat("x", 60000) + "]\n" + manyAnnotations(90000), "The policy has more than 16777216 bytes of lists in annotations"},
		{"a long text in many annotations", "- !user\n  id: x\n  annotations:\n    a: &p " + repeat("x", 60000) + "\n" + manyAnnotations(90000), ""},
		{"a path in many annotations", "- !host\n  id: x\n  annotations:\n    a: &p ../" + repeat("x", 2000) + "\n" + manyAnnotations(40000), "The ids of the policy take more than 67108864 bytes"},
		{"a long path in an annotation", "- !host {id: x, annotations: {a: ../" + repeat("x", 60000) + "}}", "The path in annotation 'a' is longer than 2048 bytes"},
		{"many directives", repeat("%TAG !a! b\n", MaxDirectives+1), "The policy has more than 100 directives"},
		{"a long tag", "- !" + repeat("a", 1<<20) + " b", "Unrecognized data type '!" + repeat("a", 59) + "...'"},
		{"a long chain of owners", ownerChain(50000), ""},
		{"many networks", "- !host\n  id: a\n  restricted_to: [" + repeat("10.0.0.1, ", MaxNetworks+1) + "]", "The record is restricted to more than 1000 networks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := resolve(c.text, rootScope)
			switch {
			case c.fails == "" && err != nil:
				t.Errorf("got %.200s", err)
			case c.fails != "" && (err == nil || err.Error() != c.fails):
				t.Errorf("got %.200v, want %.200s", err, c.fails)
			}
		})
	}
}

func manyAnchors(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "- &a%d !user u%d\n", i, i)
	}
	return text.String()
}

// manyAnnotations repeats an alias as the value of many annotations.
func manyAnnotations(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "    k%d: *p\n", i)
	}
	return text.String()
}

// ownerChain declares groups each of which is owned by the next.
func ownerChain(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "- !group {id: g%d, owner: !group g%d}\n", i, i+1)
	}
	return text.String()
}

// The ids of a document are bounded as a whole, not only one by one.
func TestResolvedSizeIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("- !policy\n  id: " + strings.Repeat("p", 2000) + "\n  body:\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "  - !host h%d\n", i)
	}
	_, err := resolve(text.String(), rootScope)
	if want := "The ids of the policy take more than 67108864 bytes"; err == nil || err.Error() != want {
		t.Errorf("got %.200v, want %s", err, want)
	}
}

func BenchmarkParse18000Variables(b *testing.B) {
	var text strings.Builder
	text.WriteString("- !policy\n  id: app\n  body:\n")
	for i := range 18_000 {
		fmt.Fprintf(&text, "  - !variable\n    id: service-%d/password\n    annotations:\n      description: The password of service %d\n", i, i)
	}
	input := []byte(text.String())
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := Parse(input)
		if err != nil {
			b.Fatal(err)
		}
		if r, err := d.Resolve(rootScope); err != nil || len(r.Records) != 18_001 {
			b.Fatal(err)
		}
	}
}
