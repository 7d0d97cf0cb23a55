package httpapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
)

func TestStagedRotation(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !host app/h1\n- !user carol\n- !permit { role: !user carol, privileges: [ read, update ], resource: !host app/h1 }")
	key, carol := keys["acme:host:app/h1"], s.token("carol", keys["acme:user:carol"])
	works := func(s *testServer, key string, want int) {
		s.Helper()
		s.call("POST", "/authn/acme/host%2Fapp%2Fh1/authenticate").data(key).send().status(want)
	}
	rotate := func(s *testServer, authorization, query string) *call {
		return s.call("PUT", "/authn/acme/api_key"+query).as(authorization)
	}
	s.run("until its first use both work", func(s *testServer) {
		staged := rotate(s, basic("host/app/h1", key), "?staged&request=1").send().status(200).confided().body
		if again := rotate(s, basic("host/app/h1", key), "?staged=true&request=1").send().status(200).body; again != staged {
			s.Error("asked again, another key")
		}
		works(s, key, 200)
		works(s, staged, 200)
		works(s, key, 401)
		key = staged
	})
	s.run("login is a use", func(s *testServer) {
		staged := rotate(s, basic("host/app/h1", key), "?staged&lapse=60").send().status(200).body
		s.call("GET", "/authn/acme/login").as(basic("host/app/h1", staged)).is(200, staged)
		works(s, key, 401)
		key = staged
	})
	s.run("with a token it is as weak as ever", func(s *testServer) {
		rotate(s, carol, "?staged").is(401, `{"error":{"code":"unauthorized","message":"Credential strength is insufficient"}}`)
	})
	s.run("not for another", func(s *testServer) {
		rotate(s, carol, "?staged&role=host:app/h1").is(422, `{"error":{"code":"argument_error","message":"Only one's own API key is staged, not that of acme:host:app/h1","advice":"To let the present key of another role go on for a while, give old_key instead of staged."}}`)
	})
	s.run("what a script forgot to set is no other rotation", func(s *testServer) {
		for query, says := range map[string]string{
			"?staged&request=": "The parameter request is empty", "?lapse=&staged": "The parameter lapse is empty",
			"?old_key=&role=host:app/h1": "The parameter old_key is empty", "?staged=false": "The parameter staged stands alone or is true",
		} {
			rotate(s, carol, query).is(422, argumentError(says))
		}
		works(s, key, 200)
	})
	s.run("another's key with grace", func(s *testServer) {
		fresh := rotate(s, carol, "?role=host:app/h1&old_key=PT15M").send().status(200).body
		works(s, key, 200)
		s.call("GET", "/authn/acme/login").as(basic("host/app/h1", key)).is(200, fresh)
		rotate(s, basic("host/app/h1", key), "").is(401, `{"error":{"code":"unauthorized","message":"The API key was replaced. It still logs in for a while, but it changes no credentials","advice":"Log in with it to get the current key, and use that."}}`)
		works(s, fresh, 200)
		last := rotate(s, carol, "?role=host:app/h1").send().status(200).body
		works(s, key, 401)
		works(s, fresh, 401)
		works(s, last, 200)
	})
}

func TestListOfKeys(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !host app/h1\n- !user carol\n- !permit { role: !user carol, privileges: [ update ], resource: !host app/h1 }")
	carol := s.token("carol", keys["acme:user:carol"])
	s.call("PUT", "/authn/acme/api_key?role=host:app/h1&old_key=PT15M").as(carol).send().status(200)
	body := s.call("GET", "/api_keys/acme").as(carol).send().status(200).body
	const at = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"`
	want := `^\[\{"role":"acme:host:app/h1","form":"grace","rotated_at":` + at + `,"last_used_at":null,"staged_until":null,"old_key_until":` + at + `,"overdue":false\},` +
		`\{"role":"acme:user:carol","form":"created","rotated_at":` + at + `,"last_used_at":` + at + `,"staged_until":null,"old_key_until":null,"overdue":false\}\]$`
	if !regexp.MustCompile(want).MatchString(body) {
		t.Error(body)
	}
	var listed []struct {
		Old time.Time `json:"old_key_until"`
	}
	if err := json.Unmarshal([]byte(body), &listed); err != nil || time.Until(listed[0].Old) > 15*time.Minute {
		t.Errorf("%v, %v", listed, err)
	}
	for query, want := range map[string]int{"?limit=1": 1, "?offset=1": 1, "?older_than=PT1H": 0, "": 2} {
		if n := strings.Count(s.call("GET", "/api_keys/acme"+query).as(carol).send().status(200).body, `"role"`); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
	s.call("GET", "/api_keys/acme?older_than=90").as(carol).send().status(422)
	s.call("GET", "/api_keys/acme?limit=0").as(carol).send().status(422)
	s.call("GET", "/api_keys/acme").is(401, "Authorization missing")
}

// Given keys that are too old are refused, then the client is told so, and how to go on.
func TestAKeyThatIsTooOldIsToldSo(t *testing.T) {
	s := newTestServerWith(t, func(c *core.Config) { c.EnforceKeyAge = true })
	key := s.load("- !host {id: h, annotations: {authn/api-key-max-age: PT0.001S}}")["acme:host:h"]
	refused := s.call("POST", "/authn/acme/host%2Fh/authenticate").data(key)
	for refused.send().StatusCode == 200 { // within a millisecond it is young enough
	}
	refused.is(401, fmt.Sprintf(`{"error":{"code":"unauthorized","message":%q,"advice":%q}}`, "The API key is older than its policy allows", "Rotate it: it still proves who asks for a new one."))
	s.call("PUT", "/authn/acme/api_key?staged").as(basic("host/h", key)).send().status(200)
}
