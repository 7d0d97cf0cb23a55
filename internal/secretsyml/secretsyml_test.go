package secretsyml_test

import (
	"reflect"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/secretsyml"
)

func TestEntries(t *testing.T) {
	type entry = secretsyml.Entry
	for name, c := range map[string]struct {
		text string
		how  secretsyml.Subst
		want []entry
	}{
		"nothing":           {"# only this\n", secretsyml.Subst{}, nil},
		"a variable":        {"A: !var app/db/password", secretsyml.Subst{}, []entry{{Name: "A", Text: "app/db/password", Variable: true}}},
		"a file":            {"A: !var:file app/cert", secretsyml.Subst{}, []entry{{Name: "A", Text: "app/cert", Variable: true, File: true}}},
		"in any order":      {"A: !file:var app/cert", secretsyml.Subst{}, []entry{{Name: "A", Text: "app/cert", Variable: true, File: true}}},
		"a file's literal":  {"A: !file hello", secretsyml.Subst{}, []entry{{Name: "A", Text: "hello", File: true}}},
		"a default":         {"A: !var:default='info' app/level", secretsyml.Subst{}, []entry{{Name: "A", Text: "app/level", Variable: true, Default: "info"}}},
		"a default alone":   {"A: !default='x' ''", secretsyml.Subst{}, []entry{{Name: "A", Default: "x"}}},
		"literals":          {"A: x\nB: !str 1\nC: 8080\nD: !int 3\nE: true\nF: !float 1.50\nG: ''\nH: !bool yes", secretsyml.Subst{}, []entry{{Name: "A", Text: "x"}, {Name: "B", Text: "1"}, {Name: "C", Text: "8080"}, {Name: "D", Text: "3"}, {Name: "E", Text: "true"}, {Name: "F", Text: "1.50"}, {Name: "G"}, {Name: "H", Text: "yes"}}},
		"what is chosen":    {"A: !var $env/${part}x/$$y", secretsyml.Subst{Values: map[string]string{"env": "prod", "part": "db"}}, []entry{{Name: "A", Text: "prod/dbx/$y", Variable: true}}},
		"a section":         {"common: {A: 1, B: 2}\nprod: {B: 3, C: !var c}\ntest: {B: 4}", secretsyml.Subst{Section: "prod"}, []entry{{Name: "A", Text: "1"}, {Name: "B", Text: "3"}, {Name: "C", Text: "c", Variable: true}}},
		"whatever is first": {"prod: {B: 3}\ndefault: {A: 1, B: 2}", secretsyml.Subst{Section: "prod"}, []entry{{Name: "A", Text: "1"}, {Name: "B", Text: "3"}}},
		"an empty section":  {"prod:\n", secretsyml.Subst{Section: "prod"}, nil},
		"merged":            {"x: &x {A: 1, B: 2}\nprod: {B: 3, <<: *x}", secretsyml.Subst{Section: "prod"}, []entry{{Name: "A", Text: "1"}, {Name: "B", Text: "3"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := secretsyml.Parse(strings.NewReader(c.text), c.how)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].Line == 0 {
					t.Errorf("%s has no position", got[i].Name)
				}
				got[i].Line, got[i].Column = 0, 0
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
}

func TestMistakesHavePositions(t *testing.T) {
	for text, want := range map[string]string{
		"- A":                        "line 1, column 1: here goes a mapping",
		"A: 1\nB: !vra x":            "line 2, column 4: '!vra' is none of",
		"A: 1\nA: 2":                 "line 2, column 1: 'A' is there twice",
		"A: [1]":                     "line 1, column 4: 'A' takes one value",
		"prod: {A: 1}":               "line 1, column 1: 'prod' is a section",
		"A: !var $env/x":             "line 1, column 4: nothing is given for $env",
		"A: !var ''":                 "line 1, column 4: 'A' names no variable",
		"A=B: 1":                     "line 1, column 1: 'A=B' cannot be the name",
		"A: 'unended":                "not YAML",
		"A: !var:default='unended x": "is none of",
		"? [x]\n: 1":                 "a name is a word",
	} {
		_, err := secretsyml.Parse(strings.NewReader(text), secretsyml.Subst{})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := secretsyml.Parse(strings.NewReader("a: {A: 1}"), secretsyml.Subst{Section: "b"}); err == nil || !strings.Contains(err.Error(), "no section 'b'") {
		t.Error(err)
	}
}

// Whatever the text is, there is an answer, and an error has no entries with it.
func FuzzParse(f *testing.F) {
	f.Add("A: !var x\nB: &b !file y\nC: *b\n<<: *b", "")
	f.Add("a: &a {<<: *a}", "a")
	f.Fuzz(func(t *testing.T, text, section string) {
		entries, err := secretsyml.Parse(strings.NewReader(text), secretsyml.Subst{Section: section})
		if err != nil && entries != nil {
			t.Errorf("%v with %v", entries, err)
		}
	})
}
