package postgres

import (
	"context"
	"crypto/rand"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Queue are the statements by which a transaction begins.
var Queue = []string{begin, settings(0), queue}

// NewMark is one that no other transaction has.
func NewMark() (mark [16]byte) {
	rand.Read(mark[:])
	return mark
}

// TrimTo trims the log now.
func TrimTo(s *Store, least, most int64, before time.Time) error {
	return s.trimTo(context.Background(), least, most, before)
}

// Migrate runs migrations.
func Migrate(ctx context.Context, c *pgconn.PgConn, migrations fs.FS, minCompatible int64) error {
	p, err := newProgram(migrations, minCompatible)
	if err != nil {
		return err
	}
	return migrate(ctx, c, p)
}

// Migrations are those of this program.
var Migrations fs.FS = migrations

// OpenAs is Open by a program that has other migrations.
func OpenAs(ctx context.Context, url string, migrations fs.FS, minCompatible int64) (*Store, error) {
	s, err := connect(ctx, url, true)
	if err != nil {
		return nil, err
	}
	if s.program, err = newProgram(migrations, minCompatible); err != nil {
		return nil, err
	}
	return s.opened(ctx)
}
