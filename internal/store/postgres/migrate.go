package postgres

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/fault"
	"rekey/internal/store"
	"rekey/internal/store/changelog"
)

// migrations are files NNNN_what.sql, numbered from 1 without gaps. One that has been
// released is never changed. The package says what may be in one.
//
//go:embed migrations/*.sql
var migrations embed.FS

// minCompatible is the oldest version of the schema whose programs understand the newest
// one.
const minCompatible = 1

// program is what a program knows of the schema.
type program struct {
	migrations fs.FS
	newest     int64 // version that they lead to
	least      int64 // version that a program has to know to work with it
}

func newProgram(migrations fs.FS, least int64) (program, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	return program{migrations, int64(len(names)), least}, err
}

// migrationLockTime is how long a migration waits for a lock on a table. Whoever asks for
// the same table meanwhile waits behind it.
const migrationLockTime = time.Second

// migrate brings the schema to the newest version that migrations has. Several processes
// may do so at once: one does, the others wait.
func (s *Store) migrate(ctx context.Context) error {
	return s.with(ctx, func(c *pgxpool.Conn) error {
		if err := writable(ctx, c.Conn().PgConn()); err != nil {
			return err
		}
		return migrate(ctx, c.Conn().PgConn(), s.program)
	})
}

const createVersion = `CREATE SCHEMA IF NOT EXISTS rekey;
CREATE TABLE IF NOT EXISTS rekey.schema_version (id bigint PRIMARY KEY, version bigint NOT NULL, min_compatible bigint NOT NULL);
INSERT INTO rekey.schema_version (id, version, min_compatible) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING;`

func migrate(ctx context.Context, c *pgconn.PgConn, p program) error {
	version, _, err := p.compatible(ctx, c, "")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000") { // there is no such table, or schema
		if err := script(ctx, c, createVersion); err != nil && !(errors.As(err, &refused) && (refused.Code == "23505" || refused.Code == "42P06" || refused.Code == "42P07")) {
			return err // otherwise somebody else was as fast
		}
		version, _, err = p.compatible(ctx, c, "")
	}
	if err != nil || version >= p.newest {
		return err
	}
	if err := script(ctx, c, "BEGIN"); err != nil {
		return err
	}
	if err := p.raise(ctx, c); err != nil {
		return errors.Join(err, script(ctx, c, "ROLLBACK"))
	}
	return script(ctx, c, "COMMIT")
}

// raise runs the migrations that are missing, in a transaction. It stands in the queue of
// all processes meanwhile.
func (p program) raise(ctx context.Context, c *pgconn.PgConn) error {
	version, least, err := p.compatible(ctx, c, " FOR UPDATE")
	if err != nil || version >= p.newest {
		return err
	}
	if version > 0 {
		if err := script(ctx, c, queue); err != nil {
			return err
		}
	}
	if err := script(ctx, c, fmt.Sprintf("SELECT set_config('lock_timeout', '%d', true)", migrationLockTime.Milliseconds())); err != nil {
		return err
	}
	names, err := fs.Glob(p.migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for _, name := range names[version:] {
		sql, err := fs.ReadFile(p.migrations, name)
		if err == nil {
			err = script(ctx, c, string(sql))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if version > 0 && p.least > least {
		if err := stop(ctx, c, p.least); err != nil {
			return err
		}
	}
	return script(ctx, c, fmt.Sprintf("UPDATE rekey.schema_version SET version = %d, min_compatible = %d WHERE id = 1", p.newest, max(p.least, least)))
}

// stop leaves an entry in the log at which programs stop that do not know a version of the
// schema.
func stop(ctx context.Context, c *pgconn.PgConn, needs int64) error {
	var mark [16]byte
	if _, err := rand.Read(mark[:]); err != nil {
		return err
	}
	return script(ctx, c, fmt.Sprintf(`UPDATE rekey.log_head SET number = number + 1 WHERE id = 1;
		INSERT INTO rekey.log (number, mark, at, body) SELECT number, '\x%x', %d, '\x%x' FROM rekey.log_head WHERE id = 1`,
		mark, time.Now().UnixMilli(), changelog.Needs(needs)))
}

// compatible returns the version of the schema and the least that programs have to know,
// unless this program would not understand it, or there is only a part of everything yet.
func (p program) compatible(ctx context.Context, c *pgconn.PgConn, lock string) (version, least int64, err error) {
	results, err := c.Exec(ctx, "SELECT version, min_compatible FROM rekey.schema_version WHERE id = 1"+lock).ReadAll()
	if err != nil {
		return 0, 0, err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return 0, 0, fault.New(fault.Invalid, "table rekey.schema_version of the database does not have its row")
	}
	if _, err := fmt.Sscan(string(results[0].Rows[0][0])+" "+string(results[0].Rows[0][1]), &version, &least); err != nil {
		return 0, 0, err
	}
	return version, least, p.knows(least)
}

// knows is the error if a program has to know more of the schema than this one does.
func (p program) knows(least int64) error {
	if least == unfinished {
		return store.Unfinished()
	}
	if least <= p.newest {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable,
		Message: fmt.Sprintf("this program is too old for the database, whose schema takes programs that know version %d or later; this one knows versions up to %d", least, p.newest),
		Advice:  "start the newer program, or restore a backup from before the upgrade"}
}

// script runs one or more statements without parameters.
func script(ctx context.Context, c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}
