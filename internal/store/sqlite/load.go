package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"

	"rekey/internal/row"
	"rekey/internal/store/schema"
)

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
	for _, t := range schema.Tables() {
		if t.Unloaded() {
			continue
		}
		if err := s.loadTable(ctx, reader, t, visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) loadTable(ctx context.Context, reader *conn, t *schema.Table, visit func(row.Row) error) error {
	var visitErr error
	n := 0
	err := reader.query(func(values []driver.Value) error {
		if n++; n%1024 == 0 {
			if visitErr = ctx.Err(); visitErr != nil {
				return visitErr
			}
		}
		r, err := t.Row(values)
		if err != nil {
			return err
		}
		visitErr = visit(r)
		return visitErr
	}, statementsOf[t].load)
	if visitErr != nil {
		return visitErr
	}
	return s.failure(err, "loading "+t.Name)
}
