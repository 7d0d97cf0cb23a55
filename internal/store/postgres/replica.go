package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/fault"
	"rekey/internal/store/schema"
)

// A replica is a database that PostgreSQL keeps like another one, its primary, and that
// is only read. It has a transaction when it has all that were stored before, so what is
// seen in it of a moment says that nothing is missing of what was acknowledged earlier.
// The moments are those of the log's entries and, where nothing changes, of beats.

// OpenReadOnly is Open for a database that is only read: a standby, or one whose nodes
// that write are others. It changes nothing, and its Commit refuses everything as
// ReadOnly. The error wraps ErrOld if the schema is not there yet, or older than
// this program.
func OpenReadOnly(ctx context.Context, url string) (*Store, error) {
	return openReadOnly(ctx, url, false)
}

// OpenSource is OpenReadOnly for a database that is copied: of several hosts it takes the
// one that takes writes, because the others may be behind.
func OpenSource(ctx context.Context, url string) (*Store, error) {
	return openReadOnly(ctx, url, true)
}

// ErrOld says that the schema is older than what this program reads.
var ErrOld = errors.New("the schema is older than this program")

func openReadOnly(ctx context.Context, url string, writes bool) (*Store, error) {
	s, err := connect(ctx, url, writes)
	if err != nil {
		return nil, err
	}
	s.readOnly = true
	if err := s.persist(ctx, writePatience, s.upToDate); err != nil {
		return nil, errors.Join(s.failure(err, "opening the database"), s.Close())
	}
	return s, nil
}

// upToDate refuses a schema that this program cannot read.
func (s *Store) upToDate(ctx context.Context) error {
	newest := s.program.newest
	return s.with(ctx, func(c *pgxpool.Conn) error {
		version, _, err := s.program.compatible(ctx, c.Conn().PgConn(), "")
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000"):
			version = 0 // there is no such table, or schema
		case err != nil:
			return err
		}
		if version < newest {
			return &fault.Error{Kind: fault.Unavailable, Cause: ErrOld,
				Message: fmt.Sprintf("the database has schema version %d, and this program, which only reads here, needs version %d", version, newest),
				Advice:  "start a node of this version that writes first, or use the program of the nodes that run"}
		}
		return nil
	})
}

// Replica tells whether the database only follows another one, and from when the newest
// is that it tells of.
func (s *Store) Replica(ctx context.Context) (yes bool, newest time.Time, err error) {
	err = s.read(ctx, "asking what the database is", func(ctx context.Context, c *pgxpool.Conn) error {
		err := writable(ctx, c.Conn().PgConn())
		if yes = errors.Is(err, errReplica); yes {
			err = nil
		}
		return err
	})
	if err == nil && yes {
		newest, err = s.Current(ctx)
	}
	return yes, newest, err
}

// errReplica is of a database that takes no writes, found by a node that has to write.
var errReplica = errors.New("the database is a standby or takes no writes")

// writable refuses a database that takes no writes.
func writable(ctx context.Context, c *pgconn.PgConn) error {
	results, err := c.Exec(ctx, "SHOW transaction_read_only").ReadAll()
	if err == nil && len(results) == 1 && len(results[0].Rows) == 1 && string(results[0].Rows[0][0]) == "on" {
		err = errReplica
	}
	return err
}

// Current returns the newest moment that the database tells of, as store.Shared says; for
// one that this process writes to it is now.
func (s *Store) Current(ctx context.Context) (at time.Time, err error) {
	if !s.readOnly {
		return time.Now(), nil
	}
	err = s.query(ctx, "asking for the age of the replica", func() {}, func(raw [][]byte) error {
		values, err := scan([]schema.Column{{Name: "beat", Kind: schema.Int}, {Name: "log", Kind: schema.Int}}, raw)
		if err == nil {
			at = time.UnixMilli(max(values[0].(int64), values[1].(int64)))
		}
		return err
	}, "SELECT (SELECT at FROM rekey.beat WHERE id = 1), (SELECT at FROM rekey.log ORDER BY number DESC LIMIT 1)")
	return at, err
}

// beatEvery is how often the time is left for replicas, by whichever node comes first.
const beatEvery = 900 * time.Millisecond

// Beat leaves the time for those who read a replica, as store.Shared says. Nobody waits
// for it to reach the disk: if it is lost, so is what it stood for.
func (s *Store) Beat(ctx context.Context) error {
	if s.readOnly {
		return errReadOnly()
	}
	return s.read(ctx, "leaving the time for replicas", func(ctx context.Context, c *pgxpool.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, readTime)
		defer cancel()
		now := time.Now()
		p := &pipeline{}
		p.add(nil, begin)
		p.add(nil, "SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '1000', true)")
		p.add(nil, "UPDATE rekey.beat SET at = $1 WHERE id = 1 AND at < $2",
			one(schema.Int, now.UnixMilli()), one(schema.Int, now.Add(-beatEvery).UnixMilli()))
		p.add(nil, "COMMIT")
		_, err := p.run(ctx, c.Conn().PgConn())
		return err
	})
}

func errReadOnly() error {
	return &fault.Error{Kind: fault.ReadOnly, Message: "the database is only read here", Advice: "start a node that writes first"}
}
