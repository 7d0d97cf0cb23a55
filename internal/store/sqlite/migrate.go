package sqlite

import (
	"embed"
	"fmt"
	"io/fs"

	"rekey/internal/fault"
)

// applicationID marks a database as rekey's ("Rkey").
const applicationID = 0x526b6579

// migrations are files NNNN_what.sql, numbered from 1 without gaps. One that has
// been released is never changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to the newest version that migrations has. The version
// is the number of the last one, kept in user_version. Each is one transaction; if
// one fails, those before it stay, and the connection is to be closed.
func migrate(c *conn, migrations fs.FS) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	found, err := c.get("PRAGMA user_version")
	if err != nil {
		return err
	}
	owner, err := c.get("PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.get("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	version, newest := int(found.(int64)), len(names)
	if owner != int64(applicationID) && (tables != int64(0) || version != 0) {
		return &fault.Error{Kind: fault.Invalid,
			Message: "the data directory has a database that is not one of rekey's",
			Advice:  "name another data directory"}
	}
	if version > newest {
		return &fault.Error{Kind: fault.Invalid,
			Message: fmt.Sprintf("the database has schema version %d, but this program knows versions up to %d only", version, newest),
			Advice:  "start the newer program that has written it, or restore a backup from before the upgrade"}
	}
	for i := version; i < newest; i++ {
		sql, err := fs.ReadFile(migrations, names[i])
		if err != nil {
			return err
		}
		if err := c.script(fmt.Sprintf("BEGIN IMMEDIATE;\n%s\n; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			sql, applicationID, i+1)); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return nil
}
