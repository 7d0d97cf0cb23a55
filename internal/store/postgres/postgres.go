// Package postgres is the engine of the store that any number of processes share: a
// PostgreSQL database, or one that speaks its protocol and SQL.
//
// It promises what store.Shared does. The transactions of all processes stand in one
// queue, by the lock on a single row, which a transaction holds for a round trip and the
// time that the database takes to make it durable. While it holds it nobody else writes,
// so it reads what its sets rely on, decides over them in memory, and writes what is left
// all at once. Each transaction leaves an entry in a log, which the other processes
// follow. Whether a transaction was stored whose answer was lost is found out by the mark
// of its entry, never guessed.
//
// It uses plain SQL and nothing that a session would have to remember between
// transactions, so it works through a pooler. The words and functions that may be said are
// listed in its tests. A transaction that the database wants to have again, as engines do
// on which all are serializable, is repeated.
//
// # Migrations
//
// The first process of a new version raises the schema while those of the version before
// go on working, so a migration keeps to this:
//   - It only adds: tables, indexes of tables that it makes, and columns at the end, NOT
//     NULL with a DEFAULT. Older programs name the columns that they know in every
//     statement, so they leave the new ones as they are, but a row that they insert, or
//     delete and insert again, has the default there. New programs must live with that.
//   - It takes milliseconds, whatever the size of the tables: it stands in the queue, so
//     that nobody stores anything meanwhile, and what locks a table keeps readers away.
//     So it rewrites no rows, and makes no index of a table that may be large.
//   - It gives up waiting for a lock after a second, and is tried again, because those who
//     come later queue up behind it.
//   - It is plain SQL, and one transaction with all that are missing: all or nothing.
//   - If older programs would read or store something wrong beside it, it raises
//     minCompatible. Then they stop, at an entry in the log and at each commit.
//   - Once released it is never changed.
//
// It imports store, store/schema, store/changelog, row, ident and fault.
package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/fault"
	"rekey/internal/store"
)

var _ store.Shared = (*Store)(nil)

// Store is the engine. Commits run one at a time on one connection, reads on others.
type Store struct {
	pool     *pgxpool.Pool
	program  program
	readOnly bool

	writing sync.Mutex // held during a commit
	chained int64      // the newest change by which this process has stored a chained set
	foreign int64      // and another one

	trimming  sync.WaitGroup
	closing   chan struct{}
	closeOnce sync.Once
	reading   sync.WaitGroup
	mu        sync.Mutex // guards closed against reading
	closed    bool
}

// How long a database that cannot be reached is waited for, for example while a standby
// takes over: by those who change something, and by those who only read.
const (
	writePatience = 15 * time.Second
	readPatience  = 5 * time.Second
)

// How long one attempt takes at most, if a process stops or the network swallows
// everything: the wait in the queue, what a process does between its two round trips, the
// whole transaction, and a read, which has as long for getting a connection. Large
// transactions are allowed more.
const (
	queueTime    = 60 * time.Second
	thinkingTime = 5 * time.Second
	writeTime    = 75 * time.Second
	readTime     = 3 * time.Second
)

func allowance(changes int) time.Duration { return time.Duration(changes) * time.Millisecond / 5 }

// Open connects to the database that a URL or a list of key=value pairs names, as libpq
// knows them, and brings its schema up to date. Errors are faults that say what to do:
// Invalid if the URL is malformed, Unavailable if the database cannot be reached or does not
// let us in, or its schema is one that this program does not understand, Conflict if a copy
// has begun to fill it (store.ErrUnfinished).
//
// A database that takes no writes, such as a standby, is waited for, and then refused.
func Open(ctx context.Context, url string) (*Store, error) {
	s, err := connect(ctx, url, true)
	if err != nil {
		return nil, err
	}
	return s.opened(ctx)
}

func (s *Store) opened(ctx context.Context) (*Store, error) {
	if err := s.persist(ctx, writePatience, s.migrate); err != nil {
		return nil, errors.Join(s.failure(err, "opening the database"), s.Close())
	}
	return s, nil
}

// connect makes the pool of connections. writes says that of several hosts it has to be
// the one that takes writes, if the URL says nothing else.
func connect(ctx context.Context, url string, writes bool) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser's message may show the URL, but with the password masked.
		return nil, &fault.Error{Kind: fault.Invalid, Message: "the database URL cannot be read", Cause: errors.New("malformed"),
			Advice: "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full"}
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "rekey"
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if writes && severalHosts(config.ConnConfig) && config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // of several hosts the one that takes writes
	}
	connections(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fault.Wrap(err, "the database")
	}
	known, err := newProgram(migrations, minCompatible)
	return &Store{pool: pool, program: known, closing: make(chan struct{})}, err
}

// severalHosts tells whether there is a choice; the fallbacks may also be to the same host,
// without TLS.
func severalHosts(config *pgx.ConnConfig) bool {
	return slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		return f.Host != config.Host || f.Port != config.Port
	})
}

// persist repeats what the database asks to repeat, and what failed because it could not
// be reached, until it has been waited for long enough.
func (s *Store) persist(ctx context.Context, patience time.Duration, once func(context.Context) error) error {
	begin := time.Now()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := once(ctx)
		if err == nil || !passes(err) || time.Since(begin) > patience {
			return err
		}
		select {
		case <-time.After(pause/2 + pause*time.Duration(time.Now().UnixNano()%1000)/1000):
		case <-ctx.Done():
			return err
		case <-s.closing:
			return err
		}
	}
}

// read runs f unless the store is closed, and keeps it open meanwhile.
func (s *Store) read(ctx context.Context, doing string, f func(context.Context, *pgxpool.Conn) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	s.reading.Add(1)
	s.mu.Unlock()
	defer s.reading.Done()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.persist(ctx, readPatience, func(ctx context.Context) error {
		return s.with(ctx, func(c *pgxpool.Conn) error { return f(ctx, c) })
	})
	return s.failure(err, doing)
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.closing)
		s.writing.Lock()
		defer s.writing.Unlock()
		s.trimming.Wait()
		s.reading.Wait()
		s.pool.Close()
	})
	return nil
}
