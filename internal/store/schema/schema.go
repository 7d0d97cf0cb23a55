// Package schema says how the durable rows stand in the tables of an engine: which
// columns a row has, in which order its values go there, how they come back, and which
// other rows it refers to. All engines, and the log that processes share, go by it.
//
// Columns are only ever appended to a table, and no number of a table is used again:
// what an older or a newer program has written can be read. It imports row, ident and
// fault.
package schema

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"time"

	"rekey/internal/row"
)

// Value is what a column holds: int64, bool, string or []byte, by its Kind.
type Value = driver.Value

// Kind is the type of a column. There are no NULLs.
type Kind uint8

// The kinds.
const (
	Name Kind = iota + 1 // a string that stands in a key or an index
	Text                 // any other string; like a Name it may have any bytes
	Int
	Bool
	Bytes
)

// Column is one column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Parent is a row that a row refers to, by the one column that is the parent's key.
type Parent struct {
	Column int
	Of     *Table
	Goes   bool // the row goes when the parent does; otherwise the parent cannot go
}

// Table says how the rows of one type are kept.
type Table struct {
	Name    string
	Columns []Column // of the key first
	Keys    int      // how many of them are the key
	Content bool     // the last one is left out when everything is loaded
	Facts   []int    // the columns that conditions and checks ask for
	Parents []Parent
	decode  func([]Value) (row.Row, error)
}

// Loaded are the columns that Row needs: all but the content.
func (t *Table) Loaded() []Column {
	if t.Content {
		return t.Columns[:len(t.Columns)-1]
	}
	return t.Columns
}

// ErrDamaged says that values are not what any program has written.
var ErrDamaged = errors.New("the content makes no sense")

// Row makes the row of its values: those of Loaded, and as many more as there may be.
// The error wraps ErrDamaged.
func (t *Table) Row(values []Value) (r row.Row, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *runtime.TypeAssertionError:
			r, err = nil, fmt.Errorf("%w: table %s: %w", ErrDamaged, t.Name, p)
		default:
			panic(p)
		}
	}()
	if r, err = t.decode(values); err != nil {
		return nil, fmt.Errorf("%w: table %s: %w", ErrDamaged, t.Name, err)
	}
	return r, nil
}

// Trimmed tells whether somebody else may have deleted a row of this table already.
func (t *Table) Trimmed() bool {
	return t == Secrets || t == PolicyVersions || t == RotationEvents || t == Deliveries
}

// Unloaded tells whether Load leaves this table out.
func (t *Table) Unloaded() bool { return t == DataKeys || t == RotationEvents || t == Deliveries }

// Tables returns all tables in the order of Load, which is that of their references.
func Tables() []*Table {
	return []*Table{DataKeys, Accounts, SigningKeys, Roles, Resources, Memberships, Permissions,
		Annotations, APIKeys, StagedKeys, OldKeys, KeyUses, Passwords, Restrictions, Secrets, PolicyVersions, HostFactoryTokens, Authenticators,
		Rotations, Credentials, RotationEvents, Deliveries}
}

func define(t Table) *Table { return &t }

// The tables.
var (
	DataKeys = define(Table{Name: "data_keys", Keys: 1,
		Columns: []Column{{"id", Int}, {"wrapped", Bytes}, {"active", Bool}, {"created_at", Int}}, Facts: []int{2},
		decode: func(v []Value) (row.Row, error) {
			return row.DataKey{ID: uint32(v[0].(int64)), Wrapped: bytes(v[1]), Active: boolean(v[2]), CreatedAt: moment(v[3])}, nil
		}})
	Accounts = define(Table{Name: "accounts", Keys: 1,
		Columns: []Column{{"name", Name}, {"created_at", Int}},
		decode: func(v []Value) (row.Row, error) {
			return row.Account{Name: text(v[0]), CreatedAt: moment(v[1])}, nil
		}})
	SigningKeys = define(Table{Name: "signing_keys", Keys: 2,
		Columns: []Column{{"account", Name}, {"key_id", Name}, {"sealed", Bytes}, {"created_at", Int}, {"retired_at", Int}},
		Parents: []Parent{{0, Accounts, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.SigningKey{Account: text(v[0]), KeyID: text(v[1]), Sealed: bytes(v[2]), CreatedAt: moment(v[3]), RetiredAt: moment(v[4])}, nil
		}})
	Roles = define(Table{Name: "roles", Keys: 1,
		Columns: []Column{{"id", Name}, {"created_at", Int}, {"policy", Text}},
		decode: func(v []Value) (row.Row, error) {
			return row.Role{ID: id(v[0]), CreatedAt: moment(v[1]), Policy: id(v[2])}, nil
		}})
	Resources = define(Table{Name: "resources", Keys: 1,
		Columns: []Column{{"id", Name}, {"owner", Name}, {"created_at", Int}, {"policy", Text}}, Facts: []int{1},
		Parents: []Parent{{1, Roles, false}},
		decode: func(v []Value) (row.Row, error) {
			return row.Resource{ID: id(v[0]), Owner: id(v[1]), CreatedAt: moment(v[2]), Policy: id(v[3])}, nil
		}})
	Memberships = define(Table{Name: "memberships", Keys: 3,
		Columns: []Column{{"role", Name}, {"member", Name}, {"ownership", Bool}, {"admin", Bool}, {"policy", Text}},
		Parents: []Parent{{0, Roles, false}, {1, Roles, false}},
		decode: func(v []Value) (row.Row, error) {
			return row.Membership{Role: id(v[0]), Member: id(v[1]), Ownership: boolean(v[2]), Admin: boolean(v[3]), Policy: id(v[4])}, nil
		}})
	Permissions = define(Table{Name: "permissions", Keys: 3,
		Columns: []Column{{"resource", Name}, {"role", Name}, {"privilege", Name}, {"policy", Text}},
		Parents: []Parent{{0, Resources, false}, {1, Roles, false}},
		decode: func(v []Value) (row.Row, error) {
			return row.Permission{Resource: id(v[0]), Role: id(v[1]), Privilege: text(v[2]), Policy: id(v[3])}, nil
		}})
	Annotations = define(Table{Name: "annotations", Keys: 2,
		Columns: []Column{{"resource", Name}, {"name", Name}, {"value", Text}, {"policy", Text}},
		Parents: []Parent{{0, Resources, false}},
		decode: func(v []Value) (row.Row, error) {
			return row.Annotation{Resource: id(v[0]), Name: text(v[1]), Value: text(v[2]), Policy: id(v[3])}, nil
		}})
	APIKeys = define(Table{Name: "api_keys", Keys: 1,
		Columns: []Column{{"role", Name}, {"digest", Bytes}, {"rotated_at", Int}, {"form", Int}, {"request", Bytes}, {"sealed", Bytes}}, Content: true, Facts: []int{1},
		Parents: []Parent{{0, Roles, true}},
		decode: func(v []Value) (row.Row, error) {
			shown, err := digest(v[1])
			request, errRequest := digest(v[4])
			return row.APIKey{Role: id(v[0]), Digest: shown, RotatedAt: moment(v[2]), Form: row.KeyForm(v[3].(int64)), Request: request},
				errors.Join(err, errRequest)
		}})
	StagedKeys = define(Table{Name: "staged_keys", Keys: 1,
		Columns: []Column{{"role", Name}, {"digest", Bytes}, {"sealed", Bytes}, {"staged_at", Int}, {"lapses_at", Int}, {"grace", Int}, {"request", Bytes}}, Facts: []int{1},
		Parents: []Parent{{0, APIKeys, true}},
		decode: func(v []Value) (row.Row, error) {
			shown, err := digest(v[1])
			request, errRequest := digest(v[6])
			return row.StagedKey{Role: id(v[0]), Digest: shown, Sealed: bytes(v[2]), StagedAt: moment(v[3]), LapsesAt: moment(v[4]),
				Grace: time.Duration(v[5].(int64)) * time.Millisecond, Request: request}, errors.Join(err, errRequest)
		}})
	OldKeys = define(Table{Name: "old_keys", Keys: 1,
		Columns: []Column{{"role", Name}, {"digest", Bytes}, {"valid_until", Int}}, Facts: []int{1},
		Parents: []Parent{{0, APIKeys, true}},
		decode: func(v []Value) (row.Row, error) {
			digest, err := digest(v[1])
			return row.OldKey{Role: id(v[0]), Digest: digest, ValidUntil: moment(v[2])}, err
		}})
	KeyUses = define(Table{Name: "key_uses", Keys: 1,
		Columns: []Column{{"role", Name}, {"used_at", Int}},
		Parents: []Parent{{0, APIKeys, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.KeyUse{Role: id(v[0]), UsedAt: moment(v[1])}, nil
		}})
	Passwords = define(Table{Name: "passwords", Keys: 1,
		Columns: []Column{{"role", Name}, {"sealed", Bytes}, {"changed_at", Int}}, Facts: []int{1},
		Parents: []Parent{{0, Roles, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.Password{Role: id(v[0]), Sealed: bytes(v[1]), ChangedAt: moment(v[2])}, nil
		}})
	Restrictions = define(Table{Name: "restrictions", Keys: 1,
		Columns: []Column{{"role", Name}, {"networks", Text}},
		Parents: []Parent{{0, Roles, true}},
		decode: func(v []Value) (row.Row, error) {
			networks, err := networks(v[1])
			return row.Restriction{Role: id(v[0]), Networks: networks}, err
		}})
	Secrets = define(Table{Name: "secrets", Keys: 2,
		Columns: []Column{{"resource", Name}, {"version", Int}, {"created_at", Int}, {"expires_at", Int}, {"sealed", Bytes}}, Content: true,
		Parents: []Parent{{0, Resources, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.Secret{Resource: id(v[0]), Version: integer(v[1]), CreatedAt: moment(v[2]), ExpiresAt: moment(v[3])}, nil
		}})
	PolicyVersions = define(Table{Name: "policy_versions", Keys: 2,
		Columns: []Column{{"policy", Name}, {"version", Int}, {"role", Text}, {"created_at", Int}, {"finished_at", Int}, {"client_ip", Text}, {"sha256", Text}, {"text", Text}}, Content: true,
		Parents: []Parent{{0, Resources, true}},
		decode:  func(v []Value) (row.Row, error) { return policyVersion(v), nil }})
	HostFactoryTokens = define(Table{Name: "host_factory_tokens", Keys: 1,
		Columns: []Column{{"digest", Bytes}, {"factory", Name}, {"sealed", Bytes}, {"networks", Text}, {"expires_at", Int}}, Facts: []int{1},
		Parents: []Parent{{1, Resources, true}},
		decode: func(v []Value) (row.Row, error) {
			digest, err := digest(v[0])
			if err != nil {
				return nil, err
			}
			networks, err := networks(v[3])
			return row.HostFactoryToken{Digest: digest, Factory: id(v[1]), Sealed: bytes(v[2]), Networks: networks, ExpiresAt: moment(v[4])}, err
		}})
	Authenticators = define(Table{Name: "authenticators", Keys: 1,
		Columns: []Column{{"resource", Name}, {"enabled", Bool}},
		Parents: []Parent{{0, Resources, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.Authenticator{Resource: id(v[0]), Enabled: boolean(v[1])}, nil
		}})
)

func policyVersion(v []Value) row.PolicyVersion {
	return row.PolicyVersion{Policy: id(v[0]), Version: integer(v[1]), Role: id(v[2]),
		CreatedAt: moment(v[3]), FinishedAt: moment(v[4]), ClientIP: text(v[5]), SHA256: text(v[6])}
}
