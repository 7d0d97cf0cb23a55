// Package ident names things: full ids of roles and resources
// (account:kind:identifier), the short forms that clients send, and the login
// names of users and hosts.
//
// It promises that an ID it returned is well formed. It imports nothing of rekey
// but the error vocabulary.
package ident

import (
	"strings"

	"rekey/internal/fault"
)

// ID is the full id of a role or a resource: account:kind:identifier, split at
// the first two colons only, so that an identifier may contain colons. Account
// and kind are never empty. The zero value means "none".
type ID string

// New puts the three parts together. The caller vouches for account and kind.
func New(account, kind, identifier string) ID {
	return ID(account + ":" + kind + ":" + identifier)
}

// Parse reads a full id. It returns a fault of kind Invalid unless there are three
// parts of which account and kind are not empty.
func Parse(s string) (ID, error) {
	account, rest, ok := strings.Cut(s, ":")
	kind, _, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || account == "" || kind == "" {
		return "", fault.New(fault.Invalid, "'%s' is not a full id: write account:kind:identifier", s)
	}
	return ID(s), nil
}

// Qualify reads a short (kind:identifier) or full id; a short one is of the given
// account. Fewer than two parts are refused with the message that clients know.
func Qualify(account, s string) (ID, error) {
	switch strings.Count(s, ":") {
	case 0:
		return "", fault.New(fault.Argument, "Expected at least 2 tokens in %s", s)
	case 1:
		return ID(account + ":" + s), nil
	}
	return ID(s), nil
}

// Account is the part before the first colon.
func (id ID) Account() string {
	account, _, _ := strings.Cut(string(id), ":")
	return account
}

// Kind is the part between the first and the second colon.
func (id ID) Kind() string {
	_, rest, _ := strings.Cut(string(id), ":")
	kind, _, _ := strings.Cut(rest, ":")
	return kind
}

// Identifier is all that follows the second colon.
func (id ID) Identifier() string {
	_, rest, _ := strings.Cut(string(id), ":")
	_, identifier, _ := strings.Cut(rest, ":")
	return identifier
}

// Login is the name by which a role authenticates: the bare identifier of a user,
// kind/identifier of any other role. A user with a slash in its name is written
// user/... so that FromBasic and FromSubject read it back.
func (id ID) Login() string {
	kind, identifier := id.Kind(), id.Identifier()
	if kind == "user" && !strings.Contains(identifier, "/") {
		return identifier
	}
	return kind + "/" + identifier
}

// FromLogin is the role that authenticates under a login name: host/... and
// user/... name their kind, everything else is a user, slashes and all.
func FromLogin(account, login string) ID {
	for _, kind := range [...]string{"host", "user"} {
		if rest, ok := strings.CutPrefix(login, kind+"/"); ok {
			return New(account, kind, rest)
		}
	}
	return New(account, "user", login)
}

// FromBasic is the role that a Basic user name stands for: with a slash, kind and
// identifier; without, a user. Unlike FromLogin it can name any kind.
func FromBasic(account, login string) ID {
	if kind, rest, ok := strings.Cut(login, "/"); ok && kind != "" {
		return New(account, kind, rest)
	}
	return New(account, "user", login)
}

// FromSubject is the role of an access token's sub claim; the rule is FromBasic's.
func FromSubject(account, subject string) ID { return FromBasic(account, subject) }
