package row

import "rekey/internal/ident"

// Op is what a change does to its row.
type Op uint8

// The operations. Insert and Update carry the whole row, Delete its key fields.
//
// The row of an Update or Delete exists, except that a Secret, PolicyVersion,
// RotationEvent or Delivery which is deleted to make room may be gone already.
//
// Deleting an Account takes its signing keys along; deleting a Role its APIKey,
// Password and Restriction; deleting an APIKey its StagedKey, OldKey and KeyUse;
// deleting a Resource its Secrets, PolicyVersions, HostFactoryTokens, Authenticator,
// Rotation, Credentials and RotationEvents. Everything else that must go is a change of
// its own.
const (
	Insert Op = iota + 1
	Update
	Delete
)

// Change is one row change.
type Change struct {
	Op  Op
	Row Row
}

// Set is what one use case wants to become durable, all of it or nothing, provided
// that every condition holds at that moment.
type Set struct {
	Require []Condition
	Changes []Change
	// Chained sets were computed one on top of the other: where one of a transaction is
	// refused, so is each chained one after it.
	Chained bool
	// Base, of a chained set, is the number of the newest change of the store that it
	// was computed on: if several processes use the store, no other one may have stored a
	// chained set since.
	Base int64
}

// Add appends a change.
func (s *Set) Add(op Op, r Row) { s.Changes = append(s.Changes, Change{op, r}) }

// Condition is what a use case relied on when it computed its changes, and what
// somebody else may have changed since.
type Condition interface{ isCondition() }

// RoleExists requires a role.
type RoleExists struct{ Role ident.ID }

// ResourceExists requires a resource.
type ResourceExists struct{ Resource ident.ID }

// KeyIs requires that the role's API key still has this digest.
type KeyIs struct {
	Role   ident.ID
	Digest [32]byte
}

// StagedKeyIs requires that the role's staged key has this digest; zero that it has none.
type StagedKeyIs struct {
	Role   ident.ID
	Digest [32]byte
}

// OldKeyIs requires that the role's old key has this digest; zero that it has none.
type OldKeyIs struct {
	Role   ident.ID
	Digest [32]byte
}

// PasswordIs requires that the role's sealed password is still this one, byte for
// byte; nil requires that it has none.
type PasswordIs struct {
	Role   ident.ID
	Sealed []byte
}

// LatestVersion requires that the newest version of a secret is this one; 0 that
// there is none.
type LatestVersion struct {
	Resource ident.ID
	Version  int
}

func (RoleExists) isCondition()     {}
func (ResourceExists) isCondition() {}
func (KeyIs) isCondition()          {}
func (StagedKeyIs) isCondition()    {}
func (OldKeyIs) isCondition()       {}
func (PasswordIs) isCondition()     {}
func (LatestVersion) isCondition()  {}
