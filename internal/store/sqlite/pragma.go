package sqlite

import (
	"fmt"
	"strconv"
	"strings"

	"rekey/internal/fault"
)

// oldestSQLite is the oldest version of the library that the tests have run with.
const oldestSQLite = "3.53.4"

// The settings of the connections. A commit is synced to the disk (synchronous=FULL);
// the log is moved into the database every 16 MiB, so that a page that many commits
// have changed is written there once.
var (
	writerPragmas = []string{
		"busy_timeout = 5000",
		"journal_mode = WAL",
		"synchronous = FULL",
		"foreign_keys = ON",
		"secure_delete = ON",
		"cache_size = -16384", // KiB; a larger one slows commits down, as SQLite scans it after some
		"temp_store = MEMORY",
		"wal_autocheckpoint = 4096",     // pages of 4 KiB
		"journal_size_limit = 67108864", // bytes that the log keeps when it is reused
	}
	readerPragmas = []string{
		"busy_timeout = 5000",
		"cache_size = -16384",
		"temp_store = MEMORY",
		"query_only = ON",
	}
)

// verify makes sure that the library is one we trust and that SQLite has taken the
// settings that durability and consistency rest on: it ignores silently what it
// cannot do, for example WAL on some network file systems.
func (c *conn) verify() error {
	version, err := c.get("SELECT sqlite_version()")
	if err != nil {
		return err
	}
	if older(version.(string), oldestSQLite) {
		return fault.New(fault.Internal, "this program is linked with SQLite %s, but needs %s at least", version, oldestSQLite)
	}
	for _, want := range []struct{ pragma, value string }{
		{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}, {"secure_delete", "1"},
	} {
		got, err := c.get("PRAGMA " + want.pragma)
		if err != nil {
			return err
		}
		if fmt.Sprint(got) != want.value {
			return &fault.Error{Kind: fault.Unavailable,
				Message: fmt.Sprintf("SQLite refuses the setting %s = %s in this data directory", want.pragma, want.value),
				Advice:  "use a directory on a local file system"}
		}
	}
	return nil
}

// older compares versions of the form 3.53.4.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i]) // SQLite's versions are numbers
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return len(as) < len(bs)
}
