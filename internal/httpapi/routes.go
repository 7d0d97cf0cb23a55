package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"rekey/internal/core"
)

// credential says what a request must prove before it is routed.
type credential uint8

const (
	token    credential = iota // an access token
	optional                   // a valid access token or none; the action asks for what it needs
	none                       // nothing: an Authorization header is not even read
)

// Limits of bodies, in bytes. A route without one ignores the body.
const (
	noBody     = 0
	keyBody    = 8 << 10 // passwords and API keys
	jsonBody   = 1 << 20
	secretBody = 20<<20 + 1
	policyBody = 16 << 20 // no more is ever loaded
)

// route is one row of the table.
type route struct {
	method     string
	pattern    string // placeholders are those of path.go; ?key asks for a query parameter of that name
	credential credential
	body       int64
	handle     func(*api, *exchange) error
}

// asksCore tells whether the answer depends on what is stored.
func (r *route) asksCore() bool {
	return r.credential != none || strings.IndexByte(r.pattern, ':') >= 0
}

// routes is the whole surface. The first row that fits wins. Whatever fits none is
// unknown: 401 without a token, 404 with one.
var routes = []route{
	{"GET", "/", none, noBody, (*api).status},
	{"GET", "/heartbeat", none, noBody, (*api).beat},
	{"GET", "/css/status-page.css", none, noBody, (*api).styleSheet},
	{"GET", "/openapi.yaml", none, noBody, (*api).description},
	{"GET", "/metrics", none, noBody, (*api).writeMetrics},
	{"GET", "/health", none, noBody, (*api).health},
	{"GET", "/whoami", token, noBody, (*api).whoAmI},

	{"GET", "/accounts", token, noBody, (*api).listAccounts},
	{"POST", "/accounts", token, jsonBody, (*api).createAccount},
	{"DELETE", "/accounts/:id", token, noBody, (*api).deleteAccount},

	{"GET", "/authn/:account/login", optional, noBody, (*api).login},
	{"GET", "/authn/:service/:account/login", optional, noBody, (*api).login},
	{"POST", "/authn/:account/:id/authenticate", none, keyBody, (*api).authenticate},
	{"POST", "/authn/:service/:account/:id/authenticate", none, keyBody, (*api).authenticate},
	{"POST", "/:authenticator/:account/:id/authenticate", none, noBody, (*api).authenticateElsewhere},
	{"POST", "/:authenticator/:service/:account/:id/authenticate", none, noBody, (*api).authenticateElsewhere},
	{"PUT", "/authn/:account/password", optional, keyBody, (*api).changePassword},
	{"PUT", "/:authenticator/:account/api_key", optional, noBody, (*api).rotateKey},
	{"GET", "/:authenticator/:account/api_key", optional, noBody, (*api).keyRotatedAt},
	{"GET", "/api_keys/:account", token, noBody, (*api).listKeys},
	{"PATCH", "/:authenticator/:account", optional, keyBody, (*api).switchAuthenticator},
	{"PATCH", "/:authenticator/:service/:account", optional, keyBody, (*api).switchAuthenticator},
	{"GET", "/authn/:account/status", token, noBody, (*api).authenticatorStatus},

	{"GET", "/roles/:account/:role_kind/*id?graph", token, noBody, (*api).roleGraph},
	{"GET", "/roles/:account/:role_kind/*id?all", token, noBody, (*api).allRoles},
	{"GET", "/roles/:account/:role_kind/*id?memberships", token, noBody, (*api).memberships},
	{"GET", "/roles/:account/:role_kind/*id?members", token, noBody, (*api).members},
	{"GET", "/roles/:account/:role_kind/*id", token, noBody, (*api).showRole},
	{"POST", "/roles/:account/:role_kind/*id?members", token, noBody, (*api).addMember},
	{"DELETE", "/roles/:account/:role_kind/*id?members", token, noBody, (*api).removeMember},

	{"GET", "/resources", token, noBody, (*api).listResources},
	{"GET", "/resources/:account", token, noBody, (*api).listResources},
	{"GET", "/resources/:account/:resource_kind", token, noBody, (*api).listResources},
	{"GET", "/resources/:account/:resource_kind/*id?check", token, noBody, (*api).check},
	{"GET", "/resources/:account/:resource_kind/*id?permitted_roles", token, noBody, (*api).permittedRoles},
	{"GET", "/resources/:account/:resource_kind/*id", token, noBody, (*api).showResource},

	{"GET", "/secrets", token, noBody, (*api).readSecrets},
	{"GET", "/secrets/:account/variable/*id", token, noBody, (*api).readSecret},
	{"POST", "/secrets/:account/:any_kind/*id?expirations", token, noBody, (*api).expireSecret},
	{"POST", "/secrets/:account/:value_kind/*id", token, secretBody, (*api).writeSecret},
	{"POST", "/secrets/:account/values", token, jsonBody, v2((*api).readEachSecret)},
	{"POST", "/secrets/:account/static", token, secretBody, v2Stable((*api).createStaticSecret)},
	{"GET", "/secrets/:account/static/*id/permissions", token, noBody, v2Stable((*api).staticSecretPermissions)},
	{"GET", "/secrets/:account/static/*id", token, noBody, v2Stable((*api).showStaticSecret)},
	{"POST", "/secrets/values", token, jsonBody, v2((*api).readEachSecret)},
	{"POST", "/secrets/static", token, secretBody, v2Stable((*api).createStaticSecret)},
	{"GET", "/secrets/static/*id/permissions", token, noBody, v2Stable((*api).staticSecretPermissions)},
	{"GET", "/secrets/static/*id", token, noBody, v2Stable((*api).showStaticSecret)},

	{"GET", "/events/:account", token, noBody, (*api).events},
	{"GET", "/deliveries/:account", token, noBody, (*api).listDeliveries},

	{"GET", "/rotations/:account", token, noBody, (*api).listRotations},
	{"GET", "/rotations/:account/variable/*id?history", token, noBody, (*api).rotationHistory},
	{"GET", "/rotations/:account/variable/*id", token, noBody, (*api).showRotation},
	{"POST", "/rotations/:account/variable/*id?plan", token, noBody, (*api).planRotation},
	{"POST", "/rotations/:account/variable/*id?pause", token, noBody, (*api).pauseRotation},
	{"POST", "/rotations/:account/variable/*id?resume", token, noBody, steer((*core.Core).ResumeRotation)},
	{"POST", "/rotations/:account/variable/*id?rotate", token, noBody, steer((*core.Core).RotateNow)},
	{"POST", "/rotations/:account/variable/*id?retry", token, noBody, steer((*core.Core).RetryRotation)},
	{"POST", "/rotations/:account/variable/*id?reconcile", token, noBody, steer((*core.Core).ReconcileRotation)},
	{"POST", "/rotations/:account/variable/*id?adopt", token, noBody, steer((*core.Core).AdoptRotation)},
	{"POST", "/rotations/:account/variable/*id?acknowledge", token, noBody, (*api).acknowledgeRotation},

	{"GET", "/public_keys/:account/:key_kind/*id", optional, noBody, (*api).publicKeys},

	{"GET", "/authenticators", none, noBody, (*api).authenticatorNames},
	{"GET", "/authenticators/:account", token, noBody, v2((*api).listAuthenticators)},
	{"POST", "/authenticators/:account", token, jsonBody, v2((*api).createAuthenticator)},
	{"GET", "/authenticators/:account/:type/:id", token, noBody, v2((*api).showAuthenticator)},
	{"PATCH", "/authenticators/:account/:type/:id", token, jsonBody, v2((*api).enableAuthenticator)},
	{"DELETE", "/authenticators/:account/:type/:id", token, noBody, v2((*api).deleteAuthenticator)},

	{"POST", "/branches/:account", token, jsonBody, v2((*api).createBranch)},
	{"GET", "/branches/:account", token, noBody, v2((*api).listBranches)},
	{"GET", "/branches/:account/*id", token, noBody, v2((*api).showBranch)},
	{"PATCH", "/branches/:account/*id", token, jsonBody, v2((*api).updateBranch)},
	{"DELETE", "/branches/:account/*id", token, noBody, v2((*api).deleteBranch)},

	{"POST", "/workloads", token, jsonBody, v2Stable((*api).createWorkload)},
	{"POST", "/workloads/:account", token, jsonBody, v2Stable((*api).createWorkload)},
	{"GET", "/workloads/*id", token, noBody, v2Stable((*api).showWorkload)},
	{"PATCH", "/workloads/*id/authn_descriptors/:type/:service", token, jsonBody, v2Stable((*api).updateAuthnDescriptor)},
	{"PATCH", "/workloads/*id", token, jsonBody, v2Stable((*api).updateWorkload)},
	{"DELETE", "/workloads/*id", token, noBody, v2Stable((*api).deleteWorkload)},
	{"DELETE", "/hosts/*id", token, noBody, v2Stable((*api).deleteWorkload)},

	{"POST", "/groups/:account/*id/members", token, jsonBody, v2((*api).addGroupMember)},
	{"DELETE", "/groups/:account/*id/members/:any_kind/*member", token, noBody, v2((*api).removeGroupMember)},

	{"POST", "/host_factory_tokens", token, jsonBody, (*api).createFactoryTokens},
	{"DELETE", "/host_factory_tokens/:id", token, noBody, (*api).revokeFactoryToken},
	{"POST", "/host_factories/hosts", none, jsonBody, (*api).enrolHost}, // it reads the body of a good token only,

	{"GET", "/policies/:account/policy/*id?version", token, noBody, (*api).policyVersion},
	{"GET", "/policies/:account/policy/*id?diff", token, noBody, (*api).policyDiff},
	{"GET", "/policies/:account/policy/*id", token, noBody, (*api).effectivePolicy},
	{"POST", "/policies/:account/policy/*id", token, policyBody, (*api).addPolicy},
	{"PATCH", "/policies/:account/policy/*id", token, policyBody, (*api).modifyPolicy},
	{"PUT", "/policies/:account/policy/*id", token, policyBody, (*api).replacePolicy},
}

// routing is the table made ready for matching, by the first segment of the path.
type routing map[string][]ready

type ready struct {
	route
	parts    []part
	selector string // query parameter that must be present, "" for none
}

func newRouting(table []route) routing {
	rs := routing{}
	for _, row := range table {
		pattern, selector, _ := strings.Cut(row.pattern, "?")
		first, _, _ := strings.Cut(strings.TrimPrefix(pattern, "/"), "/")
		if first == ":authenticator" {
			first = "authn"
		}
		rs[first] = append(rs[first], ready{route: row, parts: compile(pattern), selector: selector})
	}
	return rs
}

// find returns the route of a request and what it captures of the path, nil if there is
// none, and in either case the credential that is asked for.
func (rs routing) find(e *exchange) (*ready, credential) {
	method := e.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := collapse(rawPath(e.r))
	first, _, nested := strings.Cut(path, "/")
	group := first
	if strings.HasPrefix(first, "authn") {
		group = "authn" // which names exist is for the authenticators to say
	}
	rule := token
	if nested && (first == "authn" || strings.HasPrefix(first, "authn-") || first == "public_keys") {
		rule = optional
	}
	rows := rs[group]
	for i := range rows {
		row := &rows[i]
		if row.method != method {
			continue
		}
		if row.selector != "" && !e.query.has(row.selector) {
			continue
		}
		e.path = captures{} // nothing may be left of a row that fitted in part
		if match(row.parts, path, &e.path) {
			return row, row.credential
		}
	}
	// Another method of a known path is as unknown as any path, but asks for no more.
	var ignored captures
	known := slices.IndexFunc(rows, func(row ready) bool { return match(row.parts, path, &ignored) })
	if known >= 0 {
		rule = rows[known].credential
	}
	return nil, rule
}
