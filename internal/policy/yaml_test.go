package policy

import (
	"errors"
	"strings"
	"testing"

	"rekey/internal/fault"
)

// The messages are libyaml's, which clients know; the place is where a person
// finds the mistake.
var syntaxCases = []struct {
	name, text, message string
	line, column        int
}{
	{"indentation", "- !policy\n  id: x\n body: y\n", "did not find expected '-' indicator while parsing a block collection", 3, 2},
	{"a key too deep", "- !policy\n  id: a\n    b: c\n", "mapping values are not allowed in this context", 3, 6},
	{"a key too shallow", "- !policy\n  id: x\n  body:\n    - !user a\n   - !user b\n", "did not find expected key while parsing a block mapping", 5, 4},
	{"an open list", "- !user a\n- [a, b\n", "did not find expected ',' or ']' while parsing a flow sequence", 2, 3},
	{"an open mapping", "- {a: b\n", "did not find expected ',' or '}' while parsing a flow mapping", 1, 3},
	{"a missing value", "- ]", "did not find expected node content while parsing a block node", 1, 3},
	{"a missing entry", "- [", "did not find expected node content while parsing a flow node", 2, 1},
	{"an at sign", "- @x", "found character that cannot start any token while scanning for the next token", 1, 3},
	{"a dash too many", "- !user\n  id: - x", "block sequence entries are not allowed in this context", 2, 7},
	{"an unfinished quote", "- \"a", "found unexpected end of stream while scanning a quoted scalar", 1, 3},
	{"an unknown escape", `- "\d"`, "found unknown escape character while parsing a quoted scalar", 1, 3},
	{"a wrong escape", `- "\xZZ"`, "did not find expected hexdecimal number while parsing a quoted scalar", 1, 3},
	{"an unknown tag handle", "- !x!y z", "found undefined tag handle while parsing a node", 1, 3},
	{"an unnamed anchor", "- & x", "did not find expected alphabetic or numeric character while scanning an anchor", 1, 3},
	{"an unnamed alias", "- * x", "did not find expected alphabetic or numeric character while scanning an alias", 1, 3},
	{"a block scalar", "- |x\n a", "did not find expected comment or line break while scanning a block scalar", 1, 3},
	{"a tab in a long scalar", "- !user a\n- b\n c\n\td", "found a tab character that violates indentation while scanning a plain scalar", 4, 1},
	{"a comma behind a tag", "- !user a\n- !user, b", "did not find expected whitespace or line break while scanning a tag", 2, 3},
	{"a bad tag directive", "%TAG x y\n---\n- a", "did not find expected '!' while scanning a %TAG directive", 1, 1},
	{"latin 1", "- !user a\n- !user M\xfcller\n", "invalid leading UTF-8 octet", 2, 10},
	{"a broken character", "- !user M\xc3ller\n", "invalid trailing UTF-8 octet", 1, 10},
	{"a stray byte", "- !user \xff\n", "invalid leading UTF-8 octet", 1, 9},
	{"an unfinished character", "- !user \xc3", "incomplete UTF-8 octet sequence", 1, 9},
	{"half of a surrogate pair", "- !user \xed\xa0\x80", "invalid Unicode character", 1, 9},
	{"a long form", "- !user \xc0\xaf", "invalid length of a UTF-8 sequence", 1, 9},
	{"UTF-16", "\xff\xfe-\x00 \x00", "invalid leading UTF-8 octet", 1, 1},
	{"a zero byte", "- !user a\n- \x00", "control characters are not allowed", 2, 3},
	{"a mistake behind old line ends", "- !user a\r- !user \xff", "invalid leading UTF-8 octet", 2, 9},
	{"a bell", "- !user a\a", "control characters are not allowed", 1, 10},
	{"a C1 control", "- !user a\u0090", "control characters are not allowed", 1, 10},
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range syntaxCases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want %s", err, c.message)
			}
			if e.Kind != fault.PolicyInvalid || !errors.Is(err, ErrSyntax) {
				t.Errorf("got kind %v, cause %v", e.Kind, e.Cause)
			}
			if e.Message != c.message {
				t.Errorf("got %q, want %q", e.Message, c.message)
			}
			if e.Line != c.line || e.Column != c.column {
				t.Errorf("got %d:%d, want %d:%d", e.Line, e.Column, c.line, c.column)
			}
			if want := advices[c.message]; want != "" && e.Advice != want {
				t.Errorf("got advice %q, want %q", e.Advice, want)
			}
		})
	}
}

// Every message that has an advice of its own must be one that the library can
// still produce, or the advice would never be seen.
func TestAdvicesAreReachable(t *testing.T) {
	produced := map[string]bool{"Unexpected scalar": true} // entry 3 of the corpus
	for _, c := range syntaxCases {
		produced[c.message] = true
	}
	for _, c := range corpus {
		produced[c.fails] = true
	}
	unreachable := map[string]string{
		"did not find expected <document start>":         "this reader takes what precedes as the document",
		"did not find expected '!' while scanning a tag": "a tag is what begins with '!'",
	}
	for message := range advices {
		if !produced[message] && unreachable[message] == "" {
			t.Errorf("nothing produces %q", message)
		}
	}
}

func TestTextsThatAreRead(t *testing.T) {
	for name, text := range map[string]string{
		"a byte order mark":  "\ufeff- !user a\n",
		"CRLF":               "- !user\r\n  id: a\r\n",
		"a YAML directive":   "%YAML 1.1\n---\n- !user a\n",
		"no final line":      "- !user a",
		"flow style":         "[ !user a ]",
		"JSON-like":          `[ !user { "id": "a" } ]`,
		"a folded scalar":    "- !user\n  id: >-\n    a\n",
		"a tagged list":      "- !nonsense [ !user a ]",
		"nested lists":       "- - - !user a",
		"a verbatim tag":     "- !<x!user> a",
		"a standard tag":     "- !user\n  id: !!str a\n",
		"an explicit end":    "- !user a\n...\n",
		"an anchor and tag":  "- &x !user a\n- *x\n",
		"an anchored scalar": "- !user {id: &x a}",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := resolve(text, rootScope)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r, rootScope); got != "user user:a" {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestSuggestions(t *testing.T) {
	for _, c := range []struct{ text, advice string }{
		{"- !usr a", "The tag must be one of the following: " + tags + ". Did you mean '!user'?"},
		{"- !hostfactry a", "Did you mean '!host-factory'?"},
		{"- !user {id: a, anotations: {}}", "Did you mean 'annotations'?"},
		{"- !user {login: a}", "The attributes of '!user' are: account, annotations, id, owner, public_key, restricted_to, uidnumber."},
		{"- &users [ !user a ]\n- !grant {role: !group g, members: *user}", "Did you mean '*users'?"},
		{"- !user {id: 7}", "Put the value in quotes: '7'."},
		{"- !user {id: a, uidnumber: '7'}", "Write it in digits, without quotes."},
		{"- !grant {role: !group g, member: {role: !user u, admin: always}}", "Write true or false."},
		{"- !user {&x id: a}", "Write it before the value: 'id: &x ...'."},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := resolve(c.text, rootScope)
			var e *fault.Error
			if !errors.As(err, &e) || !strings.HasSuffix(e.Advice, c.advice) {
				t.Errorf("got %+v, want advice %q", e, c.advice)
			}
		})
	}
}
