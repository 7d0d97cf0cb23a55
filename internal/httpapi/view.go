package httpapi

import (
	"net/netip"
	"strconv"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/row"
)

// The JSON shapes of roles and resources. A policy that is none is left out, never null.

func appendPolicy(to []byte, policy ident.ID) []byte {
	if policy == "" {
		return to
	}
	to = append(to, `,"policy":`...)
	return appendString(to, policy)
}

func appendResource(to []byte, r core.ResourceView) []byte {
	to = append(to, `{"created_at":`...)
	to = appendTime(to, r.CreatedAt)
	to = append(to, `,"id":`...)
	to = appendString(to, r.ID)
	to = append(to, `,"owner":`...)
	to = appendString(to, r.Owner)
	to = appendPolicy(to, r.Policy)
	to = append(to, `,"permissions":`...)
	to = appendList(to, r.Permissions, appendPermission)
	to = append(to, `,"annotations":`...)
	to = appendList(to, r.Annotations, appendAnnotation)
	switch r.ID.Kind() {
	case "variable":
		to = append(to, `,"secrets":`...)
		to = appendList(to, r.Secrets, appendSecretVersion)
	case "policy":
		to = append(to, `,"policy_versions":`...)
		to = appendList(to, r.PolicyVersions, appendPolicyVersion)
	case "user", "host":
		to = append(to, `,"restricted_to":`...)
		to = appendList(to, r.Networks, appendNetwork)
	case "host_factory":
		to = append(to, `,"tokens":`...)
		to = appendList(to, r.Tokens, appendFactoryToken)
		to = append(to, `,"layers":`...)
		to = appendList(to, r.Layers, appendString[ident.ID])
	}
	return append(to, '}')
}

func appendPermission(to []byte, p row.Permission) []byte {
	to = append(to, `{"privilege":`...)
	to = appendString(to, p.Privilege)
	to = append(to, `,"role":`...)
	to = appendString(to, p.Role)
	to = appendPolicy(to, p.Policy)
	return append(to, '}')
}

func appendAnnotation(to []byte, a row.Annotation) []byte {
	to = append(to, `{"name":`...)
	to = appendString(to, a.Name)
	to = append(to, `,"value":`...)
	to = appendString(to, a.Value)
	to = appendPolicy(to, a.Policy)
	return append(to, '}')
}

func appendSecretVersion(to []byte, v core.SecretVersion) []byte {
	to = append(to, `{"version":`...)
	to = strconv.AppendInt(to, int64(v.Version), 10)
	to = append(to, `,"expires_at":`...)
	to = appendTime(to, v.ExpiresAt)
	return append(to, '}')
}

func appendPolicyVersion(to []byte, v row.PolicyVersion) []byte {
	to = append(to, `{"version":`...)
	to = strconv.AppendInt(to, int64(v.Version), 10)
	to = append(to, `,"created_at":`...)
	to = appendTime(to, v.CreatedAt)
	to = append(to, `,"policy_text":`...)
	to = appendString(to, v.Text)
	to = append(to, `,"policy_sha256":`...)
	to = appendString(to, v.SHA256)
	to = append(to, `,"finished_at":`...)
	to = appendTime(to, v.FinishedAt)
	to = append(to, `,"client_ip":`...)
	to = appendString(to, v.ClientIP)
	to = append(to, `,"id":`...)
	to = appendString(to, v.Policy)
	to = append(to, `,"role":`...)
	to = appendString(to, v.Role)
	return append(to, '}')
}

func appendNetwork(to []byte, n netip.Prefix) []byte {
	to = append(to, '"')
	to = n.AppendTo(to)
	return append(to, '"')
}

// appendFactoryToken reveals the token, if core has let it through.
func appendFactoryToken(to []byte, t core.FactoryToken) []byte {
	to = append(to, `{"expiration":"`...)
	to = t.ExpiresAt.UTC().AppendFormat(to, time.RFC3339)
	to = append(to, `","cidr":`...)
	to = appendList(to, t.Networks, appendNetwork)
	if t.Token.Len() > 0 {
		to = append(to, `,"token":`...)
		to = appendString(to, t.Token.Reveal())
	}
	return append(to, '}')
}

func appendRole(to []byte, r core.RoleView) []byte {
	to = append(to, `{"created_at":`...)
	to = appendTime(to, r.CreatedAt)
	to = append(to, `,"id":`...)
	to = appendString(to, r.ID)
	to = appendPolicy(to, r.Policy)
	to = append(to, `,"members":`...)
	to = appendList(to, r.Members, appendMembership)
	return append(to, '}')
}

func appendMembership(to []byte, m row.Membership) []byte {
	to = append(to, `{"admin_option":`...)
	to = strconv.AppendBool(to, m.Admin)
	to = append(to, `,"ownership":`...)
	to = strconv.AppendBool(to, m.Ownership)
	to = append(to, `,"role":`...)
	to = appendString(to, m.Role)
	to = append(to, `,"member":`...)
	to = appendString(to, m.Member)
	to = appendPolicy(to, m.Policy)
	return append(to, '}')
}

func appendEdge(to []byte, e core.Edge) []byte {
	to = append(to, `{"parent":`...)
	to = appendString(to, e.Parent)
	to = append(to, `,"child":`...)
	to = appendString(to, e.Child)
	return append(to, '}')
}

func appendCount(to []byte, n int) []byte {
	to = append(to, `{"count":`...)
	to = strconv.AppendInt(to, int64(n), 10)
	return append(to, '}')
}
