package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// query asks one thing; visit gets the rows.
func (s *Store) query(ctx context.Context, doing string, begin func(), visit func([][]byte) error, sql string, parameters ...parameter) error {
	return s.read(ctx, doing, func(ctx context.Context, c *pgxpool.Conn) error {
		begin()
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		p := &pipeline{}
		p.add(visit, sql, parameters...)
		_, err := p.run(ctx, c.Conn().PgConn())
		return err
	})
}

// rows asks for rows of a table by the first column of their key, with all that the
// table has of them.
func (s *Store) rows(ctx context.Context, doing string, t *schema.Table, of ident.ID, visit func([]schema.Value, row.Row)) error {
	name := short(string(of))
	sql := "SELECT " + names(t.Columns) + " FROM rekey." + t.Name + " WHERE " + t.Columns[0].Name + " = $1 ORDER BY " + names(t.Columns[:t.Keys])
	type found struct {
		values []schema.Value
		row    row.Row
	}
	var all []found
	err := s.query(ctx, doing, func() { all = nil }, func(raw [][]byte) error {
		values, err := scan(t.Columns, raw)
		if err != nil {
			return err
		}
		values[0] = string(of)
		r, err := t.Row(values)
		all = append(all, found{values, r})
		return err
	}, sql, one(schema.Name, name))
	if err != nil {
		return err
	}
	for _, f := range all {
		visit(f.values, f.row)
	}
	return nil
}

// DataKeys returns all wrapped data keys, as store.Store says.
func (s *Store) DataKeys(ctx context.Context) (keys []row.DataKey, err error) {
	t := schema.DataKeys
	err = s.query(ctx, "reading the data keys", func() { keys = nil }, func(raw [][]byte) error {
		r, err := rowOf(t, t.Columns, raw, nil)
		if err == nil {
			keys = append(keys, r.(row.DataKey))
		}
		return err
	}, "SELECT "+names(t.Columns)+" FROM rekey.data_keys ORDER BY id")
	return keys, err
}

func (s *Store) sealed(ctx context.Context, sql string, key ...parameter) (sealed []byte, err error) {
	found := false
	err = s.query(ctx, "reading a sealed value", func() { found = false }, func(raw [][]byte) error {
		sealed, found = append([]byte{}, raw[0]...), true
		return nil
	}, sql, key...)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return sealed, err
}

// Secret returns the sealed value of one version, as store.Store says.
func (s *Store) Secret(ctx context.Context, resource ident.ID, version int) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM rekey.secrets WHERE resource = $1 AND version = $2",
		one(schema.Name, short(string(resource))), one(schema.Int, int64(version)))
}

// APIKey returns the sealed key of a role, as store.Store says.
func (s *Store) APIKey(ctx context.Context, role ident.ID) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM rekey.api_keys WHERE role = $1", one(schema.Name, short(string(role))))
}

// Credential returns a sealed credential, as store.Store says.
func (s *Store) Credential(ctx context.Context, variable ident.ID, slot row.Slot) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM rekey.credentials WHERE variable = $1 AND slot = $2",
		one(schema.Name, short(string(variable))), one(schema.Name, short(string(slot))))
}

// PolicyVersions returns the kept versions of a policy, as store.Store says.
func (s *Store) PolicyVersions(ctx context.Context, policy ident.ID) (versions []row.PolicyVersion, err error) {
	err = s.rows(ctx, "reading policy versions", schema.PolicyVersions, policy, func(v []schema.Value, r row.Row) {
		version := r.(row.PolicyVersion)
		version.Text = v[len(v)-1].(string)
		versions = append(versions, version)
	})
	return versions, err
}

// RotationEvents returns the kept history of a rotation, as store.Store says.
func (s *Store) RotationEvents(ctx context.Context, variable ident.ID) (events []row.RotationEvent, err error) {
	err = s.rows(ctx, "reading the history of a rotation", schema.RotationEvents, variable, func(_ []schema.Value, r row.Row) {
		events = append(events, r.(row.RotationEvent))
	})
	return events, err
}
