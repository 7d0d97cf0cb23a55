package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"

	"rekey/internal/row"
)

// loaded are the tables that Load visits, in its order.
var loaded = []*table{accounts, signingKeys, roles, resources, memberships, permissions,
	annotations, apiKeys, stagedKeys, oldKeys, keyUses, passwords, restrictions, secrets, policyVersions, hostFactoryTokens, authenticators,
	rotations, credentials}

// Load visits every row but the data keys, as store.Store says.
func (s *Store) Load(ctx context.Context, visit func(row.Row) error) (err error) {
	reader, err := s.borrow(ctx)
	if err != nil {
		return err
	}
	defer s.giveBack(reader)
	if _, err := reader.exec("BEGIN"); err != nil {
		return s.failure(err, "loading")
	}
	defer func() {
		if _, endErr := reader.exec("ROLLBACK"); endErr != nil {
			err = errors.Join(err, s.failure(endErr, "loading"))
		}
	}()
	for _, t := range loaded {
		if err := s.loadTable(ctx, reader, t, visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) loadTable(ctx context.Context, reader *conn, t *table, visit func(row.Row) error) error {
	var visitErr error
	n := 0
	err := reader.query(func(values []driver.Value) error {
		if n++; n%1024 == 0 {
			if visitErr = ctx.Err(); visitErr != nil {
				return visitErr
			}
		}
		r, err := t.read(values)
		if err != nil {
			return err
		}
		visitErr = visit(r)
		return visitErr
	}, t.loadSQL)
	if visitErr != nil {
		return visitErr
	}
	return s.failure(err, "loading "+t.name)
}

// read decodes a row. As the columns are STRICT and NOT NULL, a value of another
// type can only come from a damaged file.
func (t *table) read(values []driver.Value) (r row.Row, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *runtime.TypeAssertionError:
			r, err = nil, fmt.Errorf("%w: table %s: %w", errDamaged, t.name, p)
		default:
			panic(p)
		}
	}()
	if r, err = t.decode(values); err != nil {
		return nil, fmt.Errorf("%w: table %s: %w", errDamaged, t.name, err)
	}
	return r, nil
}
