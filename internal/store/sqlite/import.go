package sqlite

import (
	"context"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// Import fills an empty store, as store.Store says.
func (s *Store) Import(ctx context.Context, fill func(store.Filling) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isClosed() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := s.writer.exec("BEGIN IMMEDIATE"); err != nil {
		return s.failure(err, "importing")
	}
	err := s.mustBeEmpty()
	if err == nil {
		err = fill(&filling{ctx, s})
	}
	if err == nil {
		_, err = s.writer.exec("COMMIT")
		err = s.failure(err, "importing")
	}
	if err != nil {
		// As in Commit: SQLite may have rolled back by itself.
		_, _ = s.writer.exec("ROLLBACK")
	}
	return err
}

func (s *Store) mustBeEmpty() error {
	for _, t := range schema.Tables() {
		found, err := s.writer.get("SELECT 1 FROM " + t.Name + " LIMIT 1")
		if err != nil {
			return s.failure(err, "importing")
		}
		if found != nil {
			return store.ErrNotEmpty
		}
	}
	return nil
}

// filling is the transaction of an import.
type filling struct {
	ctx context.Context
	*Store
}

func (f *filling) Put(r row.Row) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	t, values, err := schema.Encode(r)
	if err != nil {
		return err
	}
	n, err := f.writer.exec(statementsOf[t].insert, values...)
	if err == nil && n == 0 {
		return changed("%s exists already", schema.Describe(r))
	}
	return f.failure(err, "importing "+t.Name)
}

func (f *filling) Export(visit func(row.Row) error) error { return f.export(f.ctx, f.writer, visit) }
