package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"rekey/internal/fault"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// failure puts an error of the driver into the vocabulary; nil and what is in it
// already stay as they are. Path and details are for the log only.
func (s *Store) failure(err error, doing string) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, store.ErrNotEmpty) || errors.Is(err, store.ErrChanged) || errors.Is(err, context.Canceled) {
		return err
	}
	f := &fault.Error{Kind: fault.Internal, Message: "the database failed", Cause: err,
		Log: fmt.Sprintf("%s in %s: %v", doing, s.path, err)}
	var failed *sqlite.Error
	code := lib.SQLITE_ERROR
	if errors.As(err, &failed) {
		code = failed.Code() & 0xff // the primary code
	}
	if errors.Is(err, schema.ErrDamaged) {
		code = lib.SQLITE_CORRUPT
	}
	if code == lib.SQLITE_CORRUPT || code == lib.SQLITE_NOTADB {
		f.Message = "the database is damaged"
		f.Advice = "stop the server, keep a copy of its data directory, and restore a backup"
	}
	if advice := unavailable[code]; advice != "" {
		f.Kind = fault.Unavailable
		f.Message = "the database cannot be used at the moment"
		f.Advice = advice
	}
	return f
}

// unavailable has the primary codes of failures that pass when their cause is gone,
// and what to do about it. Nothing needs to be restarted.
var unavailable = map[int]string{
	lib.SQLITE_FULL:     "free space on the file system of the data directory",
	lib.SQLITE_IOERR:    "check the file system of the data directory, its free space and quota",
	lib.SQLITE_READONLY: "make the data directory and its files writable for the server's user",
	lib.SQLITE_CANTOPEN: "make the data directory and its files writable for the server's user",
	lib.SQLITE_PERM:     "make the data directory and its files writable for the server's user",
	lib.SQLITE_BUSY:     "stop the other program that has opened the database",
	lib.SQLITE_LOCKED:   "stop the other program that has opened the database",
	lib.SQLITE_PROTOCOL: "stop the other program that has opened the database",
	lib.SQLITE_NOMEM:    "give the server more memory",
}
