package sqlite

import (
	"embed"
	"fmt"
	"path"

	"rekey/internal/fault"
)

// applicationID marks a database as rekey's ("Rkey").
const applicationID = 0x526b6579

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to the newest version that this program knows. The
// version is the number of the last migration, kept in user_version; each migration
// is one transaction.
func migrate(c *conn) error {
	entries, err := migrations.ReadDir("migrations")
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
	version, newest := int(found.(int64)), len(entries)
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
		sql, err := migrations.ReadFile(path.Join("migrations", entries[i].Name()))
		if err != nil {
			return err
		}
		if err := c.script(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			sql, applicationID, i+1)); err != nil {
			return fmt.Errorf("migration %s: %w", entries[i].Name(), err)
		}
	}
	return nil
}
