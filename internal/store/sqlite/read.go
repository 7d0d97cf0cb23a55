package sqlite

import (
	"context"
	"database/sql/driver"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// DataKeys returns all wrapped data keys, as store.Store says.
func (s *Store) DataKeys(ctx context.Context) (keys []row.DataKey, err error) {
	err = s.read(ctx, "reading the data keys", func(reader *conn) error {
		return reader.query(func(v []driver.Value) error {
			key, err := schema.DataKeys.Row(v)
			if err == nil {
				keys = append(keys, key.(row.DataKey))
			}
			return err
		}, statementsOf[schema.DataKeys].load)
	})
	return keys, err
}

// Secret returns the sealed value of one version, as store.Store says.
func (s *Store) Secret(ctx context.Context, resource ident.ID, version int) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM secrets WHERE resource = ? AND version = ?", string(resource), int64(version))
}

// APIKey returns the sealed key of a role, as store.Store says.
func (s *Store) APIKey(ctx context.Context, role ident.ID) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM api_keys WHERE role = ?", string(role))
}

// PolicyVersions returns the kept versions of a policy, as store.Store says.
func (s *Store) PolicyVersions(ctx context.Context, policy ident.ID) (versions []row.PolicyVersion, err error) {
	err = s.read(ctx, "reading policy versions", func(reader *conn) error {
		return reader.query(func(v []driver.Value) error {
			r, err := schema.PolicyVersions.Row(v)
			if err != nil {
				return err
			}
			version := r.(row.PolicyVersion)
			version.Text = v[len(v)-1].(string)
			versions = append(versions, version)
			return nil
		}, `SELECT policy, version, role, created_at, finished_at, client_ip, sha256, text
			FROM policy_versions WHERE policy = ? ORDER BY version`, string(policy))
	})
	return versions, err
}

func (s *Store) sealed(ctx context.Context, sql string, key ...driver.Value) (sealed []byte, err error) {
	err = s.read(ctx, "reading a sealed value", func(reader *conn) error {
		v, err := reader.get(sql, key...)
		if err == nil && v == nil {
			err = store.ErrNotFound
		}
		sealed = blob(v)
		return err
	})
	return sealed, err
}

// read lends a connection to f. ctx bounds the wait for it, not the reading, which
// the disk bounds.
func (s *Store) read(ctx context.Context, doing string, f func(*conn) error) error {
	reader, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer s.giveBack(reader)
	if err := f(reader); err != nil {
		if err == store.ErrNotFound {
			return err
		}
		return s.failure(err, doing)
	}
	return nil
}

// blob is the content of a column of bytes; nil, the driver's empty one, stays nil.
func blob(v driver.Value) []byte { b, _ := v.([]byte); return b }
