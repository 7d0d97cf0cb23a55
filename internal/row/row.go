// Package row has the durable rows of rekey and the changes to them. A use case
// computes a Set of changes purely; the store makes it durable; the in-memory graph
// applies it. Nothing else changes state.
//
// It imports ident only.
package row

import (
	"net/netip"
	"time"

	"rekey/internal/ident"
)

// Row is one durable row; the concrete types below are all there are. Times are UTC
// with millisecond precision; the zero time means "none".
type Row interface{ isRow() }

// DataKey is a key that seals values, wrapped by the root key. Key: ID.
type DataKey struct {
	ID        uint32
	Wrapped   []byte
	Active    bool // exactly one is
	CreatedAt time.Time
}

// Account is a namespace of roles and resources. Key: Name.
type Account struct {
	Name      string
	CreatedAt time.Time
}

// SigningKey signs the access tokens of an account. The newest one that is not
// retired signs; a retired one verifies until its last tokens have expired.
// Key: Account, KeyID.
type SigningKey struct {
	Account   string
	KeyID     string // kid of the tokens
	Sealed    []byte // PKCS #8, sealed
	CreatedAt time.Time
	RetiredAt time.Time
}

// Role can hold other roles and privileges. Key: ID.
type Role struct {
	ID        ident.ID
	CreatedAt time.Time
	Policy    ident.ID // the loaded policy that declared it, if any; so in all rows below
}

// Resource is what privileges are held on. Key: ID.
type Resource struct {
	ID        ident.ID
	Owner     ident.ID
	CreatedAt time.Time
	Policy    ident.ID
}

// Membership says that Member holds Role. Key: Role, Member, Ownership: a plain
// grant and an ownership grant between the same two roles coexist.
type Membership struct {
	Role      ident.ID
	Member    ident.ID
	Ownership bool
	Admin     bool
	Policy    ident.ID
}

// Permission says that Role has Privilege on Resource. Key: Resource, Role, Privilege.
type Permission struct {
	Resource  ident.ID
	Role      ident.ID
	Privilege string
	Policy    ident.ID
}

// Annotation is a named text on a resource. Key: Resource, Name.
type Annotation struct {
	Resource ident.ID
	Name     string
	Value    string
	Policy   ident.ID
}

// APIKey is a role's API key: compared by digest, shown again by login. Key: Role.
type APIKey struct {
	Role      ident.ID
	Digest    [32]byte
	Sealed    []byte // not in the graph
	RotatedAt time.Time
	Form      KeyForm
	Request   [32]byte // digest of who asked for it and by which request id; zero for none
}

// KeyForm is how an API key became the one that it is. The numbers are durable.
type KeyForm uint8

// The forms.
const (
	KeyCreated   KeyForm = iota // with its role, or where there was none
	KeyImmediate                // in place of another, which was dead at once
	KeyStaged                   // by being used for the first time
	KeyGrace                    // in place of another, which went on for a while
)

// StagedKey becomes the role's API key at its first use, unless it lapses before.
// Key: Role, which has an APIKey.
type StagedKey struct {
	Role     ident.ID
	Digest   [32]byte
	Sealed   []byte
	StagedAt time.Time
	LapsesAt time.Time
	Grace    time.Duration // how long the key that it replaces goes on then; whole milliseconds
	Request  [32]byte      // as in APIKey
}

// OldKey is the API key that was replaced last, as long as it goes on working beside
// the new one. Key: Role, which has an APIKey.
type OldKey struct {
	Role       ident.ID
	Digest     [32]byte
	ValidUntil time.Time
}

// KeyUse remembers when an API key was used, to about an hour. Key: Role, which has an
// APIKey.
type KeyUse struct {
	Role   ident.ID
	UsedAt time.Time
}

// Password is the sealed hash of a user's password. Key: Role.
type Password struct {
	Role      ident.ID
	Sealed    []byte
	ChangedAt time.Time
}

// Restriction lists the networks from which a role may authenticate; a role without
// this row may from anywhere. Key: Role.
type Restriction struct {
	Role     ident.ID
	Networks []netip.Prefix
}

// Secret is one version of a variable's (or public key's) value. Key: Resource, Version.
type Secret struct {
	Resource  ident.ID
	Version   int
	Sealed    []byte // not in the graph
	CreatedAt time.Time
	ExpiresAt time.Time
}

// PolicyVersion records one load of a policy. Key: Policy, Version.
type PolicyVersion struct {
	Policy     ident.ID
	Version    int
	Role       ident.ID // who loaded it; the row outlives that role
	CreatedAt  time.Time
	FinishedAt time.Time
	ClientIP   string // "" for a local command
	SHA256     string // hex of Text
	Text       string // not in the graph
}

// HostFactoryToken lets its holder enrol hosts. Key: Digest.
type HostFactoryToken struct {
	Digest    [32]byte // SHA-256 of the token
	Factory   ident.ID
	Sealed    []byte
	Networks  []netip.Prefix
	ExpiresAt time.Time
}

// Authenticator says whether a webservice authenticates anybody. Key: Resource.
type Authenticator struct {
	Resource ident.ID
	Enabled  bool
}

func (DataKey) isRow()          {}
func (Account) isRow()          {}
func (SigningKey) isRow()       {}
func (Role) isRow()             {}
func (Resource) isRow()         {}
func (Membership) isRow()       {}
func (Permission) isRow()       {}
func (Annotation) isRow()       {}
func (APIKey) isRow()           {}
func (StagedKey) isRow()        {}
func (OldKey) isRow()           {}
func (KeyUse) isRow()           {}
func (Password) isRow()         {}
func (Restriction) isRow()      {}
func (Secret) isRow()           {}
func (PolicyVersion) isRow()    {}
func (HostFactoryToken) isRow() {}
func (Authenticator) isRow()    {}
