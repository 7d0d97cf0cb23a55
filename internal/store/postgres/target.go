package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/changelog"
	"rekey/internal/store/schema"
)

var _ store.Target = (*Target)(nil)

// unfinished stands for the oldest schema whose programs understand a database that a copy
// has begun to fill: none does, whatever its version. The head of the log is below zero
// then, so that nobody can store anything who had the database open before.
const unfinished = math.MaxInt64

// Target is a database that a copy fills.
type Target struct{ s *Store }

// OpenTarget is Open for what is empty, or what a copy has begun to fill. Of another
// database, too: then Begin refuses it.
func OpenTarget(ctx context.Context, url string) (*Target, error) {
	s, err := connect(ctx, url, true)
	if err != nil {
		return nil, err
	}
	if err := s.persist(ctx, writePatience, s.admit); err != nil {
		return nil, errors.Join(s.failure(err, "opening the database"), s.Close())
	}
	return &Target{s}, nil
}

// admit is migrate, unless a copy has begun to fill the database: that is only for who has
// the same schema.
func (s *Store) admit(ctx context.Context) error {
	err := s.migrate(ctx)
	if !errors.Is(err, store.ErrUnfinished) {
		return err
	}
	return s.with(ctx, func(c *pgxpool.Conn) error {
		if version, _, err := s.program.compatible(ctx, c.Conn().PgConn(), ""); !errors.Is(err, store.ErrUnfinished) || version != s.program.newest {
			return store.OtherVersion()
		}
		return nil
	})
}

// Progress is as store.Target says.
func (t *Target) Progress(ctx context.Context) (progress []byte, err error) {
	err = t.turn(ctx, func(now *turn) error { progress = now.progress; return nil })
	return progress, err
}

// Begin is as store.Target says.
func (t *Target) Begin(ctx context.Context, progress []byte) error {
	return t.turn(ctx, func(now *turn) error {
		if now.retried && bytes.Equal(now.progress, progress) {
			return nil // it was stored, and the answer lost
		}
		if now.progress != nil {
			return changed("another copy has begun")
		}
		found := false
		p := &pipeline{}
		for _, of := range schema.Tables() {
			p.add(func([][]byte) error { found = true; return nil }, "SELECT 1 FROM rekey."+of.Name+" LIMIT 1")
		}
		if _, err := p.run(now.ctx, now.c); err != nil {
			return err
		}
		if found {
			return store.ErrNotEmpty
		}
		w := &pipeline{}
		w.add(nil, "CREATE TABLE rekey.copy (id bigint PRIMARY KEY, progress bytea NOT NULL, min_compatible bigint NOT NULL)")
		w.add(nil, "INSERT INTO rekey.copy (id, progress, min_compatible) SELECT 1, $1, min_compatible FROM rekey.schema_version WHERE id = 1", one(schema.Bytes, progress))
		w.add(nil, "UPDATE rekey.schema_version SET min_compatible = $1 WHERE id = 1", one(schema.Int, int64(unfinished)))
		w.add(nil, "UPDATE rekey.log_head SET number = -1 WHERE id = 1")
		return now.commit(w)
	})
}

// Put is as store.Target says.
func (t *Target) Put(ctx context.Context, rows []row.Row, was, is []byte) error {
	return t.turn(ctx, func(now *turn) error {
		if now.retried && bytes.Equal(now.progress, is) {
			return nil // as in Begin
		}
		if !bytes.Equal(now.progress, was) {
			return changed("another copy has gone on")
		}
		f := &filling{s: t.s, ctx: now.ctx, c: now.c, names: map[string]string{}}
		for _, r := range rows {
			if err := f.put(r); err != nil {
				return err
			}
		}
		if err := f.flush(); err != nil {
			return err
		}
		w := &pipeline{}
		w.add(nil, "UPDATE rekey.copy SET progress = $1 WHERE id = 1", one(schema.Bytes, is))
		return now.commit(w)
	})
}

// End is as store.Target says.
func (t *Target) End(ctx context.Context, was []byte) error {
	return t.turn(ctx, func(now *turn) error {
		if now.retried && now.progress == nil {
			return nil // as in Begin
		}
		if !bytes.Equal(now.progress, was) {
			return changed("another copy has gone on")
		}
		return now.release(&pipeline{})
	})
}

// Discard is as store.Target says.
func (t *Target) Discard(ctx context.Context) error {
	return t.turn(ctx, func(now *turn) error {
		if now.progress == nil {
			if now.retried {
				return nil
			}
			return store.ErrChanged
		}
		p := &pipeline{}
		tables := schema.Tables()
		slices.Reverse(tables)
		for _, of := range tables {
			p.add(nil, "DELETE FROM rekey."+of.Name)
		}
		p.add(nil, "DELETE FROM rekey.names")
		return now.release(p)
	})
}

// Export is as store.Target says.
func (t *Target) Export(ctx context.Context, visit func(row.Row) error) error {
	return t.s.Export(ctx, visit)
}

// Close is as store.Target says.
func (t *Target) Close() error { return t.s.Close() }

// turn is a transaction in the queue of all processes.
type turn struct {
	ctx      context.Context
	c        *pgconn.PgConn
	progress []byte // nil if the database is not being filled
	retried  bool   // an attempt before this one may have been stored
	done     bool
}

// turnTime bounds one attempt at a transaction.
const turnTime = 10 * time.Minute

// turn does something in a transaction, which is rolled back unless it is committed. It
// tries for a while, as Commit does.
func (t *Target) turn(ctx context.Context, do func(*turn) error) error {
	t.s.writing.Lock()
	defer t.s.writing.Unlock()
	if t.s.isClosed() {
		return store.ErrClosed
	}
	retried := false
	err := t.s.persist(ctx, writePatience, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, turnTime)
		defer cancel()
		return t.s.with(ctx, func(c *pgxpool.Conn) error {
			now := &turn{ctx: ctx, c: c.Conn().PgConn(), retried: retried}
			retried = true
			if err := now.begin(); err != nil {
				return err
			}
			if err := do(now); err != nil || now.done {
				return err // the pool closes a connection that is still in the transaction
			}
			end := &pipeline{}
			end.add(nil, "ROLLBACK")
			_, err := end.run(ctx, now.c)
			return err
		})
	})
	if errors.Is(err, store.ErrChanged) {
		return err
	}
	return t.s.failure(err, "copying")
}

func (now *turn) begin() error {
	var number int64
	p := &pipeline{}
	p.add(nil, begin)
	p.add(nil, importSettings)
	p.add(func(raw [][]byte) error {
		values, err := scan(headColumns, raw)
		if err == nil {
			number = values[0].(int64)
		}
		return err
	}, queue)
	if _, err := p.run(now.ctx, now.c); err != nil || number >= 0 {
		return err
	}
	look := &pipeline{}
	look.add(func(raw [][]byte) error { now.progress = bytes.Clone(raw[0]); return nil }, "SELECT progress FROM rekey.copy WHERE id = 1")
	if _, err := look.run(now.ctx, now.c); err != nil {
		return err
	}
	if now.progress == nil {
		return fmt.Errorf("%w: table copy does not have its row", schema.ErrDamaged)
	}
	return nil
}

func (now *turn) commit(p *pipeline) error {
	p.add(nil, "COMMIT")
	tag, err := p.run(now.ctx, now.c)
	if err == nil && tag != "COMMIT" {
		err = fmt.Errorf("the database answers COMMIT with %s", tag)
	}
	now.done = err == nil
	return err
}

// release makes it a database that Open takes. It leaves a gap in the log as an import
// does: whoever had it open has to load everything again.
func (now *turn) release(p *pipeline) error {
	body, err := changelog.Encode(nil)
	if err != nil {
		return err
	}
	var mark [16]byte
	if _, err := rand.Read(mark[:]); err != nil {
		return err
	}
	p.add(nil, "INSERT INTO rekey.log (number, mark, at, body) SELECT max(number) + 2, $1, $2, $3 FROM rekey.log",
		one(schema.Bytes, mark[:]), one(schema.Int, time.Now().UnixMilli()), one(schema.Bytes, body))
	p.add(nil, "UPDATE rekey.log_head SET number = (SELECT max(number) FROM rekey.log), chained = (SELECT max(number) FROM rekey.log) WHERE id = 1")
	p.add(nil, "UPDATE rekey.schema_version SET min_compatible = (SELECT min_compatible FROM rekey.copy WHERE id = 1) WHERE id = 1")
	p.add(nil, "DROP TABLE rekey.copy")
	return now.commit(p)
}
