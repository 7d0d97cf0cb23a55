// Package sqlite is the embedded engine of the store: one SQLite database in a data
// directory that one process uses at a time.
//
// It promises what store.Store does: a commit returns when it is on the disk (WAL,
// synchronous=FULL), also if the machine dies right after. What is deleted is
// overwritten in the database file (secure_delete); its copy in the write-ahead log
// stays until the log is next checkpointed and reused.
//
// It imports store, store/schema, row, ident and fault.
package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"rekey/internal/fault"
	"rekey/internal/store"
)

var (
	_ store.Store     = (*Store)(nil)
	_ store.Exclusive = (*Store)(nil)
)

// fileName is the database in the data directory. SQLite puts -wal and -shm files
// of the same mode beside it.
const fileName = "rekey.db"

// Store is the engine. Commits run one at a time on one connection, reads on a few
// others, neither waiting for the other.
type Store struct {
	path string
	lock *os.File

	writing sync.Mutex // held during a commit
	writer  *conn

	readers   []*conn
	free      chan *conn // the readers that nobody has borrowed
	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// Open opens the database in dir, creates both if need be (modes 0700 and 0600), and
// brings its schema up to date. Errors are faults that say what to do: Conflict if
// another process uses dir, Invalid if a newer program has written the database or
// it is not one of rekey's, Unavailable if dir cannot be used, Internal if the file
// is damaged. What a copy has begun to fill is refused with store.ErrUnfinished.
func Open(dir string) (*Store, error) { return open(dir, false) }

func open(dir string, target bool) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Wrap(err, "data directory %s", dir)
	}
	if err := prepareDirectory(dir); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{path: filepath.Join(dir, fileName), lock: lock, closing: make(chan struct{})}
	if err := s.open(target); err != nil {
		return nil, errors.Join(s.failure(err, "opening the database"), s.Close())
	}
	return s, nil
}

// Exclusive is part of store.Exclusive: the lock on the directory sees to it.
func (s *Store) Exclusive() {}

func (s *Store) open(target bool) error {
	if err := createFile(s.path); err != nil {
		return err
	}
	var err error
	if s.writer, err = connect(s.path, writerPragmas...); err != nil {
		return err
	}
	if err := s.writer.verify(); err != nil {
		return err
	}
	if err := s.admit(target); err != nil {
		return err
	}
	s.free = make(chan *conn, max(2, min(runtime.GOMAXPROCS(0), 8)))
	for range cap(s.free) {
		reader, err := connect(s.path, readerPragmas...)
		if err != nil {
			return err
		}
		s.readers = append(s.readers, reader)
		s.free <- reader
	}
	return nil
}

// borrow waits for a connection to read with; the caller gives it back.
func (s *Store) borrow(ctx context.Context) (*conn, error) {
	if s.isClosed() {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case reader := <-s.free:
		return reader, nil
	case <-s.closing:
		return nil, store.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Store) giveBack(reader *conn) { s.free <- reader }

func (s *Store) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Close waits for running calls, moves the write-ahead log into the database and
// releases the directory. Closing again returns the same error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.writing.Lock()
		defer s.writing.Unlock()
		var errs []error
		for range s.readers {
			errs = append(errs, (<-s.free).close())
		}
		if s.writer != nil {
			errs = append(errs, s.writer.close())
		}
		errs = append(errs, s.lock.Close())
		s.closeErr = s.failure(errors.Join(errs...), "closing the database")
	})
	return s.closeErr
}
