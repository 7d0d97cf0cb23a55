package httpapi

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/openapi/openapitest"
)

var contract = func() *openapitest.Contract {
	c, err := openapitest.Open()
	if err != nil {
		panic(err)
	}
	return c
}()

// unseen are the documented answers that no test gets, with the reason.
var unseen = []struct{ answers, reason string }{
	{`.* 500`, "a defect or a broken store; TestDefects and the table of failures have its shape"},
	{`.* 503`, "the audit or the store does not work; the table of failures has its shape"},
	{`(DELETE /accounts|(POST|DELETE) /roles|(POST|PATCH|PUT) /policies|(PATCH|DELETE) /(branches|workloads)|DELETE /(groups|hosts)|(PATCH|DELETE) /authenticators)/.* 409`,
		"another load takes more than ten seconds; the table of failures has its shape"},
	{`(GET /authn/.*/login|PUT /.*/api_key|PUT /.*/password|POST /secrets/{account}/{kind}.*|PATCH /{authenticator}/.*|(POST|DELETE) /host_factor.*) 409`,
		"rows change faster than requests can follow; the table of failures has its shape"},
	{`GET /(api_keys/.*|events/.*|deliveries/.*|authn/.*/(login|status)|public_keys/.*|roles/.*|rotations/.*|whoami) 403`, tokenForOthers},
	{`.* /(branches|groups)/.* 403`, tokenForOthers},
	{`.* /(workloads|hosts).* 403`, tokenForOthers},
	{`GET /authenticators/.* 403`, tokenForOthers},
	{`.* /secrets/(.*/)?(static|values).* 403`, tokenForOthers},
}

const tokenForOthers = "a token for other networks than the client's, which this server does not issue"

// TestMain asks, after all tests, for documented answers that none of them has seen.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 && everything() {
		for _, complaint := range neverSeen() {
			fmt.Println("the document of the wire:", complaint)
			code = 1
		}
	}
	os.Exit(code)
}

// everything tells whether all tests were to be run.
func everything() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

func neverSeen() (complaints []string) {
	left := contract.Unseen()
	for _, u := range unseen {
		rule := regexp.MustCompile("^" + u.answers + "$")
		before := len(left)
		left = slices.DeleteFunc(left, rule.MatchString)
		if len(left) == before {
			complaints = append(complaints, "there is no answer like "+u.answers+" that is not seen: "+u.reason)
		}
	}
	for _, name := range left {
		complaints = append(complaints, "no test gets "+name)
	}
	return complaints
}

// documented holds every answer of a server against the document.
func documented(t *testing.T, server http.Handler) http.Handler {
	table := newRouting(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept := &keeper{ResponseWriter: w, status: http.StatusOK}
		server.ServeHTTP(kept, r)
		if r.Method == "FOO" && kept.status == http.StatusNotImplemented {
			return // not a method of HTTP that the document could speak of
		}
		err := contract.Check(openapitest.Exchange{
			Operation: operationOf(table, r), Method: r.Method, Query: r.URL.Query(),
			Status: kept.status, Header: w.Header(), Body: kept.body.Bytes(),
		})
		if err != nil {
			t.Errorf("not as documented: %s %.200s: %v\n%.300s", r.Method, r.URL.RequestURI(), err, kept.body.String())
		}
	})
}

// keeper remembers an answer that passes through.
type keeper struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap lets streams flush.
func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

func (k *keeper) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

func (k *keeper) Write(p []byte) (int, error) {
	_, _ = k.body.Write(p) // never fails
	return k.ResponseWriter.Write(p)
}

// operationOf is the operation whose route a request takes, "" if it takes none.
func operationOf(table routing, r *http.Request) string {
	if r.Method == http.MethodOptions && r.URL.Path == "/" {
		return "OPTIONS /"
	}
	e := &exchange{r: r}
	e.query, _ = parseQuery(nil, r.URL.RawQuery)
	row, _ := table.find(e)
	if row == nil {
		return ""
	}
	return operationName(row.route)
}

var placeholder = regexp.MustCompile(`[:*](?:[a-z]+_)?([a-z]+)`)

// operationName is what the document calls a route. A selector is one of the
// operation's parameters, and the kind of a path is always one too.
func operationName(row route) string {
	path, _, _ := strings.Cut(row.pattern, "?")
	path = strings.Replace(path, "/secrets/:account/variable/", "/secrets/:account/:any_kind/", 1)
	path = strings.Replace(path, "/workloads/:account", "/workloads/:id", 1)
	return row.method + " " + placeholder.ReplaceAllString(path, "{$1}")
}

func TestOpenAPI(t *testing.T) {
	s := newTestServer(t)
	r := s.call("GET", "/openapi.yaml").send().status(200).has("Content-Type", "application/yaml")
	if !strings.HasPrefix(r.body, "openapi: 3.1.") {
		t.Errorf("%.100s", r.body)
	}
}

func TestEveryRouteIsDocumented(t *testing.T) {
	missing := map[string]bool{}
	for _, name := range contract.Operations() {
		missing[name] = true
	}
	delete(missing, "OPTIONS /") // is answered before there are routes
	for _, row := range routes {
		name := operationName(row)
		operation := contract.Operation(name)
		if operation == nil {
			t.Errorf("the document lacks %s", name)
			continue
		}
		delete(missing, name)
		if _, selector, ok := strings.Cut(row.pattern, "?"); ok && contract.Parameter(name, "query", selector) == nil {
			t.Errorf("%s lacks parameter %s", name, selector)
		}
		if row.body > noBody && operation["requestBody"] == nil {
			t.Errorf("%s lacks a request body", name)
		}
		switch security, stated := operation["security"].([]any); {
		case row.credential == token && stated:
			t.Errorf("%s takes a token, as everything does", name)
		case row.credential == none && (!stated || len(security) > 0 && row.pattern != "/host_factories/hosts"):
			t.Errorf("%s takes no credential of a role: %v", name, security)
		case row.credential == optional && len(security) == 0:
			t.Errorf("%s takes a token or not: %v", name, security)
		}
		for word := range strings.SplitSeq(row.pattern, "/") {
			word, _, _ = strings.Cut(word, "?")
			if !strings.HasSuffix(word, "_kind") || parts[word].fits == nil {
				continue
			}
			list, _ := contract.Parameter(name, "path", "kind")["schema"].(map[string]any)["enum"].([]any)
			if len(list) == 0 {
				t.Errorf("%s does not say which kinds there are", name)
			}
			for _, kind := range list {
				if !parts[word].fits(kind.(string)) {
					t.Errorf("%s: the document has kind %s, the route has not", name, kind)
				}
			}
			for _, kind := range resourceKinds {
				if parts[word].fits(kind) && !slices.Contains(list, any(kind)) {
					t.Errorf("%s: the document lacks kind %s", name, kind)
				}
			}
		}
	}
	for name := range missing {
		t.Errorf("the document has %s, which is no route", name)
	}
}

// What is refused before a route is asked is refused by all of them.
func TestEveryRouteRefuses(t *testing.T) {
	s := newTestServer(t, may("read", "execute", "update"))
	s.load("- !layer web\n- !host-factory { id: hf, layers: [ !layer web ] }")
	var made factoryTokens
	s.call("POST", "/host_factory_tokens").as(s.admin).data("host_factory=acme:host_factory:hf&expiration=" +
		url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))).send().status(200).decode(&made)
	factory := `Token token="` + made[0].Token + `"`
	example := strings.NewReplacer(":account", "acme", ":service", "service", ":role_kind/*id", "group/ops", ":resource_kind", "variable",
		":any_kind", "variable", ":value_kind", "variable", ":key_kind", "user", "/policy/*id", "/policy/root", "*id", "db", ":id", "alice")
	for _, row := range routes {
		s.run(row.method+" "+row.pattern, func(s *testServer) {
			target := example.Replace(row.pattern)
			if strings.HasSuffix(target, "/authenticate") {
				target = strings.Replace(target, ":authenticator", "authn-x", 1)
			}
			target = strings.Replace(target, ":authenticator", "authn", 1)
			join := "?"
			if strings.Contains(target, "?") {
				join = "&"
			}
			request := func(query string) *call { return s.call(row.method, target+join+query).as(s.admin) }

			request("").with("Accept", "nonsense").is(406, "").has("Content-Type", "text/html; charset=utf-8")
			request("a=%zz").send().status(400)
			request("").with("X-Forwarded-For", "nowhere").send().status(400)
			request("a=%00").is(422, argumentError("string contains null byte"))
			if row.body > noBody {
				r := httptest.NewRequest(row.method, target, nil)
				r.Header.Set("Authorization", s.admin)
				if row.pattern == "/host_factories/hosts" {
					r.Header.Set("Authorization", factory)
				}
				if contract.Parameter(operationName(row), "header", "Accept") != nil {
					r.Header.Set("Accept", v2Type)
				}
				r.ContentLength = row.body + 1
				w := httptest.NewRecorder()
				s.handler.ServeHTTP(w, r)
				if w.Code != 413 {
					s.Errorf("a body beyond the limit: %d %s", w.Code, w.Body)
				}
			}
			if row.credential != none {
				s.call(row.method, target).as(`Token token="e30="`).is(401, "Unauthorized: Invalid token")
			}
			if row.credential == token {
				s.call(row.method, target).is(401, "Authorization missing")
			}
		})
	}
}

// Whatever may be kept by a client need not be sent again.
func TestNotModified(t *testing.T) {
	s := newTestServer(t, may("read"))
	keys := s.load("- !group ops\n- !user alice\n- !host web\n- !variable db\n- !variable { id: rotated, annotations: { rotation/rotator: memory/password } }")
	s.call("POST", "/policies/acme/policy/root").as(s.admin).data("- !policy app").send().status(201)
	s.set("db", "value")
	targets := map[string]string{
		"/:authenticator/:account/api_key":                       "/authn/acme/api_key",
		"/api_keys/:account":                                     "/api_keys/acme",
		"/public_keys/:account/:key_kind/*id":                    "/public_keys/acme/user/alice",
		"/resources/:account":                                    "/resources/acme",
		"/resources/:account/:resource_kind":                     "/resources/acme/variable",
		"/resources/:account/:resource_kind/*id":                 "/resources/acme/variable/db",
		"/resources/:account/:resource_kind/*id?permitted_roles": "/resources/acme/variable/db?permitted_roles&privilege=read",
		"/roles/:account/:role_kind/*id":                         "/roles/acme/group/ops",
		"/secrets/:account/variable/*id":                         "/secrets/acme/variable/db",
		"/secrets":                                               "/secrets?variable_ids=acme:variable:db",
		"/secrets/:account/static/*id":                           "/secrets/acme/static/db",
		"/secrets/:account/static/*id/permissions":               "/secrets/acme/static/db/permissions",
		"/secrets/static/*id":                                    "/secrets/static/db",
		"/secrets/static/*id/permissions":                        "/secrets/static/db/permissions",
		"/deliveries/:account":                                   "/deliveries/acme",
		"/rotations/:account":                                    "/rotations/acme",
		"/rotations/:account/variable/*id":                       "/rotations/acme/variable/rotated",
		"/rotations/:account/variable/*id?history":               "/rotations/acme/variable/rotated?history",
		"/workloads/*id":                                         "/workloads/web",
		"/branches/:account":                                     "/branches/acme",
		"/branches/:account/*id":                                 "/branches/acme/app",
		"/policies/:account/policy/*id":                          "/policies/acme/policy/root",
		"/policies/:account/policy/*id?version":                  "/policies/acme/policy/root?version=1",
		"/policies/:account/policy/*id?diff":                     "/policies/acme/policy/root?diff=1..2",
	}
	for _, row := range routes {
		operation := contract.Operation(operationName(row))
		if responses, _ := operation["responses"].(map[string]any); row.method != "GET" || responses["304"] == nil {
			continue
		}
		target, ok := targets[row.pattern]
		if path, selector, _ := strings.Cut(row.pattern, "?"); !ok && targets[path] != "" {
			if selector == "check" {
				continue // has no body
			}
			target = targets[path] + "?" + selector
		} else if !ok {
			target = row.pattern
		}
		as := s.admin
		if row.credential == optional {
			as = basic("alice", keys["acme:user:alice"])
		}
		request := s.call("GET", target).as(as).with("If-None-Match", "*")
		if contract.Parameter(operationName(row), "header", "Accept") != nil {
			request.with("Accept", v2Type)
		}
		request.is(304, "")
	}
}
