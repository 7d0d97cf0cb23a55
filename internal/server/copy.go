package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rekey/internal/backup"
	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/sqlite"
)

// Copy copies everything from one store into an empty one, as backup.Copy says. Each is
// named by a data directory or the URL of a database. No server may use either: one on a
// directory is noticed by its lock, one on a database by what it writes meanwhile.
func Copy(ctx context.Context, cfg config.Config, o CopyOptions) (copied backup.Copied, err error) {
	root, err := openRoot(&cfg)
	if err != nil {
		return copied, err
	}
	source, err := openSource(ctx, o.From)
	if err != nil {
		return copied, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if replica, ok := source.(*postgres.Store); ok && o.Replica != nil {
		of, at, err := replica.Replica(ctx)
		if err != nil {
			return copied, err
		}
		if of {
			o.Replica(at)
		}
	}
	target, err := openTarget(ctx, o.To)
	if err != nil {
		return copied, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return backup.Copy(ctx, source, target, root, o.Restart, o.Progress)
}

// CopyOptions say what is copied, and how.
type CopyOptions struct {
	From, To string
	Restart  bool                   // throw away what an earlier copy has left
	Progress func(rows, of int)     // is told how far it has come; may be nil
	Replica  func(newest time.Time) // is told that the source follows another database, and from when the newest is that it has; may be nil
}

// StoreDir is the data directory that the name of a store is, unless it is a URL.
func StoreDir(name string) (dir string, ok bool) {
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		return "", false
	}
	return name, true
}

// openSource opens a store such that nothing is written to it, unless its schema is older
// than this program: then it is brought up to date.
func openSource(ctx context.Context, name string) (store.Store, error) {
	dir, ok := StoreDir(name)
	if !ok {
		source, err := postgres.OpenSource(ctx, name)
		if errors.Is(err, postgres.ErrOld) {
			return postgres.Open(ctx, name)
		}
		return source, err
	}
	if _, err := os.Stat(filepath.Join(dir, "rekey.db")); err != nil {
		e := fault.New(fault.NotFound, "there is nothing to copy in %s: %v", dir, err)
		e.Advice = "name a data directory, or a database as in postgres://USER@HOST/DATABASE"
		return nil, e
	}
	return sqlite.Open(dir)
}

func openTarget(ctx context.Context, name string) (store.Target, error) {
	if dir, ok := StoreDir(name); ok {
		return sqlite.OpenTarget(dir)
	}
	return postgres.OpenTarget(ctx, name)
}
