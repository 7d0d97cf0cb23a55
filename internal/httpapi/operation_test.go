package httpapi

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOperationsHaveTheNamesThatDashboardsKnow(t *testing.T) {
	for request, want := range map[string]string{
		"GET /secrets/acme/variable/db%2Fpassword":           "getSecret",
		"HEAD /secrets/acme/variable/db/password":            "getSecret",
		"GET /secrets?variable_ids=a":                        "getSecrets",
		"POST /secrets/acme/variable/x":                      "createSecret",
		"POST /authn/acme/host%2Fweb/authenticate":           "getAccessToken",
		"POST /authn/acme/host/web/authenticate":             "unknown",
		"POST /authn-jwt/ci/acme/authenticate":               "getAccessTokenViaJWT",
		"POST /authn-jwt/ci/acme/host%2Fx/authenticate":      "getAccessTokenViaJWT",
		"POST /authn-iam/prod/acme/host%2Fx/authenticate":    "getAccessTokenViaAWS",
		"PATCH /authn-oidc/okta/acme":                        "enableAuthenticatorInstance",
		"PATCH /authn-gcp/acme":                              "enableAuthenticatorInstance",
		"GET /authn-oidc/okta/acme/status":                   "getServiceAuthenticatorStatus",
		"GET /authn-gcp/acme/status":                         "getGCPAuthenticatorStatus",
		"GET /authn-ldap/s/acme/extra/status":                "unknown",
		"PUT /authn/acme/api_key":                            "rotateAPIKey",
		"GET /resources":                                     "showResourcesForAllAccounts",
		"GET /resources/acme":                                "showResourcesForAccount",
		"GET /resources/acme/variable":                       "showResourcesForKind",
		"GET /resources/acme/variable/x":                     "showResource",
		"PUT /policies/acme/policy/root":                     "replacePolicy",
		"DELETE /host_factory_tokens/abc":                    "revokeToken",
		"POST /rotations/acme/variable/db%2Fpassword?rotate": "steerRotation",
		"GET /metrics":                                       "getMetrics",
		"GET /":                                              "unknown",
		"DELETE /secrets/acme/variable/x":                    "unknown",
		"GET /secretsx":                                      "unknown",
		"GET /branches/acme":                                 "unknown",
	} {
		method, target, _ := strings.Cut(request, " ")
		if got := operation(httptest.NewRequest(method, target, nil)); got != want {
			t.Errorf("%s is %s, want %s", request, got, want)
		}
	}
}
