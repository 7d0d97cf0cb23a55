package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

var _ store.Target = (*Target)(nil)

// unfinishedID marks, instead of applicationID, a database that a copy has begun to fill
// ("RkeC"). Programs that know nothing of it take it for somebody else's.
const unfinishedID = 0x526b6543

// Target is a database that a copy fills.
type Target struct{ s *Store }

// OpenTarget is Open for what is empty, or what a copy has begun to fill. Of another
// database, too: then Begin refuses it.
func OpenTarget(dir string) (*Target, error) {
	s, err := open(dir, true)
	if err != nil {
		return nil, err
	}
	return &Target{s}, nil
}

// unfinished tells whether a copy has begun to fill the database.
func (c *conn) unfinished() (bool, error) {
	owner, err := c.get("PRAGMA application_id")
	return owner == int64(unfinishedID), err
}

// admit brings the schema up to date, unless a copy has begun to fill the database: that
// is only for who goes on with the copy, and has the same schema.
func (s *Store) admit(target bool) error {
	unfinished, err := s.writer.unfinished()
	switch {
	case err != nil:
		return err
	case !unfinished:
		return migrate(s.writer, migrations)
	case !target:
		return store.Unfinished()
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if version, err := s.writer.get("PRAGMA user_version"); err != nil || version != int64(len(names)) {
		return errors.Join(err, store.OtherVersion())
	}
	return nil
}

// Progress is as store.Target says.
func (t *Target) Progress(ctx context.Context) (progress []byte, err error) {
	err = t.transact(ctx, func() error {
		progress, err = t.progress()
		return err
	})
	return progress, err
}

// Begin is as store.Target says.
func (t *Target) Begin(ctx context.Context, progress []byte) error {
	return t.transact(ctx, func() error {
		if err := t.s.mustBeEmpty(); err != nil {
			return err
		}
		if err := t.same(nil); err != nil {
			return err
		}
		if err := t.script("CREATE TABLE copy (id INTEGER PRIMARY KEY, progress BLOB NOT NULL) STRICT; PRAGMA application_id = %d", unfinishedID); err != nil {
			return err
		}
		_, err := t.s.writer.exec("INSERT INTO copy (id, progress) VALUES (1, ?)", progress)
		return err
	})
}

// Put is as store.Target says.
func (t *Target) Put(ctx context.Context, rows []row.Row, was, is []byte) error {
	return t.transact(ctx, func() error {
		if err := t.same(was); err != nil {
			return err
		}
		into := &filling{ctx, t.s}
		for _, r := range rows {
			if err := into.Put(r); err != nil {
				return err
			}
		}
		_, err := t.s.writer.exec("UPDATE copy SET progress = ? WHERE id = 1", is)
		return err
	})
}

// End is as store.Target says.
func (t *Target) End(ctx context.Context, was []byte) error {
	return t.transact(ctx, func() error {
		if err := t.same(was); err != nil {
			return err
		}
		return t.release()
	})
}

// Discard is as store.Target says.
func (t *Target) Discard(ctx context.Context) error {
	return t.transact(ctx, func() error {
		if progress, err := t.progress(); err != nil || progress == nil {
			return errors.Join(err, store.ErrChanged)
		}
		tables := schema.Tables()
		slices.Reverse(tables)
		for _, of := range tables {
			if _, err := t.s.writer.exec("DELETE FROM " + of.Name); err != nil {
				return err
			}
		}
		return t.release()
	})
}

// Export is as store.Target says.
func (t *Target) Export(ctx context.Context, visit func(row.Row) error) error {
	return t.s.Export(ctx, visit)
}

// Close is as store.Target says.
func (t *Target) Close() error { return t.s.Close() }

// release makes it a database that Open takes.
func (t *Target) release() error {
	return t.script("DROP TABLE copy; PRAGMA application_id = %d", applicationID)
}

func (t *Target) script(format string, args ...any) error {
	return t.s.writer.script(fmt.Sprintf(format, args...))
}

// progress is what the table of the copy has; nil if there is none.
func (t *Target) progress() ([]byte, error) {
	if unfinished, err := t.s.writer.unfinished(); err != nil || !unfinished {
		return nil, err
	}
	progress, err := t.s.writer.get("SELECT progress FROM copy WHERE id = 1")
	return blob(progress), err
}

// same is the error if the progress is another one.
func (t *Target) same(want []byte) error {
	progress, err := t.progress()
	if err == nil && ((progress == nil) != (want == nil) || !bytes.Equal(progress, want)) {
		err = changed("another copy has gone on")
	}
	return err
}

// transact does something in one durable transaction.
func (t *Target) transact(ctx context.Context, do func() error) error {
	t.s.writing.Lock()
	defer t.s.writing.Unlock()
	if t.s.isClosed() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := t.s.writer.exec("BEGIN IMMEDIATE")
	if err == nil {
		if err = do(); err == nil {
			_, err = t.s.writer.exec("COMMIT")
		}
	}
	if err != nil {
		// As in Commit: SQLite may have rolled back by itself.
		_, _ = t.s.writer.exec("ROLLBACK")
	}
	return t.s.failure(err, "copying")
}
