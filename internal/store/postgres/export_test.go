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
	return migrate(ctx, c, migrations, minCompatible)
}
