package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"

	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// Load visits every row but the data keys, as store.Store says.
func (s *Store) Load(ctx context.Context, visit func(row.Row) error) error {
	return s.snapshot(ctx, func(reader *conn) error {
		for _, t := range schema.Tables() {
			if t.Unloaded() {
				continue
			}
			if err := s.visitTable(ctx, reader, t, statementsOf[t].load, t.Row, visit); err != nil {
				return err
			}
		}
		return nil
	})
}

// Export visits every row with its content, as store.Store says.
func (s *Store) Export(ctx context.Context, visit func(row.Row) error) error {
	return s.snapshot(ctx, func(reader *conn) error { return s.export(ctx, reader, visit) })
}

func (s *Store) export(ctx context.Context, reader *conn, visit func(row.Row) error) error {
	for _, t := range schema.Tables() {
		if err := s.visitTable(ctx, reader, t, statementsOf[t].export, t.Whole, visit); err != nil {
			return err
		}
	}
	return nil
}

// snapshot lends a connection within a transaction that only reads.
func (s *Store) snapshot(ctx context.Context, do func(*conn) error) (err error) {
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
	return do(reader)
}

func (s *Store) visitTable(ctx context.Context, reader *conn, t *schema.Table, sql string,
	decode func([]schema.Value) (row.Row, error), visit func(row.Row) error) error {
	var visitErr error
	n := 0
	err := reader.query(func(values []driver.Value) error {
		if n++; n%1024 == 0 {
			if visitErr = ctx.Err(); visitErr != nil {
				return visitErr
			}
		}
		r, err := decode(values)
		if err != nil {
			return err
		}
		visitErr = visit(r)
		return visitErr
	}, sql)
	if visitErr != nil {
		return visitErr
	}
	return s.failure(err, "loading "+t.Name)
}
