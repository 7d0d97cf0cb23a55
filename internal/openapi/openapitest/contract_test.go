package openapitest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const small = `
openapi: 3.1.0
paths:
  /things/{id}:
    get:
      parameters:
      - {name: id, in: path}
      - {name: count, in: query}
      responses:
        '200':
          headers: {X-Must: {required: true, schema: {const: "yes"}}, X-May: {$ref: '#/components/headers/May'}}
          content:
            application/json:
              schema:
                anyOf:
                - {title: '?count=true', type: object, required: [count]}
                - {title: otherwise, $ref: '#/components/schemas/Things'}
            text/plain: {schema: {type: string, pattern: '^a'}}
        '204': {}
        '401': {$ref: '#/components/responses/Unauthorized'}
components:
  headers:
    May: {schema: {type: string, pattern: '^[0-9]$'}}
  responses:
    Unauthorized: {x-empty: true, content: {text/plain: {schema: {type: string}}}}
  schemas:
    Things: {type: array, items: {type: integer}}
`

const get = "GET /things/{id}"

func TestCheck(t *testing.T) {
	must, may := []string{"X-Must", "yes"}, []string{"X-May", "7"}
	cases := []struct {
		name      string
		operation string
		query     string
		status    int
		headers   [][]string
		body      string
		want      string // part of the error, "" for none
	}{
		{"as documented", get, "", 200, [][]string{must, {"Content-Type", "application/json; charset=utf-8"}}, `[1,2]`, ""},
		{"with what may be", get, "", 200, [][]string{must, may, {"Content-Type", "application/json"}}, `[]`, ""},
		{"another shape by query", get, "count=true", 200, [][]string{must, {"Content-Type", "application/json"}}, `{"count":1}`, ""},
		{"another content type", get, "", 200, [][]string{must, {"Content-Type", "text/plain"}}, `abc`, ""},
		{"one of a list of content types", get, "", 200, [][]string{must, {"Content-Type", "a/b;q=0.1, text/plain"}}, `abc`, ""},
		{"without a body", get, "", 204, nil, ``, ""},
		{"by reference, empty", get, "", 401, [][]string{{"Content-Type", "text/html"}}, ``, ""},
		{"no route", "", "", 401, [][]string{{"Content-Type", "text/plain"}}, `no`, ""},

		{"unknown operation", "GET /other", "", 200, nil, ``, "the document has no GET /other"},
		{"unknown status", get, "", 404, nil, ``, "not documented to answer 404"},
		{"status of no route", "", "", 200, nil, ``, "no route fits"},
		{"header missing", get, "", 200, [][]string{{"Content-Type", "application/json"}}, `[]`, "X-Must is missing"},
		{"header unknown", get, "", 200, [][]string{must, {"X-Other", "1"}, {"Content-Type", "application/json"}}, `[]`, "X-Other is not documented"},
		{"header wrong", get, "", 200, [][]string{must, {"X-May", "seven"}, {"Content-Type", "application/json"}}, `[]`, "header X-May"},
		{"header twice", get, "", 200, [][]string{must, may, may, {"Content-Type", "application/json"}}, `[]`, "sent 2 times"},
		{"shape wrong", get, "", 200, [][]string{must, {"Content-Type", "application/json"}}, `["x"]`, "the body"},
		{"shape of another query", get, "", 200, [][]string{must, {"Content-Type", "application/json"}}, `{"count":1}`, "the body"},
		{"shape not of this query", get, "count=true", 200, [][]string{must, {"Content-Type", "application/json"}}, `[]`, "the body"},
		{"not JSON", get, "", 200, [][]string{must, {"Content-Type", "application/json"}}, `{`, "not JSON"},
		{"empty", get, "", 200, [][]string{must, {"Content-Type", "application/json"}}, ``, "not JSON"},
		{"text wrong", get, "", 200, [][]string{must, {"Content-Type", "text/plain"}}, `b`, "the body"},
		{"content type unknown", get, "", 200, [][]string{must, {"Content-Type", "text/html"}}, `a`, "not documented"},
		{"content type missing", get, "", 200, [][]string{must}, `a`, "not documented"},
		{"body where none may be", get, "", 204, nil, `x`, "has a body"},
		{"type where none may be", get, "", 204, [][]string{{"Content-Type", "text/plain"}}, ``, "has a body"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			contract, err := Parse([]byte(small))
			if err != nil {
				t.Fatal(err)
			}
			query, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Date": {"now"}, "Content-Length": {"1"}}
			for _, h := range c.headers {
				header.Add(h[0], h[1])
			}
			err = contract.Check(Exchange{Operation: c.operation, Method: "GET", Query: query, Status: c.status, Header: header, Body: []byte(c.body)})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestUnseen(t *testing.T) {
	contract, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := contract.Unseen(), []string{get + " 200", get + " 200 ?count=true", get + " 200 otherwise", get + " 204", get + " 401"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := contract.Check(Exchange{Operation: get, Method: "GET", Status: 200, Body: []byte(`[]`),
		Header: http.Header{"X-Must": {"yes"}, "Content-Type": {"application/json"}}}); err != nil {
		t.Fatal(err)
	}
	if got, want := contract.Unseen(), []string{get + " 200 ?count=true", get + " 204", get + " 401"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParameter(t *testing.T) {
	contract, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	const roles = "GET /roles/{account}/{kind}/{id}"
	if p := contract.Parameter(roles, "path", "kind"); p == nil || p["schema"].(map[string]any)["enum"] == nil {
		t.Errorf("%v", p)
	}
	if p := contract.Parameter(roles, "query", "kind"); p == nil || p["in"] != "query" {
		t.Errorf("%v", p)
	}
	if p := contract.Parameter(roles, "query", "nothing"); p != nil {
		t.Errorf("%v", p)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"{", "[]", "1: {2: x}", ""} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
