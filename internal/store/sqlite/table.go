package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"rekey/internal/row"
)

// table says how the rows of one type are kept: which columns, in which order the
// values of a row go there, and how they come back.
type table struct {
	name    string
	key     []string // columns of the primary key
	rest    []string // all other columns
	content string   // the last column, if Load leaves it out
	decode  func([]driver.Value) (row.Row, error)

	insertSQL, updateSQL, deleteSQL, loadSQL string
}

func define(t table) *table {
	columns := append(append([]string{}, t.key...), t.rest...)
	loaded := columns
	if t.content != "" {
		columns = append(columns, t.content)
	}
	where := make([]string, len(t.key))
	for i, column := range t.key {
		where[i] = fmt.Sprintf("%s = ?%d", column, i+1)
	}
	set := make([]string, len(columns)-len(t.key))
	for i, column := range columns[len(t.key):] {
		set[i] = fmt.Sprintf("%s = ?%d", column, len(t.key)+i+1)
	}
	t.insertSQL = fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT DO NOTHING",
		t.name, strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1))
	t.updateSQL = fmt.Sprintf("UPDATE %s SET %s WHERE %s",
		t.name, strings.Join(set, ", "), strings.Join(where, " AND "))
	t.deleteSQL = fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, strings.Join(where, " AND "))
	t.loadSQL = fmt.Sprintf("SELECT %s FROM %s ORDER BY %s",
		strings.Join(loaded, ", "), t.name, strings.Join(t.key, ", "))
	return &t
}

var (
	dataKeys = define(table{name: "data_keys",
		key: []string{"id"}, rest: []string{"wrapped", "active", "created_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.DataKey{ID: uint32(v[0].(int64)), Wrapped: bytes(v[1]), Active: boolean(v[2]), CreatedAt: moment(v[3])}, nil
		}})
	accounts = define(table{name: "accounts",
		key: []string{"name"}, rest: []string{"created_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Account{Name: text(v[0]), CreatedAt: moment(v[1])}, nil
		}})
	signingKeys = define(table{name: "signing_keys",
		key: []string{"account", "key_id"}, rest: []string{"sealed", "created_at", "retired_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.SigningKey{Account: text(v[0]), KeyID: text(v[1]), Sealed: bytes(v[2]), CreatedAt: moment(v[3]), RetiredAt: moment(v[4])}, nil
		}})
	roles = define(table{name: "roles",
		key: []string{"id"}, rest: []string{"created_at", "policy"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Role{ID: id(v[0]), CreatedAt: moment(v[1]), Policy: id(v[2])}, nil
		}})
	resources = define(table{name: "resources",
		key: []string{"id"}, rest: []string{"owner", "created_at", "policy"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Resource{ID: id(v[0]), Owner: id(v[1]), CreatedAt: moment(v[2]), Policy: id(v[3])}, nil
		}})
	memberships = define(table{name: "memberships",
		key: []string{"role", "member", "ownership"}, rest: []string{"admin", "policy"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Membership{Role: id(v[0]), Member: id(v[1]), Ownership: boolean(v[2]), Admin: boolean(v[3]), Policy: id(v[4])}, nil
		}})
	permissions = define(table{name: "permissions",
		key: []string{"resource", "role", "privilege"}, rest: []string{"policy"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Permission{Resource: id(v[0]), Role: id(v[1]), Privilege: text(v[2]), Policy: id(v[3])}, nil
		}})
	annotations = define(table{name: "annotations",
		key: []string{"resource", "name"}, rest: []string{"value", "policy"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Annotation{Resource: id(v[0]), Name: text(v[1]), Value: text(v[2]), Policy: id(v[3])}, nil
		}})
	apiKeys = define(table{name: "api_keys",
		key: []string{"role"}, rest: []string{"digest", "rotated_at", "form", "request"}, content: "sealed",
		decode: func(v []driver.Value) (row.Row, error) {
			shown, err := digest(v[1])
			request, errRequest := digest(v[4])
			return row.APIKey{Role: id(v[0]), Digest: shown, RotatedAt: moment(v[2]), Form: row.KeyForm(v[3].(int64)), Request: request},
				errors.Join(err, errRequest)
		}})
	stagedKeys = define(table{name: "staged_keys",
		key: []string{"role"}, rest: []string{"digest", "sealed", "staged_at", "lapses_at", "grace", "request"},
		decode: func(v []driver.Value) (row.Row, error) {
			shown, err := digest(v[1])
			request, errRequest := digest(v[6])
			return row.StagedKey{Role: id(v[0]), Digest: shown, Sealed: bytes(v[2]), StagedAt: moment(v[3]), LapsesAt: moment(v[4]),
				Grace: time.Duration(v[5].(int64)) * time.Millisecond, Request: request}, errors.Join(err, errRequest)
		}})
	oldKeys = define(table{name: "old_keys",
		key: []string{"role"}, rest: []string{"digest", "valid_until"},
		decode: func(v []driver.Value) (row.Row, error) {
			digest, err := digest(v[1])
			return row.OldKey{Role: id(v[0]), Digest: digest, ValidUntil: moment(v[2])}, err
		}})
	keyUses = define(table{name: "key_uses",
		key: []string{"role"}, rest: []string{"used_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.KeyUse{Role: id(v[0]), UsedAt: moment(v[1])}, nil
		}})
	passwords = define(table{name: "passwords",
		key: []string{"role"}, rest: []string{"sealed", "changed_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Password{Role: id(v[0]), Sealed: bytes(v[1]), ChangedAt: moment(v[2])}, nil
		}})
	restrictions = define(table{name: "restrictions",
		key: []string{"role"}, rest: []string{"networks"},
		decode: func(v []driver.Value) (row.Row, error) {
			networks, err := networks(v[1])
			return row.Restriction{Role: id(v[0]), Networks: networks}, err
		}})
	secrets = define(table{name: "secrets",
		key: []string{"resource", "version"}, rest: []string{"created_at", "expires_at"}, content: "sealed",
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Secret{Resource: id(v[0]), Version: integer(v[1]), CreatedAt: moment(v[2]), ExpiresAt: moment(v[3])}, nil
		}})
	policyVersions = define(table{name: "policy_versions",
		key: []string{"policy", "version"}, rest: []string{"role", "created_at", "finished_at", "client_ip", "sha256"}, content: "text",
		decode: func(v []driver.Value) (row.Row, error) { return policyVersion(v), nil }})
	hostFactoryTokens = define(table{name: "host_factory_tokens",
		key: []string{"digest"}, rest: []string{"factory", "sealed", "networks", "expires_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			digest, err := digest(v[0])
			if err != nil {
				return nil, err
			}
			networks, err := networks(v[3])
			return row.HostFactoryToken{Digest: digest, Factory: id(v[1]), Sealed: bytes(v[2]), Networks: networks, ExpiresAt: moment(v[4])}, err
		}})
	authenticators = define(table{name: "authenticators",
		key: []string{"resource"}, rest: []string{"enabled"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Authenticator{Resource: id(v[0]), Enabled: boolean(v[1])}, nil
		}})
)

func policyVersion(v []driver.Value) row.PolicyVersion {
	return row.PolicyVersion{Policy: id(v[0]), Version: integer(v[1]), Role: id(v[2]),
		CreatedAt: moment(v[3]), FinishedAt: moment(v[4]), ClientIP: text(v[5]), SHA256: text(v[6])}
}
