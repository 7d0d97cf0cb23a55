// Package core has the use cases: authorize -> plan -> commit -> audit. HTTP, the
// UI, rotation and local commands all go through here; nothing else decides who may
// do what.
package core

import (
	"net/netip"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// Origin is where a request comes from, for restrictions and for the audit.
type Origin struct {
	IP        netip.Addr // invalid for a local command
	RequestID string
	UserAgent string
}

// Caller is a role that has proved who it is, and how.
type Caller struct {
	Origin
	Role     ident.ID
	IssuedAt time.Time // of the access token; zero for Basic credentials
	basic    bool
	operator bool
}

// Core is the one value behind all doors.
type Core struct{}

// ResourceView is all that a client may learn of a resource. Times are UTC.
type ResourceView struct {
	row.Resource
	Permissions    []row.Permission    // direct ones, by role then privilege
	Annotations    []row.Annotation    // by name
	Secrets        []SecretVersion     // kind variable: by version
	PolicyVersions []row.PolicyVersion // kind policy: by version
	Networks       []netip.Prefix      // kinds user, host: restricted_to
	Tokens         []FactoryToken      // kind host_factory
	Layers         []ident.ID          // kind host_factory
}

// SecretVersion says that a version of a value is kept.
type SecretVersion struct {
	Version   int
	ExpiresAt time.Time // zero: never
}

// FactoryToken is a host factory token as its factory shows it.
type FactoryToken struct {
	ExpiresAt time.Time
	Networks  []netip.Prefix
	Token     secret.Bytes
}

// RoleView is all that a client may learn of a role.
type RoleView struct {
	row.Role
	Members []row.Membership // direct ones, by member
}

// Edge is an edge of a role graph.
type Edge struct{ Parent, Child ident.ID }

// ResourceQuery selects visible resources. Limit and Offset count rows.
type ResourceQuery struct {
	Account string  // "" for all
	Kind    string  // "" for all
	Search  *string // words that must all occur; nil for no search; empty finds nothing
	Owner   string  // short or full role id; "" for any
	ActAs   string  // full id of a role that the caller holds; "" for the caller itself
	Limit   int     // 0 for no limit
	Offset  int
}

// MemberQuery selects memberships of a role.
type MemberQuery struct {
	Kinds  []string // nil for all
	Search *string
	Filter []string // memberships: short or full ids of the roles wanted; nil for all
	Limit  int      // 0 for no limit
	Offset int
}

// Value is a secret's value as it is handed out.
type Value struct {
	Value    secret.Bytes
	MimeType string // of annotation conjur/mime_type, else application/octet-stream
	Version  int
}

// Mode is how a policy text is loaded.
type Mode int

// The modes.
const (
	Add     Mode = iota // POST: create only
	Modify              // PATCH: create, update, delete explicitly
	Replace             // PUT: make the loaded policy's rows equal to the text
)

// Loaded is the result of a policy load.
type Loaded struct {
	Version  int
	Created  []CreatedRole // new users and hosts, in the order of their ids
	Warnings []string
}

// CreatedRole is a new user or host. APIKey is empty if it has none.
type CreatedRole struct {
	ID     ident.ID
	APIKey secret.Bytes
}

// Config is what an operator may set of the use cases' behaviour.
type Config struct {
	UserTokenTTL    time.Duration // default 480 s, at most 5 h
	HostTokenTTL    time.Duration // default 480 s, at most 5 h
	APIKeyDefault   bool          // hosts without annotation authn/api-key get a key
	ListLimitMax    int           // largest page of GET /resources; 0 for no limit
	SecretVersions  int           // versions kept of a value
	PolicyVersions  int           // versions kept of a policy
	UsersInRootOnly bool          // users may only be created in the root policy
}
