package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"rekey/internal/backup"
	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/sqlite"
)

// Copy copies everything from one store into an empty one, completely or not at all. Each
// is named by a data directory or the URL of a database. No server may use either: one on
// a directory is noticed by its lock, one on a database by what it writes meanwhile.
// progress is told the number of rows now and then.
func Copy(ctx context.Context, cfg config.Config, from, to string, progress func(rows int)) (summary backup.Summary, err error) {
	root, err := openRoot(&cfg)
	if err != nil {
		return summary, err
	}
	if dir, ok := StoreDir(from); ok {
		if _, err := os.Stat(filepath.Join(dir, "rekey.db")); err != nil {
			e := fault.New(fault.NotFound, "there is nothing to copy in %s: %v", dir, err)
			e.Advice = "name a data directory, or a database as in postgres://USER@HOST/DATABASE"
			return summary, e
		}
	}
	source, err := openNamed(ctx, from)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openNamed(ctx, to)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return backup.Copy(ctx, source, target, root, progress)
}

// StoreDir is the data directory that the name of a store is, unless it is a URL.
func StoreDir(name string) (dir string, ok bool) {
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		return "", false
	}
	return name, true
}

func openNamed(ctx context.Context, name string) (store.Store, error) {
	if dir, ok := StoreDir(name); ok {
		return sqlite.Open(dir)
	}
	return postgres.Open(ctx, name)
}
