package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rekey/internal/core"
)

const factoryPolicy = `
- !policy
  id: app
  body:
    - !layer web
    - !layer spare
    - !host-factory {id: hf, layers: [!layer web, !layer spare]}
- !group not-a-factory
- !host other
- !user maker
- !user looker
- !user outsider
- !permit {role: !user maker, privileges: [read, execute], resource: !host-factory app/hf}
- !permit {role: !user looker, privileges: [read], resource: !host-factory app/hf}
`

type factoryTokens []struct {
	Expiration string
	CIDR       []string `json:"cidr"`
	Token      string
}

// factory is a server with a host factory and people who may do more or less with it.
type factory struct {
	*testServer
	maker, looker, outsider string
}

func newFactory(t *testing.T) factory {
	s := newTestServer(t)
	keys := s.load(factoryPolicy)
	as := func(name string) string { return s.token(name, keys["acme:user:"+name]) }
	return factory{s, as("maker"), as("looker"), as("outsider")}
}

func (f factory) make(body string) factoryTokens {
	f.Helper()
	var made factoryTokens
	f.call("POST", "/host_factory_tokens").as(f.maker).data("host_factory=acme:host_factory:app/hf&" + body).send().status(200).confided().decode(&made)
	return made
}

func (f factory) enrol(token, body string) *call {
	return f.call("POST", "/host_factories/hosts").as(`Token token="` + token + `"`).data(body)
}

type enrolled struct {
	ID, Owner, Policy string
	Key               *string `json:"api_key"`
	Annotations       []struct{ Name, Value string }
	Restricted        []string `json:"restricted_to"`
}

func (f factory) enrolled(token, body string) enrolled {
	f.Helper()
	var host enrolled
	f.enrol(token, body).send().status(201).confided().decode(&host)
	return host
}

func TestAHostFactoryTokenEnrolsAHostThatCanAuthenticate(t *testing.T) {
	f := newFactory(t)
	made := f.make("expiration=2050-12-31T00:00:00Z")
	if len(made) != 1 || made[0].Expiration != "2050-12-31T00:00:00Z" || made[0].CIDR == nil || len(made[0].CIDR) != 0 {
		t.Fatalf("%+v", made)
	}
	if !regexp.MustCompile(`^[a-z0-9]{51,56}$`).MatchString(made[0].Token) {
		t.Errorf("a token has the form of an API key")
	}
	host := f.enrolled(made[0].Token, "id=new/h1&annotations[b]=2&annotations[a]=one+two")
	if host.ID != "acme:host:new/h1" || host.Owner != "acme:host_factory:app/hf" || host.Policy != "" || host.Restricted == nil {
		t.Errorf("%+v", host)
	}
	if len(host.Annotations) != 2 || host.Annotations[0].Name != "a" || host.Annotations[0].Value != "one two" {
		t.Errorf("annotations: %+v", host.Annotations)
	}
	f.token("host/new/h1", *host.Key)
	for _, layer := range []string{"app/web", "app/spare"} {
		r := f.call("GET", "/roles/acme/layer/"+url.PathEscape(layer)+"?members&kind=host").as(f.admin).send().status(200)
		if !strings.Contains(r.body, `"admin_option":false,"ownership":false,"role":"acme:layer:`+layer+`","member":"acme:host:new/h1"}`) {
			t.Errorf("%s: %s", layer, r.body)
		}
	}
}

func TestEnrollingAHostAgainReplacesItsKeyAndNothingElse(t *testing.T) {
	f := newFactory(t)
	token := f.make("expiration=2050-12-31")[0].Token
	first := f.enrolled(token, "id=h1&annotations[a]=1")
	second := f.enrolled(token, "id=h1&annotations[a]=2&annotations[b]=3")
	if *first.Key == *second.Key || len(second.Annotations) != 1 || second.Annotations[0].Value != "1" {
		t.Errorf("%+v", second)
	}
	f.call("POST", "/authn/acme/host%2Fh1/authenticate").data(*first.Key).is(401, "")
	f.token("host/h1", *second.Key)
}

func TestAHostThatTheFactoryHasNotMadeIsNotItsToTake(t *testing.T) {
	f := newFactory(t)
	token := f.make("expiration=2050-12-31")[0].Token
	f.enrol(token, "id=other").is(403, "")
	f.load("- !role {kind: host, id: bare}")
	f.enrol(token, "id=bare").is(403, "")
}

func TestWhatIsWrongWithAnEnrolment(t *testing.T) {
	f := newFactory(t)
	token := f.make("expiration=2050-12-31")[0].Token
	missing := `{"error":{"code":"parameter_missing","message":"param is missing or the value is empty: id"}}`
	f.enrol(token, "").is(422, missing)
	f.enrol(token, "id=+").is(422, missing)
	f.enrol(token, "id=conjur/x").is(422, argumentError("Invalid id: conjur/x"))
	f.enrol(token, "id=/conjur/x").is(422, argumentError("Invalid id: /conjur/x"))
	f.enrol(token, "id=a%00b").is(422, argumentError("string contains null byte"))
	f.enrol(token, "id="+strings.Repeat("x", 3000)).send().status(422)
	f.enrol(token, "{").with("Content-Type", "application/json").send().status(400)
	for body, says := range map[string]string{`["id"]`: "it is of type array", `"j0"`: "it is of type string", "{\"id\":\"\xff\"}": "it is not UTF-8"} {
		f.enrol(token, body).with("Content-Type", "application/json").
			is(400, `{"error":{"code":"bad_request","message":"The body is not a JSON object: `+says+`"}}`)
	}
	f.enrol(token, "id=a&id[b]=c").send().status(400)
	f.enrol(token, "id=a").with("Content-Type", "text/plain").is(422, missing)
	f.enrol(token, `{"id":"j1","annotations":{"n":6,"t":true,"z":null,"s":"x"}}`).with("Content-Type", "application/json; charset=utf-8").send().status(201)
	f.enrol(token, `{"id":"j2","annotations":{"n":[6]}}`).with("Content-Type", "application/json").send().status(422)
	f.enrol(token, `{"id":"j2","annotations":[6]}`).with("Content-Type", "application/json").send().status(422)
	f.call("GET", "/resources/acme/host/j2").as(f.admin).send().status(404)
	many := map[string]string{}
	for i := range 200 {
		many[fmt.Sprint("note-", i)] = strings.Repeat("x", 100)
	}
	body, err := json.Marshal(map[string]any{"id": "annotated", "annotations": many})
	must(t, err)
	f.enrol(token, string(body)).with("Content-Type", "application/json").send().status(201)
	// An id in the query counts as well, and the body wins.
	f.call("POST", "/host_factories/hosts?id=q1").as(`Token token="` + token + `"`).send().status(201)
	var host enrolled
	f.call("POST", "/host_factories/hosts?id=q1").as(`Token token="` + token + `"`).data("id=q2").send().status(201).decode(&host)
	if host.ID != "acme:host:q2" {
		t.Errorf("%s", host.ID)
	}
}

func TestATokenThatIsNotGoodIsRefusedWithoutAReason(t *testing.T) {
	f := newFactory(t)
	good := f.make("expiration=2050-12-31&cidr[]=127.0.0.1&cidr[]=10.0.0.0/8")[0]
	if !slices.Equal(good.CIDR, []string{"127.0.0.1/32", "10.0.0.0/8"}) {
		t.Errorf("%v", good.CIDR)
	}
	elsewhere := f.make("expiration=2050-12-31&cidr[]=192.0.2.0/24")[0]
	f.enrolled(good.Token, "id=h1")
	f.enrol(elsewhere.Token, "id=h2").is(401, "")
	f.enrol("unknown", "id=h2").is(401, "")
	f.enrol("", "id=h2").is(401, "")
	f.call("POST", "/host_factories/hosts").data("id=h2").is(401, "")
	f.enrol("no-token", "id="+strings.Repeat("x", jsonBody)).is(401, "") // not 413: nobody has read it
	f.call("POST", "/host_factories/hosts").as(f.admin).data("id=h2").is(401, "")
	f.call("POST", "/host_factories/hosts").as(basic("admin", f.adminKey)).data("id=h2").is(401, "")
}

func TestParametersOfHostFactoryTokens(t *testing.T) {
	f := newFactory(t)
	post := func(body string) *call {
		return f.call("POST", "/host_factory_tokens").as(f.maker).data(body)
	}
	const hf = "host_factory=acme:host_factory:app/hf&"
	post("").is(422, argumentError("host_factory"))
	post("host_factory=acme:host_factory:none&expiration=x").is(404, notFound("host_factory", "none"))
	post("host_factory=nonsense").send().status(404)
	post("host_factory=acme:user:maker").send().status(404) // which it does not see
	f.call("POST", "/host_factory_tokens").as(f.admin).data("host_factory=acme:group:not-a-factory").is(422, argumentError("Invalid resource kind: group"))
	f.call("POST", "/host_factory_tokens").as(f.looker).data(hf).is(403, "")
	f.call("POST", "/host_factory_tokens").as(f.outsider).data(hf).is(404, notFound("host_factory", "app/hf"))
	f.call("POST", "/host_factory_tokens").data(hf).send().status(401)
	post(hf).is(422, argumentError("expiration"))
	for _, count := range []string{"0", "-1", "1.5", "many", ""} {
		post(hf+"expiration=2050-01-01&count="+count).is(422,
			`{"error":{"code":"argument_error","message":"Invalid value for parameter 'count': `+count+`","advice":"Ask for 1 to 1000 tokens at a time."}}`)
	}
	post(hf + "expiration=2050-01-01&count=1001").send().status(422)
	post(hf+"expiration=soon").is(422,
		`{"error":{"code":"argument_error","message":"Input is invalid ISO8601 datetime string: soon","advice":"Write it like 2030-12-31T23:59:59Z."}}`)
	post(hf+"expiration=2017-08-04T22:27:20%2B00:00").is(422,
		argumentError("Value for parameter expiration must be in the future: 2017-08-04T22:27:20+00:00"))
	post(hf+"expiration=2050-01-01&cidr[]=10.0.0.1/8").is(422,
		unprocessable("Invalid IP address or CIDR range '10.0.0.1/8': Value has bits set to right of mask. Did you mean '10.0.0.0/8'?"))
	post(hf+"expiration=2050-01-01&cidr[]=x").is(422, unprocessable("Invalid IP address or CIDR range 'x'"))
	post(hf + "expiration=2050-01-01&cidr[]=").send().status(422)

	for sent, want := range map[string]string{
		"2050-12-31":                       "2050-12-31T00:00:00Z",
		"2050-12-31T10:20:30Z":             "2050-12-31T10:20:30Z",
		"2050-12-31T10:20:30%2B02:00":      "2050-12-31T08:20:30Z",
		"2050-12-31T10:20:30.123456":       "2050-12-31T10:20:30Z",
		"2050-12-31t10:20:30.5z":           "2050-12-31T10:20:30Z",
		"20501231T102030-0100":             "2050-12-31T11:20:30Z",
		"2050-12-31T10:20":                 "2050-12-31T10:20:00Z",
		"2050-12-31T10:20:30.123456-00:30": "2050-12-31T10:50:30Z",
	} {
		if got := f.make("expiration=" + sent)[0].Expiration; got != want {
			t.Errorf("%s: %s, want %s", sent, got, want)
		}
	}
	if got := f.make("expiration=2050-01-01&count=3"); len(got) != 3 || got[0].Token == got[1].Token {
		t.Errorf("%d tokens", len(got))
	}
	var made factoryTokens
	post(`{"host_factory":"acme:host_factory:app/hf","expiration":"2050-01-01","count":2,"cidr":["::1"]}`).
		with("Content-Type", "application/json").send().status(200).decode(&made)
	if len(made) != 2 || made[0].CIDR[0] != "::1/128" {
		t.Errorf("%+v", made)
	}
}

func TestARevokedTokenIsDeadAtOnce(t *testing.T) {
	f := newFactory(t)
	token := f.make("expiration=2050-12-31")[0].Token
	target := "/host_factory_tokens/" + token
	f.call("DELETE", target).send().status(401)
	f.call("DELETE", target).as(f.maker).is(403, "") // it may make tokens only
	f.call("DELETE", target).as(f.outsider).is(404, notFound("host_factory", "app/hf"))
	f.enrolled(token, "id=h1")
	f.call("DELETE", target).as(f.admin).is(204, "")
	f.enrol(token, "id=h1").is(401, "")
	f.call("DELETE", "/host_factory_tokens/T").as(f.admin).is(404, `{"error":{"code":"not_found","message":"Host_factory_token 'T' not found in account '*'",`+
		`"target":"host_factory_token","details":{"code":"not_found","target":"id","message":"*:host_factory_token:T"}}}`)
}

func TestTokensAreShownOnlyToThoseWhoCouldMakeThem(t *testing.T) {
	f := newFactory(t)
	token := f.make("expiration=2050-12-31&cidr[]=10.0.0.0/8")[0].Token
	for _, target := range []string{"/resources/acme/host_factory/app%2Fhf", "/resources/acme?kind=host_factory"} {
		f.call("GET", target).as(f.maker).send().status(200).confided().mentions(`"tokens":[{"expiration":"2050-12-31T00:00:00Z","cidr":["10.0.0.0/8"],"token":"` + token + `"}]`)
		f.call("GET", target).as(f.admin).send().status(200).mentions(token)
		f.call("GET", target).as(f.looker).send().status(200).mentions(`"tokens":[{"expiration":"2050-12-31T00:00:00Z","cidr":["10.0.0.0/8"]}]`)
	}
}

func (r *reply) mentions(part string) *reply {
	r.s.Helper()
	if !strings.Contains(r.body, part) {
		r.s.Errorf("%s: no %s in %s", r.what, part, r.body)
	}
	return r
}

func TestAHostThatSaysItUsesNoAPIKeyGetsNone(t *testing.T) {
	f := newFactory(t)
	token := f.make("expiration=2050-12-31")[0].Token
	for range 2 {
		if host := f.enrolled(token, "id=h1&annotations[authn/api-key]=false"); host.Key != nil {
			t.Error("it has a key")
		}
	}
}

func TestWithoutAPIKeysByDefaultAHostMustAskForOne(t *testing.T) {
	s := newTestServerWith(t, func(c *core.Config) { c.APIKeyDefault = false })
	keys := s.load(strings.ReplaceAll(factoryPolicy, "- !host other\n", ""))
	f := factory{testServer: s, maker: s.token("maker", keys["acme:user:maker"])}
	token := f.make("expiration=2050-12-31")[0].Token
	f.enrol(token, "id=h1").send().status(422).mentions(`"code":"policy_invalid","message":"API key authentication for hosts is disabled by default`)
	f.call("GET", "/resources/acme/host/h1").as(f.admin).send().status(404)
	if host := f.enrolled(token, "id=h1&annotations[authn/api-key]=true"); host.Key == nil {
		t.Error("it has no key")
	}
}

func TestHostFactoriesCanBeTakenAway(t *testing.T) {
	s := newTestServer(t)
	off := New(s.core, Options{NoHostFactories: true})
	for _, r := range []struct{ method, path string }{
		{"POST", "/host_factory_tokens"}, {"DELETE", "/host_factory_tokens/x"}, {"POST", "/host_factories/hosts"},
	} {
		request := httptest.NewRequest(r.method, r.path, nil)
		request.Header.Set("Authorization", s.admin)
		answer := httptest.NewRecorder()
		off.ServeHTTP(answer, request)
		if answer.Code != 404 {
			t.Errorf("%s %s: %d", r.method, r.path, answer.Code)
		}
	}
}
