package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const goodPassword = "My-Secret-Pass-12"

func TestLogin(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !user alice\n- !host app/h1\n- !group ops")
	alice := keys["acme:user:alice"]
	s.password("alice", alice, goodPassword)

	s.run("with the API key", func(s *testServer) {
		s.call("GET", "/authn/acme/login").as(basic("alice", alice)).is(200, alice).
			has("Content-Type", "text/plain; charset=utf-8").confided()
	})
	s.run("with the password", func(s *testServer) {
		s.call("GET", "/authn/acme/login").as(basic("alice", goodPassword)).is(200, alice)
	})
	s.run("by full login name", func(s *testServer) {
		s.call("GET", "/authn/acme/login").as(basic("user/alice", alice)).is(200, alice)
		s.call("GET", "/authn/acme/login").as(basic("host/app/h1", keys["acme:host:app/h1"])).is(200, keys["acme:host:app/h1"])
	})
	s.run("with a service in the path", func(s *testServer) {
		s.call("GET", "/authn/service/acme/login").as(basic("alice", alice)).is(200, alice)
	})
	s.run("padding and line breaks do not matter", func(s *testServer) {
		s.call("GET", "/authn/acme/login").as(strings.TrimRight(basic("alice", alice), "=")).is(200, alice)
	})
	s.run("Accept-Encoding base64 is ignored", func(s *testServer) {
		s.call("GET", "/authn/acme/login").as(basic("alice", alice)).with("Accept-Encoding", "base64").is(200, alice).has("Content-Encoding", "")
	})
	refused := map[string]string{
		"no credentials":     "",
		"lower-case scheme":  strings.Replace(basic("alice", alice), "Basic", "basic", 1),
		"wrong secret":       basic("alice", "wrong"),
		"unknown role":       basic("nobody", alice),
		"role without a key": basic("group/ops", alice),
		"empty secret":       basic("alice", ""),
		"empty login":        basic("", alice),
		"no colon":           "Basic " + base64.StdEncoding.EncodeToString([]byte("alice")),
		"not base64":         "Basic ???",
		"not UTF-8":          basic("\xff", alice),
		"token":              s.admin,
		"login URL-encoded":  basic("user%2Falice", alice),
	}
	for name, authorization := range refused {
		s.run(name+" is 401", func(s *testServer) {
			c := s.call("GET", "/authn/acme/login")
			if authorization != "" {
				c.as(authorization)
			}
			c.is(401, "").has("Content-Type", "text/html").has("Www-Authenticate", "")
		})
	}
	s.run("unknown account is 401", func(s *testServer) {
		s.call("GET", "/authn/none/login").as(basic("alice", alice)).is(401, "")
	})
	s.run("authenticator that does not exist is 404", func(s *testServer) {
		s.call("GET", "/authn-foo/acme/login").as(basic("alice", alice)).is(404, "")
	})
}

func TestAuthenticate(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(`
- !user alice
- !host app/h1
- !user
  id: far
  restricted_to: 192.0.2.0/24
- !user
  id: near
  restricted_to: [ 127.0.0.1, 192.0.2.0/24 ]
`)
	alice := keys["acme:user:alice"]
	s.run("gives an access token", func(s *testServer) {
		got := s.call("POST", "/authn/acme/alice/authenticate").data(alice).send().status(200).
			has("Content-Type", "application/json; charset=utf-8").has("Content-Encoding", "").confided()
		var token struct{ Protected, Payload, Signature string }
		got.decode(&token)
		payload, err := base64.URLEncoding.DecodeString(token.Payload)
		must(s.T, err)
		var claims struct {
			Sub      string
			Iat, Exp int64
		}
		must(s.T, json.Unmarshal(payload, &claims))
		if claims.Sub != "alice" || claims.Exp-claims.Iat != 480 || token.Protected == "" || token.Signature == "" {
			s.Errorf("%s", payload)
		}
	})
	s.run("in base64", func(s *testServer) {
		for _, header := range []string{"base64", "gzip, Base64", "identity,base64"} {
			got := s.call("POST", "/authn/acme/alice/authenticate").with("Accept-Encoding", header).data(alice).send().status(200).
				has("Content-Encoding", "base64").has("Content-Type", "text/plain; charset=utf-8").confided()
			if token, err := base64.StdEncoding.DecodeString(got.body); err != nil || token[0] != '{' {
				s.Errorf("%v %q", err, got.body)
			}
			s.call("GET", "/whoami").as(`Token token="` + got.body + `"`).send().status(200)
		}
		s.call("POST", "/authn/acme/alice/authenticate").with("Accept-Encoding", "base64;q=1").data(alice).send().has("Content-Encoding", "")
	})
	s.run("whatever the content type", func(s *testServer) {
		for _, contentType := range []string{"application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x", "nonsense"} {
			s.call("POST", "/authn/acme/alice/authenticate").with("Content-Type", contentType).data(alice).send().status(200)
		}
	})
	s.run("host with an encoded name", func(s *testServer) {
		s.call("POST", "/authn/acme/host%2Fapp%2Fh1/authenticate").data(keys["acme:host:app/h1"]).send().status(200)
	})
	s.run("host with raw slashes is another path", func(s *testServer) {
		s.call("POST", "/authn/acme/host/h1/authenticate").data(keys["acme:host:app/h1"]).is(401, "")
	})
	s.run("with a service in the path", func(s *testServer) {
		s.call("POST", "/authn/service/acme/alice/authenticate").data(alice).send().status(200)
	})
	s.password("alice", alice, goodPassword)
	for name, key := range map[string]string{"wrong key": "x" + alice[1:], "password": goodPassword, "no body": "", "key with a line break": alice + "\n",
		"key in capitals": strings.ToUpper(alice)} {
		s.run(name+" is 401", func(s *testServer) {
			s.call("POST", "/authn/acme/alice/authenticate").data(key).is(401, "")
		})
	}
	s.run("unknown role or account is 401", func(s *testServer) {
		s.call("POST", "/authn/acme/nobody/authenticate").data(alice).is(401, "")
		s.call("POST", "/authn/none/alice/authenticate").data(alice).is(401, "")
	})
	s.run("restriction to networks", func(s *testServer) {
		s.call("POST", "/authn/acme/far/authenticate").data(keys["acme:user:far"]).is(401, "")
		s.call("POST", "/authn/acme/near/authenticate").data(keys["acme:user:near"]).send().status(200)
		s.call("POST", "/authn/acme/far/authenticate").with("X-Forwarded-For", "192.0.2.7").data(keys["acme:user:far"]).send().status(200)
		s.call("POST", "/authn/acme/near/authenticate").with("X-Forwarded-For", "198.51.100.1").data(keys["acme:user:near"]).is(401, "")
	})
	s.run("authenticator that is not enabled is 401", func(s *testServer) {
		s.call("POST", "/authn-jwt/service/acme/alice/authenticate").data(alice).is(401, "")
		s.call("POST", "/authn-ldap/acme/alice/authenticate").data(alice).is(401, "")
	})
}

func TestChangePassword(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !user alice\n- !user bob\n- !host h1")
	alice := keys["acme:user:alice"]
	put := func(s *testServer, authorization, password string) *call {
		return s.call("PUT", "/authn/acme/password").as(authorization).data(password)
	}
	s.run("with the API key, then the password", func(s *testServer) {
		put(s, basic("alice", alice), goodPassword).is(204, "")
		put(s, basic("alice", goodPassword), goodPassword+"3").is(204, "")
		s.call("GET", "/authn/acme/login").as(basic("alice", goodPassword)).is(401, "")
		s.call("GET", "/authn/acme/login").as(basic("alice", goodPassword+"3")).is(200, alice)
	})
	s.run("weak is 422", func(s *testServer) {
		const rule = "CONJ00046E The password you have chosen does not meet the complexity requirements. Choose a password that includes: " +
			"12-128 characters, 2 uppercase letters, 2 lowercase letters, 1 digit and 1 special character"
		for _, weak := range []string{"", "short", "alllowercase-1234", goodPassword + "\n"} {
			r := put(s, basic("alice", alice), weak).send().status(422)
			var got struct {
				Error struct {
					Code, Message string
					Details       []struct{ Code, Target, Message string }
				}
			}
			r.decode(&got)
			if e := got.Error; e.Code != "validation_failed" || e.Message != "password "+rule || len(e.Details) != 1 ||
				e.Details[0].Code != "validation_failed" || e.Details[0].Target != "password" || e.Details[0].Message != rule {
				s.Errorf("%q: %s", weak, r.body)
			}
		}
	})
	s.run("NUL is 422", func(s *testServer) {
		put(s, basic("alice", alice), goodPassword+"\x00").send().status(422)
	})
	s.run("host is 403", func(s *testServer) {
		put(s, basic("host/h1", keys["acme:host:h1"]), goodPassword).is(403, "")
	})
	s.run("bad credentials are 401", func(s *testServer) {
		put(s, basic("alice", "wrong"), goodPassword).is(401, "")
		s.call("PUT", "/authn/acme/password").data(goodPassword).is(401, "")
		s.call("PUT", "/authn/none/password").as(basic("alice", alice)).data(goodPassword).is(401, "")
	})
	s.run("token is too weak", func(s *testServer) {
		put(s, s.token("alice", alice), goodPassword).is(401, `{"error":{"code":"unauthorized","message":"Credential strength is insufficient"}}`)
	})
	s.run("role", func(s *testServer) {
		to := func(role string) *call {
			return s.call("PUT", "/authn/acme/password?role="+role).as(basic("alice", alice)).data(goodPassword)
		}
		to("user:alice").is(204, "")
		to("acme:user:alice").is(204, "")
		to("user:bob").is(401, "")
		to("user:none").is(404, `{"error":{"code":"not_found","message":"CONJ00123E Resource 'user:none' requested by role 'acme:user:alice' not found"}}`)
	})
}

func TestRotateAPIKey(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(`
- !user alice
- !user carol
- !user reader
- !host app/h1
- !group ops
- !permit { role: !user carol, privileges: [ read, update ], resource: !user alice }
- !permit { role: !user carol, privileges: [ update ], resource: !host app/h1 }
- !permit { role: !user carol, privileges: [ update ], resource: !group ops }
- !permit { role: !user reader, privileges: [ read ], resource: !user alice }
`)
	carol := s.token("carol", keys["acme:user:carol"])
	reader := s.token("reader", keys["acme:user:reader"])
	rotate := func(s *testServer, authorization, query string) *call {
		return s.call("PUT", "/authn/acme/api_key"+query).as(authorization)
	}
	key := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{45,60}$`)

	s.run("oneself with the key", func(s *testServer) {
		old := keys["acme:user:alice"]
		fresh := rotate(s, basic("alice", old), "").send().status(200).has("Content-Type", "text/plain; charset=utf-8").confided().body
		if !key.MatchString(fresh) || fresh == old {
			s.Errorf("key %q", fresh)
		}
		s.call("POST", "/authn/acme/alice/authenticate").data(old).is(401, "")
		s.call("POST", "/authn/acme/alice/authenticate").data(fresh).send().status(200)
		keys["acme:user:alice"] = fresh
	})
	s.run("oneself by name with the password", func(s *testServer) {
		s.password("alice", keys["acme:user:alice"], goodPassword)
		keys["acme:user:alice"] = rotate(s, basic("alice", goodPassword), "?role=user:alice").send().status(200).body
	})
	s.run("a host, oneself", func(s *testServer) {
		keys["acme:host:app/h1"] = rotate(s, basic("host/app/h1", keys["acme:host:app/h1"]), "").send().status(200).body
	})
	s.run("oneself with a token is 401", func(s *testServer) {
		for _, query := range []string{"", "?role=user:carol", "?role=acme:user:carol"} {
			rotate(s, carol, query).is(401, `{"error":{"code":"unauthorized","message":"Credential strength is insufficient"}}`)
		}
	})
	s.run("another with a token and update", func(s *testServer) {
		for _, role := range []string{"user:alice", "acme:user:alice", "acme%3Auser%3Aalice"} {
			keys["acme:user:alice"] = rotate(s, carol, "?role="+role).send().status(200).body
		}
		rotate(s, carol, "?role=host:app/h1").send().status(200)
		s.call("POST", "/authn/acme/alice/authenticate").data(keys["acme:user:alice"]).send().status(200)
	})
	s.run("another with only read is 403", func(s *testServer) { rotate(s, reader, "?role=user:alice").is(403, "") })
	s.run("another with Basic credentials is 401", func(s *testServer) {
		rotate(s, basic("carol", keys["acme:user:carol"]), "?role=user:alice").is(401, "")
	})
	s.run("another that is not seen is 404", func(s *testServer) {
		rotate(s, reader, "?role=host:app/h1").
			is(404, `{"error":{"code":"not_found","message":"CONJ00123E Resource 'acme:host:app/h1' requested by role 'acme:user:reader' not found"}}`)
	})
	s.run("unknown is 404, with the name as given", func(s *testServer) {
		for _, role := range []string{"user:none", "acme:user:none", "variable:x"} {
			rotate(s, carol, "?role="+role).
				is(404, `{"error":{"code":"not_found","message":"CONJ00123E Resource '`+role+`' requested by role 'acme:user:carol' not found"}}`)
		}
	})
	s.run("not a role's name is 422", func(s *testServer) {
		rotate(s, carol, "?role=alice").is(422, argumentError("Expected at least 2 tokens in alice"))
	})
	s.run("role without a key is 405", func(s *testServer) {
		rotate(s, carol, "?role=group:ops").is(405, `{"error":{"code":"method_not_allowed","message":"CONJ00126E Role 'acme:group:ops' is not applicable for key rotation"}}`)
	})
	s.run("nobody is 401", func(s *testServer) {
		s.call("PUT", "/authn/acme/api_key").is(401, "")
		rotate(s, basic("alice", "wrong"), "").is(401, "")
		s.call("PUT", "/authn-ldap/acme/api_key").as(basic("nobody", "x")).is(401, "")
	})
	s.run("good credentials at an authenticator that is not enabled are 401, and the key stays", func(s *testServer) {
		before := s.call("GET", "/authn/acme/login").as(basic("alice", goodPassword)).send().status(200).body
		s.call("PUT", "/authn-ldap/acme/api_key").as(basic("alice", goodPassword)).is(401, "")
		s.call("GET", "/authn-ldap/acme/api_key").as(basic("alice", goodPassword)).is(401, "")
		s.call("GET", "/authn/acme/login").as(basic("alice", goodPassword)).is(200, before)
	})
	s.run("a token does not mind the authenticator", func(s *testServer) {
		s.call("PUT", "/authn-ldap/acme/api_key?role=user:alice").as(carol).send().status(200)
	})
	s.run("another account in the path does not matter for a token", func(s *testServer) {
		s.call("PUT", "/authn/other/api_key?role=acme:user:alice").as(carol).send().status(200)
	})
}

func TestAPIKeyTimestamp(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !user alice\n- !user bob\n- !user reader\n- !group ops\n- !permit { role: !user reader, privileges: [ read ], resource: !user alice }")
	r := s.call("GET", "/authn/acme/api_key").as(basic("alice", keys["acme:user:alice"])).send().status(200)
	if !regexp.MustCompile(`^\{"role":"acme:user:alice","timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}$`).MatchString(r.body) {
		t.Error(r.body)
	}
	s.call("GET", "/authn/acme/api_key?role="+url.QueryEscape("user:alice")).as(s.admin).send().status(200)
	s.call("GET", "/authn/acme/api_key").as(s.admin).send().status(401)
	s.call("GET", "/authn/acme/api_key?role=user:none").as(s.admin).send().status(404)
	s.call("GET", "/authn/acme/api_key?role=group:ops").as(s.admin).send().status(405)
	s.call("GET", "/authn/acme/api_key?role=user:alice").as(s.token("reader", keys["acme:user:reader"])).is(403, "")
	s.call("GET", "/authn/acme/api_key?role=user:alice").as(s.token("bob", keys["acme:user:bob"])).send().status(404)
}

func TestAuthenticatorStatus(t *testing.T) {
	s := newTestServer(t)
	s.call("GET", "/authn/acme/status").as(s.admin).
		is(501, `{"status":"error","error":"CONJ00056E Status check not supported for authenticator 'authn'"}`).
		has("Content-Type", "application/json; charset=utf-8")
	s.call("GET", "/authn/acme/status").is(401, "Authorization missing")
}
