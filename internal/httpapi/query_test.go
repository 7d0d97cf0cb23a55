package httpapi

import (
	"math"
	"net/url"
	"slices"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

func TestParseQuery(t *testing.T) {
	cases := []struct {
		name, raw string
		want      query
		ok        bool
	}{
		{"empty", "", nil, true},
		{"pairs", "a=1&b=2", query{{"a", "1"}, {"b", "2"}}, true},
		{"no value", "check&x=", query{{"check", ""}, {"x", ""}}, true},
		{"plus is a space", "search=a+b%2Bc", query{{"search", "a b+c"}}, true},
		{"value with equals signs and slashes", "role=acme:host:a/b=c", query{{"role", "acme:host:a/b=c"}}, true},
		{"semicolon is text", "a=1;b=2", query{{"a", "1;b=2"}}, true},
		{"empty pairs", "&&a&", query{{"a", ""}}, true},
		{"malformed escape", "a=%zz", nil, false},
		{"cut escape in the name", "a%2=1", nil, false},
		{"not UTF-8", "a=%ff", nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, ok := parseQuery(nil, c.raw)
			if ok != c.ok || ok && !slices.Equal(got, c.want) {
				t.Errorf("%q, %t", got, ok)
			}
		})
	}
}

func TestQueryLookups(t *testing.T) {
	q, _ := parseQuery(nil, "a=1&a=2&kind[]=user&kind%5B%5D=host&kind=group&one=x&check")
	if q.get("a") != "2" {
		t.Errorf("the last value counts, not %q", q.get("a"))
	}
	if !q.has("check") || q.has("graph") {
		t.Error("presence")
	}
	if got := q.list("kind"); !slices.Equal(got, []string{"user", "host"}) {
		t.Errorf("list %q", got)
	}
	if got := q.list("one"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("a single value is a list of one, not %q", got)
	}
	if q.list("none") != nil || q.optional("none") != nil {
		t.Error("an absent list is nil")
	}
	if p := q.optional("check"); p == nil || *p != "" {
		t.Error("present and empty is not absent")
	}
	if q.hasNull() {
		t.Error("there is no NUL")
	}
	if q, _ := parseQuery(nil, "a=b%00"); !q.hasNull() {
		t.Error("there is a NUL")
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("a=1&b", "x y")
	f.Add("%zz&;=&", "\xff\x00")
	f.Fuzz(func(t *testing.T, raw, value string) {
		parseQuery(nil, raw)
		q, ok := parseQuery(nil, raw+"&"+url.QueryEscape(value)+"&v="+url.QueryEscape(value))
		if ok && q.get("v") != value {
			t.Fatalf("%q, sent %q", q.get("v"), value)
		}
	})
}

func TestResourcePage(t *testing.T) {
	cases := []struct {
		raw           string
		limit, offset int
		ok            bool
	}{
		{"", 0, 0, true},
		{"limit=5", 5, 0, true},
		{"limit=5&offset=7", 5, 7, true},
		{"offset=3", 10, 3, true},
		{"offset=0", 10, 0, true},
		{"limit=10000", 10000, 0, true},
		{"limit=0", 0, 0, false},
		{"limit=-1", 0, 0, false},
		{"limit=abc", 0, 0, false},
		{"limit=01", 0, 0, false},
		{"limit=%2B1", 0, 0, false},
		{"limit=", 0, 0, false},
		{"limit=99999999999999999999", 0, 0, false},
		{"offset=-1", 0, 0, false},
		{"offset=", 0, 0, false},
		{"offset=x", 0, 0, false},
	}
	for _, c := range cases {
		q, _ := parseQuery(nil, c.raw)
		limit, offset, err := q.resourcePage(0)
		if (err == nil) != c.ok || limit != c.limit && c.ok || offset != c.offset && c.ok {
			t.Errorf("%q: %d %d %v", c.raw, limit, offset, err)
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", c.raw, err)
		}
	}
}

func TestResourcePageIsBounded(t *testing.T) {
	for raw, want := range map[string]int{
		"":              1000,
		"offset=3":      10,
		"limit=1000":    1000,
		"limit=10000":   10000, // what clients send for "all"
		"limit=1001":    -1,
		"limit=1000000": -1,
	} {
		q, _ := parseQuery(nil, raw)
		limit, _, err := q.resourcePage(1000)
		if want < 0 {
			if !fault.Is(err, fault.Invalid) || err.Error() != "'Limit' parameter must not exceed 1000" {
				t.Errorf("%q: %v", raw, err)
			}
		} else if err != nil || limit != want {
			t.Errorf("%q: %d %v", raw, limit, err)
		}
	}
}

func TestMemberPage(t *testing.T) {
	cases := []struct {
		raw           string
		limit, offset int
		ok            bool
	}{
		{"", 0, 0, true},
		{"limit=5", 5, 0, true},
		{"limit=5x&offset=2y", 5, 2, true},
		{"offset=3", 10, 3, true},
		{"offset=abc", 10, 0, true},
		{"limit=0", 0, 0, false},
		{"limit=abc", 0, 0, false},
		{"limit=", 0, 0, false},
		{"limit=-2", 0, 0, false},
		{"offset=-1", 0, 0, false},
		{"limit=99999999999999999999", 1_000_000_000, 0, true},
	}
	for _, c := range cases {
		q, _ := parseQuery(nil, c.raw)
		limit, offset, err := q.memberPage()
		if (err == nil) != c.ok || limit != c.limit && c.ok || offset != c.offset && c.ok {
			t.Errorf("%q: %d %d %v", c.raw, limit, offset, err)
		}
	}
}

func TestVersionParameter(t *testing.T) {
	cases := []struct {
		raw  string
		want int
		ok   bool
	}{
		{"", 0, true},
		{"version=3", 3, true},
		{"version=+3+", 3, true},
		{"version=0x10", 16, true},
		{"version=0b11", 3, true},
		{"version=0o17", 15, true},
		{"version=0", math.MaxInt, true},
		{"version=-1", math.MaxInt, true},
		{"version=99999999999999999999", math.MaxInt, true},
		{"version=", 0, false},
		{"version=two", 0, false},
		{"version=1.5", 0, false},
	}
	for _, c := range cases {
		q, _ := parseQuery(nil, c.raw)
		got, err := q.version()
		if (err == nil) != c.ok || got != c.want && c.ok {
			t.Errorf("%q: %d %v", c.raw, got, err)
		}
	}
}

func TestVariablesParameter(t *testing.T) {
	cases := []struct {
		name, raw string
		want      []ident.ID
		kind      fault.Kind // if want is nil
	}{
		{"missing", "", nil, fault.Argument},
		{"empty", "variable_ids=", nil, fault.Argument},
		{"only commas", "variable_ids=,,", nil, fault.Argument},
		{"empty element", "variable_ids=a:variable:x,,a:variable:y", nil, fault.Argument},
		{"trailing comma", "variable_ids=a:variable:x,", []ident.ID{"a:variable:x"}, 0},
		{"commas encoded", "variable_ids=a%3Avariable%3Ax%2Ca%3Avariable%3Ay%2Fz", []ident.ID{"a:variable:x", "a:variable:y/z"}, 0},
		{"the same id twice", "variable_ids=a:variable:x,a:variable:y,a:variable:x", []ident.ID{"a:variable:x", "a:variable:y"}, 0},
		{"no trimming", "variable_ids=a:variable:x,+a:variable:y", []ident.ID{"a:variable:x", " a:variable:y"}, 0},
		{"not a full id", "variable_ids=x", nil, fault.NotFound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q, _ := parseQuery(nil, c.raw)
			got, err := q.variables()
			if c.want == nil && !fault.Is(err, c.kind) || c.want != nil && (err != nil || !slices.Equal(got, c.want)) {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}
