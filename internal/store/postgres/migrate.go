package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/fault"
	"rekey/internal/store"
)

// migrations are files NNNN_what.sql, numbered from 1 without gaps. One that has been
// released is never changed. A migration only adds: processes of the version before go on
// working beside those of the next. One that they could not live with raises
// minCompatible.
//
//go:embed migrations/*.sql
var migrations embed.FS

// minCompatible is the oldest version of the schema whose programs understand the newest
// one.
const minCompatible = 1

// migrate brings the schema to the newest version that migrations has. Several processes
// may do so at once: one does, the others wait.
func (s *Store) migrate(ctx context.Context) error {
	return s.with(ctx, func(c *pgxpool.Conn) error {
		if err := writable(ctx, c.Conn().PgConn()); err != nil {
			return err
		}
		return migrate(ctx, c.Conn().PgConn(), migrations, minCompatible)
	})
}

const createVersion = `CREATE SCHEMA IF NOT EXISTS rekey;
CREATE TABLE IF NOT EXISTS rekey.schema_version (id bigint PRIMARY KEY, version bigint NOT NULL, min_compatible bigint NOT NULL);
INSERT INTO rekey.schema_version (id, version, min_compatible) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING;`

func migrate(ctx context.Context, c *pgconn.PgConn, migrations fs.FS, minCompatible int64) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	newest := int64(len(names))
	version, err := compatible(ctx, c, newest, "")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000") { // there is no such table, or schema
		if err := script(ctx, c, createVersion); err != nil && !(errors.As(err, &refused) && (refused.Code == "23505" || refused.Code == "42P06" || refused.Code == "42P07")) {
			return err // otherwise somebody else was as fast
		}
		version, err = compatible(ctx, c, newest, "")
	}
	if err != nil || version >= newest {
		return err
	}
	if err := script(ctx, c, "BEGIN"); err != nil {
		return err
	}
	if version, err = compatible(ctx, c, newest, " FOR UPDATE"); err != nil {
		return errors.Join(err, script(ctx, c, "ROLLBACK"))
	}
	for i := version; i < newest; i++ {
		sql, err := fs.ReadFile(migrations, names[i])
		if err == nil {
			err = script(ctx, c, string(sql))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], errors.Join(err, script(ctx, c, "ROLLBACK")))
		}
	}
	return script(ctx, c, fmt.Sprintf("UPDATE rekey.schema_version SET version = %d, min_compatible = %d WHERE id = 1 AND version < %[1]d; COMMIT", newest, minCompatible))
}

// compatible returns the version of the schema, unless this program would not
// understand it, or there is only a part of everything yet.
func compatible(ctx context.Context, c *pgconn.PgConn, newest int64, lock string) (int64, error) {
	results, err := c.Exec(ctx, "SELECT version, min_compatible FROM rekey.schema_version WHERE id = 1"+lock).ReadAll()
	if err != nil {
		return 0, err
	}
	var version, least int64
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return 0, fault.New(fault.Invalid, "table rekey.schema_version of the database does not have its row")
	}
	if _, err := fmt.Sscan(string(results[0].Rows[0][0])+" "+string(results[0].Rows[0][1]), &version, &least); err != nil {
		return 0, err
	}
	if least == unfinished {
		return version, store.Unfinished()
	}
	if least > newest {
		return 0, &fault.Error{Kind: fault.Invalid,
			Message: fmt.Sprintf("the database has schema version %d, which programs understand that know version %d or later; this one knows versions up to %d", version, least, newest),
			Advice:  "start the newer program, or restore a backup from before the upgrade"}
	}
	return version, nil
}

// script runs one or more statements without parameters.
func script(ctx context.Context, c *pgconn.PgConn, sql string) error {
	_, err := c.Exec(ctx, sql).ReadAll()
	return err
}
