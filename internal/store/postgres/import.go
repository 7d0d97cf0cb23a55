package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/changelog"
	"rekey/internal/store/schema"
)

// Import fills an empty store, as store.Store says. It has its place in the queue all the
// while, so that nobody else writes. It leaves a gap in the log: whoever follows it has
// to load everything again.
func (s *Store) Import(ctx context.Context, fill func(store.Filling) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isClosed() {
		return store.ErrClosed
	}
	if s.readOnly {
		return errReadOnly()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.failure(err, "importing")
	}
	defer c.Release() // which closes a connection that is still in the transaction
	f := &filling{s: s, ctx: ctx, c: c.Conn().PgConn(), names: map[string]string{}}
	if err := f.begin(); err != nil {
		return s.failure(err, "importing")
	}
	if err := fill(f); err != nil {
		return err
	}
	err = f.commit()
	if err != nil && !known(err) {
		err = s.resolve(ctx, f.at, err)
	}
	return s.failure(err, "importing")
}

// importSettings are as those of other transactions, but for how long it may be idle:
// the rows may come slowly.
const importSettings = `SELECT set_config('idle_in_transaction_session_timeout', '60000', true),
		set_config('lock_timeout', '20000', true),
		CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END`

// filling is the transaction of an import. Rows gather until a statement is full.
type filling struct {
	s     *Store
	ctx   context.Context
	c     *pgconn.PgConn
	at    store.Position
	table *schema.Table
	rows  [][]schema.Value // of the table
	size  int              // of the rows, roughly
	names map[string]string
}

func (f *filling) begin() error {
	if _, err := rand.Read(f.at.Mark[:]); err != nil {
		return err
	}
	found := false
	p := &pipeline{}
	p.add(nil, begin)
	p.add(nil, importSettings)
	p.add(func(raw [][]byte) error {
		values, err := scan(headColumns, raw)
		if err == nil {
			if f.at.Number = values[0].(int64) + 2; f.at.Number < 2 { // one is left out
				err = store.Unfinished()
			}
		}
		return err
	}, queue)
	for _, t := range schema.Tables() {
		p.add(func([][]byte) error { found = true; return nil }, "SELECT 1 FROM rekey."+t.Name+" LIMIT 1")
	}
	if _, err := p.run(f.ctx, f.c); err != nil {
		return err
	}
	if found {
		return store.ErrNotEmpty
	}
	return nil
}

func (f *filling) Put(r row.Row) error { return f.s.failure(f.put(r), "importing") }

func (f *filling) put(r row.Row) error {
	t, values, err := schema.Encode(r)
	if err != nil {
		return err
	}
	if t != f.table || len(f.rows) == chunk || f.size > portionBytes {
		if err := f.flush(); err != nil {
			return err
		}
		f.table = t
	}
	for i, c := range t.Columns {
		switch v := values[i].(type) {
		case string:
			if s := short(v); c.Kind == schema.Name && s != v {
				f.names[s], values[i] = v, s
			}
			f.size += len(v)
		case []byte:
			f.size += len(v)
		}
	}
	f.rows = append(f.rows, values)
	return nil
}

// flush sends the rows that have gathered.
func (f *filling) flush() error {
	if len(f.rows) == 0 {
		return nil
	}
	p := &pipeline{}
	addNames(p, f.names)
	p.add(nil, upsert(f.table), arrays(f.table.Columns, f.rows)...)
	if _, err := p.run(f.ctx, f.c); err != nil {
		return fmt.Errorf("%s: %w", f.table.Name, err)
	}
	f.rows, f.size = nil, 0
	clear(f.names)
	return nil
}

func (f *filling) Export(visit func(row.Row) error) error {
	if err := f.flush(); err != nil {
		return f.s.failure(err, "importing")
	}
	err := tables(f.ctx, f.c, whole, func(r row.Row) error {
		if err := visit(r); err != nil {
			return &visitorError{err}
		}
		return nil
	})
	var visitor *visitorError
	if errors.As(err, &visitor) {
		return visitor.error
	}
	return f.s.failure(err, "importing")
}

func (f *filling) commit() error {
	if err := f.flush(); err != nil {
		return err
	}
	body, err := changelog.Encode(nil)
	if err != nil {
		return err
	}
	p := &pipeline{}
	p.add(nil, "INSERT INTO rekey.log (number, mark, at, body) VALUES ($1, $2, $3, $4)",
		one(schema.Int, f.at.Number), one(schema.Bytes, f.at.Mark[:]), one(schema.Int, time.Now().UnixMilli()), one(schema.Bytes, body))
	p.add(nil, "UPDATE rekey.log_head SET number = $1, chained = $1 WHERE id = 1", one(schema.Int, f.at.Number))
	p.add(nil, "COMMIT")
	tag, err := p.run(f.ctx, f.c)
	if err == nil && tag != "COMMIT" {
		err = fmt.Errorf("the database answers COMMIT with %s", tag)
	}
	return err
}
