package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/changelog"
	"rekey/internal/store/schema"
)

// Commit stores sets, as store.Store says.
func (s *Store) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	var mark [16]byte
	if _, err := rand.Read(mark[:]); err != nil {
		return nil, err
	}
	results, _, err := s.CommitAt(ctx, mark, sets)
	return results, err
}

// CommitAt stores sets, as store.Shared says. Where the database cannot be reached or
// wants the transaction again, it tries for a while.
func (s *Store) CommitAt(ctx context.Context, mark [16]byte, sets []*row.Set) (results []error, at store.Position, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isClosed() {
		return nil, at, store.ErrClosed
	}
	if s.readOnly {
		return nil, at, errReadOnly()
	}
	if err := ctx.Err(); err != nil {
		return nil, at, err
	}
	changes := 0
	for _, set := range sets {
		changes += len(set.Changes)
	}
	err = s.persist(context.Background(), writePatience, func(ctx context.Context) (once error) {
		ctx, cancel := context.WithTimeout(ctx, writeTime+allowance(changes))
		defer cancel()
		results, at, once = s.transact(ctx, mark, sets, changes)
		return once
	})
	if err != nil {
		return nil, store.Position{}, s.failure(err, "storing changes")
	}
	if at.Number%trimEvery == 0 && at.Number > 0 {
		s.trimming.Go(s.trim)
	}
	return results, at, nil
}

// A transaction has statements that each see what is committed when they begin, and
// takes its place in the queue of all processes.
const (
	begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
	queue = "SELECT number, chained FROM rekey.log_head WHERE id = 1 FOR UPDATE"
)

// settings are for a transaction of so many changes. A process that stops within it, or
// is cut off, must not hold up the others for long, be it that the database waits for what
// it says next or for it to take what it has asked for; and an answer to COMMIT must mean
// that it is on the disk. Not every database knows tcp_user_timeout.
func settings(changes int) string {
	return fmt.Sprintf(`SELECT set_config('idle_in_transaction_session_timeout', '%d', true), set_config('lock_timeout', '%d', true),
		CASE WHEN current_setting('tcp_user_timeout', true) IS NOT NULL THEN set_config('tcp_user_timeout', '%[1]d', true) END,
		CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END`,
		(thinkingTime + allowance(changes)).Milliseconds(), queueTime.Milliseconds())
}

var headColumns = []schema.Column{{Name: "number", Kind: schema.Int}, {Name: "chained", Kind: schema.Int}}

// transact is one attempt at a transaction: a round trip that takes the place in the
// queue and reads what matters, and one that writes.
func (s *Store) transact(ctx context.Context, mark [16]byte, sets []*row.Set, changes int) ([]error, store.Position, error) {
	all, needed := prepare(sets)
	l := newLedger()
	var number, chained, least int64
	p := &pipeline{}
	p.add(nil, begin)
	p.add(nil, settings(changes))
	p.add(func(raw [][]byte) error {
		values, err := scan(headColumns, raw)
		if err == nil {
			number, chained = values[0].(int64), values[1].(int64)
		}
		return err
	}, queue)
	p.add(func(raw [][]byte) error { // in a statement of its own, which sees what was stored before this turn in the queue
		values, err := scan([]schema.Column{{Name: "min_compatible", Kind: schema.Int}}, raw)
		if err == nil {
			least = values[0].(int64)
		}
		return err
	}, "SELECT min_compatible FROM rekey.schema_version WHERE id = 1")
	needed.look(p, l)

	c, err := s.borrow(ctx)
	if err != nil {
		return nil, store.Position{}, err
	}
	defer giveBack(c)
	if _, err := p.run(ctx, c.Conn().PgConn()); err != nil {
		return nil, store.Position{}, err
	}
	if err := s.program.knows(least); err != nil {
		return nil, store.Position{}, err
	}
	if chained != s.chained {
		s.foreign = chained
	}
	needed.settle(l)
	results := make([]error, len(all))
	var accepted []*row.Set
	for i := range all {
		if results[i] = l.decide(&all[i], s.foreign, number); results[i] == nil && len(sets[i].Changes) > 0 {
			accepted = append(accepted, sets[i])
		}
	}
	if len(accepted) == 0 {
		end := &pipeline{}
		end.add(nil, "ROLLBACK")
		_, err := end.run(ctx, c.Conn().PgConn())
		return results, store.Position{}, err
	}
	at := store.Position{Number: number + 1, Mark: mark}
	body, err := changelog.Encode(accepted)
	if err != nil {
		return nil, store.Position{}, err
	}
	w := &pipeline{}
	l.write(w, needed)
	w.add(nil, "INSERT INTO rekey.log (number, mark, at, body) VALUES ($1, $2, $3, $4)",
		one(schema.Int, at.Number), one(schema.Bytes, at.Mark[:]), one(schema.Int, time.Now().UnixMilli()), one(schema.Bytes, body))
	if slices.ContainsFunc(accepted, func(set *row.Set) bool { return set.Chained }) {
		chained = at.Number
	}
	w.add(nil, "UPDATE rekey.log_head SET number = $1, chained = $2 WHERE id = 1", one(schema.Int, at.Number), one(schema.Int, chained))
	w.add(nil, "COMMIT")
	tag, err := w.run(ctx, c.Conn().PgConn())
	if err == nil && tag != "COMMIT" {
		err = fmt.Errorf("the database answers COMMIT with %s", tag)
	}
	if err != nil && !known(err) {
		err = s.resolve(ctx, at, err)
	}
	if err != nil {
		return nil, store.Position{}, err
	}
	if chained == at.Number {
		s.chained = chained
	}
	return results, at, nil
}

// known tells whether an error says for certain that the transaction was not stored:
// the server itself has refused a statement, and goes on living. It may also say that it
// does not know: 40003 is "statement completion unknown", and class 08 has "transaction
// resolution unknown" (SQL:2016, table 38), as engines of several machines do.
func known(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR" && refused.Code != "40003" && !strings.HasPrefix(refused.Code, "08")
}

// resolve finds out whether a transaction was stored whose answer was lost. It takes the
// same place in the queue, which the old session has until it has ended, one way or the
// other; then the log says whether there is an entry with the transaction's mark.
func (s *Store) resolve(ctx context.Context, at store.Position, lost error) error {
	var stored, passed bool
	err := s.persist(context.WithoutCancel(ctx), writePatience, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, writeTime)
		defer cancel()
		stored, passed = false, false
		p := &pipeline{}
		p.add(nil, begin)
		p.add(nil, settings(0))
		p.add(func(raw [][]byte) error {
			values, err := scan(headColumns, raw)
			passed = err == nil && values[0].(int64) >= at.Number
			return err
		}, queue)
		p.add(func([][]byte) error { stored = true; return nil },
			"SELECT 1 FROM rekey.log WHERE number = $1 AND mark = $2", one(schema.Int, at.Number), one(schema.Bytes, at.Mark[:]))
		p.add(func([][]byte) error { passed = false; return nil }, // somebody else has that number
			"SELECT 1 FROM rekey.log WHERE number = $1 AND mark <> $2", one(schema.Int, at.Number), one(schema.Bytes, at.Mark[:]))
		p.add(nil, "ROLLBACK")
		return s.with(ctx, func(c *pgxpool.Conn) error {
			_, err := p.run(ctx, c.Conn().PgConn())
			return err
		})
	})
	switch {
	case err != nil || passed && !stored:
		return &fault.Error{Kind: fault.Unavailable, Cause: errors.Join(lost, err),
			Message: "the connection to the database was lost while a change was stored: it is not known whether it was",
			Advice:  "look what is there before you try again",
			Log:     errors.Join(lost, err).Error()}
	case stored:
		return nil
	}
	return &lostError{lost}
}

// lostError is a transaction that is known not to have been stored, because the
// connection broke. It may be tried again.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }
