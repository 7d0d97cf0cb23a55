package policy

import (
	"net/netip"

	"rekey/internal/ident"
)

// Scope is what a document is loaded into.
type Scope struct {
	Account string   // of the request
	Policy  ident.ID // the loaded policy: account:policy:root, or a branch
	Owner   ident.ID // its current owner
}

// Resolved is a document whose ids are full. Everything in it exists in the text:
// nothing was looked up, so a reference may name what does not exist.
type Resolved struct {
	// Records come in an order in which they can be created: the policy before
	// its body, an owner before what it owns, a layer before the host factory
	// that names it; apart from that, as written.
	Records []Record
	Grants  []Grant
	Permits []Permit
	// Removals are revokes, denials and deletions as written. They take effect
	// after all creations.
	Removals []Removal
	// Warnings are for the person who loads the policy.
	Warnings []string
}

// Reference names a role or a resource, and where the text does so.
type Reference struct {
	ID ident.ID
	Position
}

// Record declares a role, a resource, or both under one id.
type Record struct {
	ID       ident.ID
	Tag      string // as the policy writes it: user, host-factory; role and resource have any kind
	Role     bool
	Resource bool
	// Owner is the role named in the text (with its place), or the default: the
	// policy in whose body the record stands. A record without a resource has none.
	Owner Reference
	// Annotations are those written, then those that stand for an attribute
	// (conjur/uidnumber and so on). Each name occurs once.
	Annotations []Annotation
	// RestrictedTo is empty if nothing is restricted; an address alone is a range of one.
	RestrictedTo []netip.Prefix
	PublicKeys   []PublicKey
	Layers       []Reference // of a host factory
	Position
}

// PublicKey is a line of a user's public_keys: the resource that it becomes, which
// the user's owner owns, and its value. Two lines may have the same resource; the
// later one is its newer value.
type PublicKey struct {
	Resource ident.ID
	Line     string
}

// Member is one member of a grant.
type Member struct {
	Reference
	Admin bool
}

// Grant makes each member a member of each role.
type Grant struct {
	Roles   []Reference
	Members []Member
	Position
}

// Permit gives each role each privilege on each resource.
type Permit struct {
	Roles      []Reference
	Privileges []string
	Resources  []Reference
	Position
}

// Removal is a Revoke, a Deny or a Delete.
type Removal interface{ removal() }

// Revoke ends the membership of each member in each role.
type Revoke struct {
	Roles   []Reference
	Members []Reference
	Position
}

// Deny takes each privilege on each resource from each role.
type Deny Permit

// Delete removes a record, and all that it owns.
type Delete struct {
	Record Reference
	Position
}

func (Revoke) removal() {}
func (Deny) removal()   {}
func (Delete) removal() {}
