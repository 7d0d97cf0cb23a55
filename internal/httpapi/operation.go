package httpapi

import (
	"net/http"
	"strings"
)

// operations are the names by which metrics know requests, by method and path as it was
// sent. In a pattern * is one segment, also as the end of a name, and ** one or more.
// The first row that fits wins; the names are those of the protocol's description.
var operations = []struct{ method, pattern, name string }{
	{"GET", "secrets/*/*/**", "getSecret"},
	{"POST", "authn/*/*/authenticate", "getAccessToken"},
	{"POST", "secrets/*/*/**", "createSecret"},
	{"GET", "secrets", "getSecrets"},
	{"GET", "resources/*/*/**", "showResource"},
	{"GET", "resources/*/*", "showResourcesForKind"},
	{"GET", "resources/*", "showResourcesForAccount"},
	{"GET", "resources", "showResourcesForAllAccounts"},
	{"GET", "roles/*/*/**", "showRole"},
	{"POST", "roles/*/*/**", "addMemberToRole"},
	{"DELETE", "roles/*/*/**", "removeMemberFromRole"},
	{"POST", "policies/*/policy/**", "loadPolicy"},
	{"PUT", "policies/*/policy/**", "replacePolicy"},
	{"PATCH", "policies/*/policy/**", "updatePolicy"},
	{"GET", "policies/*/policy/**", "getPolicy"},
	{"PUT", "authn/*/api_key", "rotateAPIKey"},
	{"PUT", "authn/*/password", "changePassword"},
	{"GET", "authn/*/login", "getAPIKey"},
	{"GET", "authn-ldap/*/*/login", "getAPIKeyViaLDAP"},
	{"POST", "authn-iam/*/*/*/authenticate", "getAccessTokenViaAWS"},
	{"POST", "authn-azure/*/*/*/authenticate", "getAccessTokenViaAzure"},
	{"POST", "authn-k8s/*/*/*/authenticate", "getAccessTokenViaKubernetes"},
	{"POST", "authn-ldap/*/*/*/authenticate", "getAccessTokenViaLDAP"},
	{"POST", "authn-gcp/*/authenticate", "getAccessTokenViaGCP"},
	{"POST", "authn-oidc/*/*/authenticate", "getAccessTokenViaOIDC"},
	{"POST", "authn-jwt/*/*/authenticate", "getAccessTokenViaJWT"},
	{"POST", "authn-jwt/*/*/*/authenticate", "getAccessTokenViaJWT"},
	{"POST", "authn-k8s/*/inject_client_cert", "k8sInjectClientCert"},
	{"PATCH", "authn-*/*/*", "enableAuthenticatorInstance"},
	{"PATCH", "authn-*/*", "enableAuthenticatorInstance"},
	{"GET", "authn-gcp/*/status", "getGCPAuthenticatorStatus"},
	{"GET", "authn-*/*/*/status", "getServiceAuthenticatorStatus"},
	{"GET", "authenticators", "getAuthenticators"},
	{"GET", "whoami", "whoAmI"},
	{"GET", "public_keys/*/*/**", "showPublicKeys"},
	{"POST", "host_factories/hosts", "createHost"},
	{"POST", "host_factory_tokens", "createToken"},
	{"DELETE", "host_factory_tokens/*", "revokeToken"},
	{"GET", "accounts", "getAccounts"},
	{"POST", "accounts", "createAccount"},
	{"DELETE", "accounts/*", "deleteAccount"},
	{"POST", "ca/*/*/sign", "sign"},
	{"GET", "metrics", "getMetrics"},
	{"GET", "events/*", "watchEvents"},
	{"GET", "rotations/*", "listRotations"},
	{"GET", "rotations/*/variable/**", "showRotation"},
	{"POST", "rotations/*/variable/**", "steerRotation"},
}

// operation is the name of what a request asks for; "unknown" if it has none.
func operation(r *http.Request) string {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := collapse(rawPath(r))
	for i := range operations {
		if o := &operations[i]; o.method == method && fits(o.pattern, path) {
			return o.name
		}
	}
	return "unknown"
}

// fits tells whether a path is as a pattern of operations says.
func fits(pattern, path string) bool {
	for {
		want, wants, more := strings.Cut(pattern, "/")
		if want == "**" {
			return path != ""
		}
		got, rest, left := strings.Cut(path, "/")
		if prefix, open := strings.CutSuffix(want, "*"); got == "" || open && !strings.HasPrefix(got, prefix) || !open && got != want {
			return false
		}
		if more != left {
			return false
		}
		if !more {
			return true
		}
		pattern, path = wants, rest
	}
}
