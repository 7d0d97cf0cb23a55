package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

const authenticatorPolicy = `
- !policy
  id: conjur
  body:
    - !policy authn-jwt
    - !policy authn-iam
    - !policy authn-gcp
    - !policy authn-oidc
    - !policy authn-ldap
    - !policy
      id: authn-k8s/db
      body:
        - !webservice
        - !webservice status
- !user alice
- !user bob
- !user carol
- !group staff
- !permit {role: !user alice, privileges: [read, create], resource: !policy conjur/authn-jwt}
- !permit {role: !user bob, privileges: [read], resource: !webservice conjur/authn-k8s/db}
- !permit {role: !user carol, privileges: [update], resource: !webservice conjur/authn-k8s/db}
- !permit {role: !user alice, privileges: [read], resource: !group staff}
`

type authenticators struct {
	*testServer
	alice, bob, carol string
}

func newAuthenticators(t *testing.T) authenticators {
	s := newTestServer(t)
	keys := s.load(authenticatorPolicy)
	as := func(name string) string { return s.token(name, keys["acme:user:"+name]) }
	return authenticators{s, as("alice"), as("bob"), as("carol")}
}

func TestTheNamesOfAuthenticatorsNeedNoToken(t *testing.T) {
	s := newAuthenticators(t)
	s.call("GET", "/authenticators").is(200, `{"installed":["authn"],"configured":["authn","authn-k8s/db"],"enabled":["authn"]}`)
	s.call("PATCH", "/authn-k8s/db/acme").as(s.carol).data("enabled=true").is(204, "")
	s.call("GET", "/authenticators").as(`Token token="garbage"`).
		is(200, `{"installed":["authn"],"configured":["authn","authn-k8s/db"],"enabled":["authn","authn-k8s/db"]}`)
}

func TestAnAuthenticatorIsSwitched(t *testing.T) {
	s := newAuthenticators(t)
	patch := func(path, body string) *call { return s.call("PATCH", path).as(s.carol).data(body) }
	enabled := func(want bool) {
		t.Helper()
		has := strings.Contains(s.call("GET", "/authenticators").send().body, `"enabled":["authn","authn-k8s/db"]`)
		if has != want {
			t.Errorf("enabled: %v", has)
		}
	}
	patch("/authn-k8s/db/acme", "enabled=true").with("Content-Type", "application/x-www-form-urlencoded").is(204, "")
	enabled(true)
	patch("/authn-k8s/db/acme", `{"enabled":false}`).with("Content-Type", "application/json").is(204, "")
	enabled(false)
	patch("/authn-k8s/db/acme", "enabled=+TRUE").with("Content-Type", "text/plain").is(204, "")
	enabled(true)
	for _, body := range []string{"", "enabled=yes", "enabled[]=true", "x=true"} {
		patch("/authn-k8s/db/acme", body).is(422, argumentError("enabled: send enabled=true or enabled=false in the body"))
	}
	patch("/authn-k8s/db/acme", "{").with("Content-Type", "application/json").send().status(400)
	enabled(true)
	patch("/authn-k8s/db/nope", "enabled=true").is(401, "")
	patch("/authn-k8s/missing/acme", "enabled=true").is(401, "")
	patch("/authn-k8s/db%2Fstatus/acme", "enabled=true").is(401, "")
	patch("/authn/acme", "enabled=true").is(401, "")
	s.call("PATCH", "/authn-k8s/db/acme").as(s.bob).data("enabled=false").is(403, "")
	s.load("- !webservice conjur/authn-ldap")
	s.call("PATCH", "/authn-ldap/acme").as(s.admin).data("enabled=true").is(204, "")
	s.call("PATCH", "/authn-ldap/acme").as(s.admin).data("enabled=false").is(204, "")
	s.call("PATCH", "/authn-ldap/acme").as(s.bob).data("enabled=true").is(403, "")
	s.call("PATCH", "/authn-k8s/db/acme").data("enabled=false").is(401, "")
	enabled(true)
	// The switch goes with its webservice.
	s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete {record: !webservice conjur/authn-k8s/db}").send().status(201)
	s.load("- !webservice conjur/authn-k8s/db")
	enabled(false)
}

const jwtAuthenticator = `{"type":"jwt","name":"ci","owner":{"kind":"group","id":"staff"},"annotations":{"team":"a"},"data":{"jwks_uri":"https://idp/keys",` +
	`"identity":{"token_app_property":"sub","enforced_claims":["ref","sub"],"claim_aliases":{"branch":"ref"}}}}`

func TestAnAuthenticatorIsMadeAsAPolicyWould(t *testing.T) {
	s := newAuthenticators(t)
	const shown = `{"type":"jwt","branch":"conjur/authn-jwt","name":"ci","enabled":%s,"owner":{"id":"conjur/authn-jwt/ci","kind":"policy"},` +
		`"data":%s,"annotations":{"team":"a"}}`
	const data = `{"identity":{"claim_aliases":{"branch":"ref"},"enforced_claims":["ref","sub"],"token_app_property":"sub"},"jwks_uri":"https://idp/keys"}`
	s.v2("POST", "/authenticators/acme", s.alice).data(jwtAuthenticator).is(201, fmt.Sprintf(shown, "true", data)).confided().has("Content-Type", v2Type)
	s.v2("GET", "/authenticators/acme/jwt/ci", s.admin).is(200, fmt.Sprintf(shown, "true", data)).confided()
	s.call("GET", "/authenticators").send().mentions(`"enabled":["authn","authn-jwt/ci"]`)
	s.call("GET", "/secrets/acme/variable/conjur/authn-jwt/ci/enforced-claims").as(s.admin).is(200, "ref,sub")
	s.call("GET", "/secrets/acme/variable/conjur/authn-jwt/ci/claim-aliases").as(s.admin).is(200, "branch:ref")
	s.call("GET", "/roles/acme/policy/conjur%2Fauthn-jwt%2Fci").as(s.admin).send().mentions(`"member":"acme:group:staff"`)
	for privilege, body := range map[string]string{
		"read":         `["acme:group:conjur/authn-jwt/ci/apps","acme:group:conjur/authn-jwt/ci/operators",`,
		"authenticate": `["acme:group:conjur/authn-jwt/ci/apps","acme:group:staff",`,
	} {
		s.call("GET", "/resources/acme/webservice/conjur%2Fauthn-jwt%2Fci?permitted_roles&privilege="+privilege).as(s.admin).send().mentions(body)
	}
	s.call("GET", "/resources/acme/webservice/conjur%2Fauthn-jwt%2Fci%2Fstatus").as(s.admin).send().status(200).
		mentions(`"permissions":[{"privilege":"read","role":"acme:group:conjur/authn-jwt/ci/operators","policy":"acme:policy:conjur/authn-jwt"}]`)

	// Who sees the webservice does not therefore see its settings.
	s.load("- !permit {role: !user bob, privileges: [read], resource: !webservice conjur/authn-jwt/ci}")
	s.v2("GET", "/authenticators/acme/jwt/ci", s.bob).is(200, fmt.Sprintf(shown, "true", "{}"))
	s.v2("GET", "/authenticators/acme/jwt/ci", s.carol).is(404, v2Error(404, "Authenticator: ci not found in account 'acme'"))
	s.v2("PATCH", "/authenticators/acme/jwt/ci", s.admin).data(`{"enabled":false}`).is(200, fmt.Sprintf(shown, "false", data))
	s.v2("PATCH", "/authenticators/acme/jwt/ci", s.bob).data(`{"enabled":true}`).is(403, "")
	s.v2("POST", "/authenticators/acme", s.alice).data(jwtAuthenticator).is(409, v2Error(409, "The authenticator already exists."))

	s.v2("DELETE", "/authenticators/acme/jwt/ci", s.bob).is(403, "")
	s.v2("DELETE", "/authenticators/acme/jwt/ci", s.carol).send().status(404)
	s.v2("DELETE", "/authenticators/acme/jwt/ci", s.admin).is(204, "")
	s.v2("GET", "/authenticators/acme/jwt/ci", s.admin).send().status(404)
	for _, id := range s.call("GET", "/resources/acme").as(s.admin).send().ids() {
		if strings.Contains(id, "authn-jwt/ci") {
			t.Errorf("%s is left", id)
		}
	}
	s.v2("POST", "/authenticators/acme", s.alice).data(jwtAuthenticator).send().status(201)
}

func TestAuthenticatorsOfEachTypeAreListed(t *testing.T) {
	s := newAuthenticators(t)
	for _, body := range []string{
		`{"type":"aws","name":"prod","enabled":false}`,
		`{"type":"gcp","name":"default"}`,
		`{"type":"ldap","name":"a.b"}`,
		`{"type":"oidc","name":"okta","data":{"provider_uri":"https://x","client_id":"i","client_secret":"s","redirect_uri":"u","claim_mapping":"m"}}`,
	} {
		s.v2("POST", "/authenticators/acme", s.admin).data(body).send().status(201)
	}
	const k8s = `{"type":"k8s","branch":"conjur/authn-k8s","name":"db","enabled":false,"owner":{"id":"conjur/authn-k8s/db","kind":"policy"},"data":{}}`
	s.v2("GET", "/authenticators/acme", s.admin).is(200, `{"authenticators":[`+
		`{"type":"gcp","branch":"conjur/authn-gcp","name":"default","enabled":true,"owner":{"id":"conjur/authn-gcp","kind":"policy"}},`+
		`{"type":"aws","branch":"conjur/authn-iam","name":"prod","enabled":false,"owner":{"id":"conjur/authn-iam/prod","kind":"policy"}},`+
		k8s+`,`+
		`{"type":"ldap","branch":"conjur/authn-ldap","name":"a.b","enabled":true,"owner":{"id":"conjur/authn-ldap/a.b","kind":"policy"},"data":{}},`+
		`{"type":"oidc","branch":"conjur/authn-oidc","name":"okta","enabled":true,"owner":{"id":"conjur/authn-oidc/okta","kind":"policy"},`+
		`"data":{"claim_mapping":"m","client_id":"i","client_secret":"s","provider_uri":"https://x","redirect_uri":"u"}}],"count":5}`)
	s.v2("GET", "/authenticators/acme?type=k8s", s.bob).is(200, `{"authenticators":[`+k8s+`],"count":1}`)
	s.v2("GET", "/authenticators/acme?type=iam&offset=1", s.admin).is(200, `{"authenticators":[],"count":1}`)
	s.v2("GET", "/authenticators/acme?limit=1", s.admin).send().status(200).mentions(`"count":5`)
	s.v2("GET", "/authenticators/acme?limit=0", s.admin).is(422, argumentError("'limit' contains an invalid value. 'limit' must be a positive integer."))
	s.v2("GET", "/authenticators/acme?offset=x", s.admin).is(422, argumentError("'offset' contains an invalid value. 'offset' must be an integer greater than or equal to 0."))
	s.v2("GET", "/authenticators/acme/gcp/default", s.admin).send().status(200)
	s.v2("DELETE", "/authenticators/acme/gcp/default", s.admin).is(204, "")
	s.call("GET", "/resources/acme/policy/conjur%2Fauthn-gcp").as(s.admin).send().status(200)
	s.v2("GET", "/authenticators/acme/gcp/default", s.admin).send().status(404)
}

func TestWhatIsWrongWithAnAuthenticator(t *testing.T) {
	s := newAuthenticators(t)
	s.v2("POST", "/authenticators/acme", s.admin).is(400, v2Error(400, "Request body is empty"))
	s.v2("POST", "/authenticators/acme", s.admin).data("[]").is(400, v2Error(400, "Request JSON is malformed"))
	data := func(kind, data string) string { return `{"type":"` + kind + `","name":"x","data":` + data + `}` }
	jwt := func(rest string) string { return data("jwt", `{"jwks_uri":"u","identity":{`+rest+`}}`) }
	for body, want := range map[string]string{
		`{"name":"x"}`:                                                   "Authenticator type is required",
		`{"type":"foo","name":"x"}`:                                      "'foo' authenticators are not supported.",
		`{"type":"jwt","name":"x","y":1,"x":2}`:                          "The following parameters were not expected: x, y",
		`{"type":"jwt"}`:                                                 "CONJ00190W Missing required parameter: name",
		`{"type":"jwt","name":7}`:                                        "CONJ00192W The 'name' parameter must be of 'type=string'",
		`{"type":"jwt","name":"x","enabled":"true"}`:                     "CONJ00192W The 'enabled' parameter must be of 'type=true, false'",
		`{"type":"jwt","name":"x","data":[]}`:                            "CONJ00192W The 'data' parameter must be of 'type=object'",
		`{"type":"jwt","name":"x"}`:                                      "The 'data' object must be specified for jwt authenticators and it must be a non-empty JSON object.",
		data("aws", `{"a":"b"}`):                                         "The 'data' object cannot be specified for aws authenticators.",
		data("azure", `{"x":"y"}`):                                       "CONJ00190W Missing required parameter: provider_uri",
		data("azure", `{"provider_uri":"u","x":1}`):                      "The following parameters were not expected: x",
		data("azure", `{"provider_uri":"a b"}`):                          "Invalid 'provider_uri' parameter. All characters except space ( ), less than (\\u003c), and greater than (\\u003e) are allowed.",
		data("azure", `{"provider_uri":""}`):                             "'provider_uri' parameter length is less than 1 characters",
		data("azure", `{"provider_uri":"`+strings.Repeat("x", 256)+`"}`): "'provider_uri' parameter length exceeded. Limit the length to 255 characters",
		data("jwt", `{"issuer":"i"}`):                                    "In the 'data' object, either a 'jwks_uri' or 'public_keys' field must be specified.",
		data("jwt", `{"public_keys":{"a":1},"jwks_uri":"u"}`):            "In the 'data' object, you cannot specify jwks_uri and public_keys fields.",
		data("jwt", `{"public_keys":{"a":1}}`):                           "In the 'data' object, when the 'public_keys' field is specified, the 'issuer' field must also be specified.",
		jwt(`"identity_path":"a"`):                                       "In the identity object, when the 'identity_path' field is specified, the 'token_app_property' field must also be specified.",
		jwt(`"enforced_claims":["a",1]`):                                 "Invalid 'enforced_claims' parameter. Must be an array of strings.",
		jwt(`"claim_aliases":{"iss":"x"}`):                               "Invalid target alias 'iss' in 'claim_aliases'. Cannot use reserved claims: iss, exp, nbf, iat, aud, jti.",
		jwt(`"claim_aliases":{"a":"b c"}`):                               "Invalid source claim 'b c' in 'claim_aliases'. Must be a valid claim name or a nested path.",
		data("oidc", `{"provider_uri":"u","client_id":"i"}`):             `The data object must contain either [\"id_token_user_property\"] or [\"client_id\", \"client_secret\", \"redirect_uri\", \"claim_mapping\"] keys.`,
		data("ldap", `{"tls_ca_cert":"c"}`):                              "CONJ00190W Missing required parameter: The 'bind_password' field must be specified when the 'tls_ca_cert' field is provided.",
	} {
		s.v2("POST", "/authenticators/acme", s.admin).data(body).is(422, v2Error(422, want))
	}
	azure := data("azure", `{"provider_uri":"u"}`)
	s.v2("POST", "/authenticators/acme", s.admin).data(azure).is(404, v2Error(404, "acme:policy:conjur/authn-azure not found in account acme"))
	s.v2("POST", "/authenticators/acme", s.bob).data(jwtAuthenticator).is(404, v2Error(404, "acme:policy:conjur/authn-jwt not found in account acme"))
	s.load("- !permit {role: !user bob, privileges: [read], resource: !policy conjur/authn-jwt}")
	s.v2("POST", "/authenticators/acme", s.bob).data(jwtAuthenticator).is(403, "")
	s.v2("POST", "/authenticators/acme", s.alice).data(strings.Replace(jwtAuthenticator, `"staff"`, `"none"`, 1)).is(404, v2Error(404, "acme:group:none not found in account acme"))
	s.v2("POST", "/authenticators/acme", s.admin).data(`{"type":"gcp","name":"x"}`).is(404, v2Error(404, "Webservice 'conjur/gcp/x' not found in account 'acme'"))

	patch := func(body string) *call { return s.v2("PATCH", "/authenticators/acme/k8s/db", s.admin).data(body) }
	patch("").is(400, v2Error(400, "Request body is empty"))
	patch("{").is(400, v2Error(400, "Request JSON is malformed"))
	patch("{}").is(422, v2Error(422, "Missing required parameter: enabled"))
	patch(`{"enabled":true,"b":1,"a":1}`).is(422, v2Error(422, "The following parameters were not expected: 'a, b'"))
	patch(`{"enabled":"true"}`).is(422, v2Error(422, "The enabled parameter must be of type=boolean"))
	s.v2("PATCH", "/authenticators/acme/k8s/none", s.admin).data(`{"enabled":true}`).is(404, v2Error(404, "Authenticator: authn-k8s/none not found in account 'acme'"))
}
