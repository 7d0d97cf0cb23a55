package core

import (
	"context"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// --- authentication (all emit their audit records) ---

func (c *Core) AuthenticateKey(ctx context.Context, o Origin, account, login string, key secret.Bytes) (token []byte, err error) {
	panic(0)
}
func (c *Core) Basic(ctx context.Context, o Origin, account, login string, password secret.Bytes) (Caller, error) {
	panic(0)
}

// Token verifies an Authorization header. present=false: no Token header there at all (absent, other scheme, JSON null).
func (c *Core) Token(o Origin, authorization string) (caller Caller, present bool, err error) {
	panic(0)
}
func (c *Core) APIKey(ctx context.Context, caller Caller) (secret.Bytes, error) { panic(0) } // login: caller from Basic
func (c *Core) ChangePassword(ctx context.Context, caller Caller, account, role string, password secret.Bytes) error {
	panic(0)
}
func (c *Core) RotateKey(ctx context.Context, caller Caller, account, role string) (secret.Bytes, error) {
	panic(0)
}
func (c *Core) KeyRotatedAt(ctx context.Context, caller Caller, account, role string) (ident.ID, time.Time, error) {
	panic(0)
}
func (c *Core) WhoAmI(ctx context.Context, caller Caller) error { panic(0) }

// Operator is the caller of local commands: whoever can open the data directory or its socket.
func Operator() Caller { panic(0) }

// --- accounts ---

func (c *Core) Accounts(ctx context.Context, caller Caller) ([]string, error) { panic(0) }
func (c *Core) CreateAccount(ctx context.Context, caller Caller, name string, password *secret.Bytes) (adminKey secret.Bytes, err error) {
	panic(0)
}
func (c *Core) DeleteAccount(ctx context.Context, caller Caller, name string) error { panic(0) }
func (c *Core) SigningPublicKey(account string) (pem []byte, err error)             { panic(0) }

// local commands
func (c *Core) RetrieveKey(ctx context.Context, caller Caller, role ident.ID) (secret.Bytes, error) {
	panic(0)
}
func (c *Core) ResetPassword(ctx context.Context, caller Caller, role ident.ID, password secret.Bytes) (newKey secret.Bytes, err error) {
	panic(0)
}
func (c *Core) RotateSigningKey(ctx context.Context, caller Caller, account string) (keyID string, err error) {
	panic(0)
}

// --- roles ---

func (c *Core) Role(ctx context.Context, caller Caller, id ident.ID) (RoleView, error) { panic(0) }
func (c *Core) AllRoles(ctx context.Context, caller Caller, id ident.ID, filter []string) ([]ident.ID, error) {
	panic(0)
}
func (c *Core) Members(ctx context.Context, caller Caller, id ident.ID, q MemberQuery) ([]row.Membership, error) {
	panic(0)
}
func (c *Core) CountMembers(ctx context.Context, caller Caller, id ident.ID, q MemberQuery) (int, error) {
	panic(0)
}
func (c *Core) Memberships(ctx context.Context, caller Caller, id ident.ID, q MemberQuery) ([]row.Membership, error) {
	panic(0)
}
func (c *Core) RoleGraph(ctx context.Context, caller Caller, id ident.ID) ([]Edge, error) { panic(0) }
func (c *Core) AddMember(ctx context.Context, caller Caller, role, member ident.ID) error { panic(0) }
func (c *Core) RemoveMember(ctx context.Context, caller Caller, role, member ident.ID) error {
	panic(0)
}

// --- resources ---

func (c *Core) Resources(ctx context.Context, caller Caller, q ResourceQuery) ([]ResourceView, error) {
	panic(0)
}
func (c *Core) CountResources(ctx context.Context, caller Caller, q ResourceQuery) (int, error) {
	panic(0)
}
func (c *Core) Resource(ctx context.Context, caller Caller, id ident.ID) (ResourceView, error) {
	panic(0)
}

// Check tells whether role (full id; "" for the caller) has the privilege. NotFound if the resource is invisible to the caller, Forbidden if the caller does not hold role.
func (c *Core) Check(ctx context.Context, caller Caller, id ident.ID, privilege, role string) (bool, error) {
	panic(0)
}
func (c *Core) PermittedRoles(ctx context.Context, caller Caller, id ident.ID, privilege string) ([]ident.ID, error) {
	panic(0)
}

// --- secrets ---

// Secret reads a version; 0 for the newest.
func (c *Core) Secret(ctx context.Context, caller Caller, id ident.ID, version int) (Value, error) {
	panic(0)
}
func (c *Core) SetSecret(ctx context.Context, caller Caller, id ident.ID, value secret.Bytes) error {
	panic(0)
}
func (c *Core) Secrets(ctx context.Context, caller Caller, ids []ident.ID) ([]Value, error) { panic(0) } // in the order asked
func (c *Core) ExpireSecret(ctx context.Context, caller Caller, id ident.ID) error          { panic(0) }

// PublicKeys: newest values of account:public_key:<kind>/<identifier>/*, in id order, trimmed.
func (c *Core) PublicKeys(ctx context.Context, account, kind, identifier string) ([][]byte, error) {
	panic(0)
}

// --- policies ---

func (c *Core) LoadPolicy(ctx context.Context, caller Caller, policy ident.ID, mode Mode, text []byte) (Loaded, error) {
	panic(0)
}
