package sqlite

import (
	"context"
	"fmt"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// Commit stores sets, as store.Store says.
func (s *Store) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isClosed() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	results, err := s.transact(sets)
	if err != nil {
		// SQLite has rolled back by itself after some errors; then this one fails,
		// and there is nothing left to do.
		_, _ = s.writer.exec("ROLLBACK")
		return nil, s.failure(err, "storing changes")
	}
	return results, nil
}

func (s *Store) transact(sets []*row.Set) ([]error, error) {
	if _, err := s.writer.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	results := make([]error, len(sets))
	broken := false // the chain
	for i, set := range sets {
		if set.Chained && broken {
			results[i] = changed("a set that this one builds on was refused")
			continue
		}
		var err error
		if results[i], err = s.storeSet(set); err != nil {
			return nil, err
		}
		broken = broken || set.Chained && results[i] != nil
	}
	// If COMMIT fails, for example in fsync, the next transaction overwrites what it
	// has written to the log. Only if the process dies before that may the sets turn
	// up after the restart, as they may when it dies within COMMIT.
	_, err := s.writer.exec("COMMIT")
	return results, err
}

// storeSet stores one set within the transaction. refused concerns the set alone:
// nothing of it is left. err ends the transaction.
func (s *Store) storeSet(set *row.Set) (refused, err error) {
	for _, condition := range set.Require {
		if refused, err := s.check(condition); refused != nil || err != nil {
			return refused, err
		}
	}
	if _, err := s.writer.exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	for _, change := range set.Changes {
		if refused, err = s.write(change); refused != nil || err != nil {
			break
		}
	}
	if refused == nil && err == nil {
		refused, err = s.checkSet(set)
	}
	if refused != nil && err == nil {
		_, err = s.writer.exec("ROLLBACK TO one")
	}
	if err == nil {
		_, err = s.writer.exec("RELEASE one")
	}
	return refused, err
}

// write does one change.
func (s *Store) write(change row.Change) (refused, err error) {
	t, values, refused := schema.Encode(change.Row)
	if refused != nil {
		return refused, nil
	}
	sql := statementsOf[t]
	var n int64
	switch change.Op {
	case row.Insert:
		if n, err = s.writer.exec(sql.insert, values...); n == 0 {
			refused = changed("%s exists already", schema.Describe(change.Row))
		}
	case row.Update:
		if n, err = s.writer.exec(sql.update, values...); n == 0 {
			refused = changed("%s does not exist", schema.Describe(change.Row))
		}
	case row.Delete:
		n, err = s.writer.exec(sql.delete, values[:t.Keys]...)
		if n == 0 && !t.Trimmed() {
			refused = changed("%s does not exist", schema.Describe(change.Row))
		}
	default:
		refused = fault.New(fault.Internal, "there is no operation %d on rows", change.Op)
	}
	if err != nil {
		return nil, err
	}
	return refused, nil
}

func changed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrChanged, fmt.Sprintf(format, args...))
}
