// Package admin is the local administration of a data directory: a small API of
// JSON over HTTP whose two ends are both here. A running server offers it on a
// socket in its data directory; when no server runs, a command serves itself the
// same handler without a socket. So there is one code path for both.
//
// It promises that only root and the user whom the server runs as get an answer on
// the socket, and that all decisions are the use cases': the package translates. It
// imports core, backup, seal, fault, ident and secret.
package admin

import (
	"rekey/internal/fault"
)

// The operations, each a POST of one JSON object that is answered with another.
const (
	pathListAccounts   = "/account/list"
	pathCreateAccount  = "/account/create"
	pathWeighAccount   = "/account/weigh"
	pathDeleteAccount  = "/account/delete"
	pathRotateSigning  = "/signing-key/rotate"
	pathRetrieveKey    = "/role/retrieve-key"
	pathResetPassword  = "/role/reset-password"
	pathLoadRootPolicy = "/policy/load"
	pathRehearsePolicy = "/policy/rehearse"
)

// Name is the input of operations on an account or a role.
type Name struct {
	Name     string  `json:"name"`               // of an account, or the full id of a role
	Password *string `json:"password,omitempty"` // for the operations that set one
}

// Accounts is the answer to a listing.
type Accounts struct {
	Accounts []string `json:"accounts"`
}

// Account is a new account.
type Account struct {
	Name      string `json:"name"`
	PublicKey string `json:"public_key"` // PEM; verifies the account's access tokens
	APIKey    string `json:"api_key"`    // of its admin; empty if a password was set
}

// Weight is what an account has in it.
type Weight struct {
	Roles  int `json:"roles"`  // users, hosts, groups and layers
	Values int `json:"values"` // variables that have values
}

// Key is the API key of a role, or the id of a new signing key.
type Key struct {
	Key string `json:"key"`
}

// Policy is a text for an account's root policy, which it replaces.
type Policy struct {
	Account string `json:"account"`
	Text    []byte `json:"text"`
}

// Loaded is the result of a policy load.
type Loaded struct {
	CreatedRoles map[string]CreatedRole `json:"created_roles"` // by full id
	Version      int                    `json:"version"`
	Warnings     []string               `json:"warnings,omitempty"`
}

// LostValues are the variables with a value that a policy load would remove.
type LostValues struct {
	Count     int      `json:"count"`
	Variables []string `json:"variables"` // full ids, of at most a hundred
}

// CreatedRole is a user or host that a policy load made.
type CreatedRole struct {
	ID     string  `json:"id"`
	APIKey *string `json:"api_key"` // null if it has none
}

// problem is an error of the vocabulary on its way through the socket.
type problem struct {
	Kind    fault.Kind `json:"kind"`
	Message string     `json:"message"`
	Advice  string     `json:"advice,omitempty"`
	Line    int        `json:"line,omitempty"`
	Column  int        `json:"column,omitempty"`
}
