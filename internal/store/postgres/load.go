package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// errVisitor marks what a visitor has returned, which is passed on as it is.
var errVisitor = errors.New("visitor")

type visitorError struct{ error }

func (e *visitorError) Is(target error) bool { return target == errVisitor }
func (e *visitorError) Unwrap() error        { return e.error }

// Load visits every row, as store.Store says.
func (s *Store) Load(ctx context.Context, visit func(row.Row) error) error {
	_, err := s.LoadAt(ctx, visit)
	return err
}

// LoadAt visits every row, as store.Shared says. Once the first row has been visited a
// broken connection ends it: the caller begins again with an empty hand.
func (s *Store) LoadAt(ctx context.Context, visit func(row.Row) error) (at store.Position, err error) {
	return s.walk(ctx, loaded, visit)
}

// Export visits every row with its content, as store.Store says. Once the first row has
// been visited a broken connection ends it.
func (s *Store) Export(ctx context.Context, visit func(row.Row) error) error {
	_, err := s.walk(ctx, whole, visit)
	return err
}

// extent is which columns of a table are walked; none of a table that is left out.
type extent func(*schema.Table) []schema.Column

func loaded(t *schema.Table) []schema.Column {
	if t.Unloaded() {
		return nil
	}
	return t.Loaded()
}

func whole(t *schema.Table) []schema.Column { return t.Columns }

func (s *Store) walk(ctx context.Context, of extent, visit func(row.Row) error) (at store.Position, err error) {
	begun := false
	err = s.read(ctx, "loading", func(ctx context.Context, c *pgxpool.Conn) (err error) {
		at, err = snapshot(ctx, c.Conn().PgConn(), of, func(r row.Row) error {
			begun = true
			if err := visit(r); err != nil {
				return &visitorError{err}
			}
			return nil
		})
		if begun && err != nil && !errors.Is(err, errVisitor) {
			return s.failure(err, "loading")
		}
		return err
	})
	var visitor *visitorError
	if errors.As(err, &visitor) {
		return at, visitor.error
	}
	return at, err
}

// snapshot reads everything in one transaction. The connection is left in it if it
// fails, and then the pool closes it.
func snapshot(ctx context.Context, c *pgconn.PgConn, of extent, visit func(row.Row) error) (at store.Position, err error) {
	found := false
	p := &pipeline{}
	p.add(nil, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	p.add(func(raw [][]byte) error {
		values, err := scan([]schema.Column{{Name: "number", Kind: schema.Int}, {Name: "mark", Kind: schema.Bytes}}, raw)
		if found = err == nil; found {
			at = position(values[0].(int64), values[1].([]byte))
		}
		return err
	}, "SELECT number, mark FROM rekey.log ORDER BY number DESC LIMIT 1")
	if _, err := p.run(ctx, c); err != nil {
		return at, err
	}
	if !found {
		return at, fmt.Errorf("%w: the log is empty", schema.ErrDamaged)
	}
	if err := tables(ctx, c, of, visit); err != nil {
		return at, err
	}
	end := &pipeline{}
	end.add(nil, "COMMIT")
	_, err = end.run(ctx, c)
	return at, err
}

// tables visits the rows of all tables within a transaction.
func tables(ctx context.Context, c *pgconn.PgConn, of extent, visit func(row.Row) error) error {
	long := map[string]string{}
	p := &pipeline{}
	p.add(func(raw [][]byte) error {
		long[string(raw[0])] = string(raw[1])
		return nil
	}, "SELECT short, name FROM rekey.names")
	if _, err := p.run(ctx, c); err != nil {
		return err
	}
	for _, t := range schema.Tables() {
		if columns := of(t); columns != nil {
			if err := table(ctx, c, t, columns, long, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

func table(ctx context.Context, c *pgconn.PgConn, t *schema.Table, columns []schema.Column, long map[string]string, visit func(row.Row) error) error {
	sql := fmt.Sprintf("SELECT %s FROM rekey.%s ORDER BY %s", names(columns), t.Name, names(t.Columns[:t.Keys]))
	reader := c.ExecParams(ctx, sql, nil, nil, nil, binaryFormat)
	for reader.NextRow() {
		r, err := rowOf(t, columns, reader.Values(), long)
		if err == nil {
			err = visit(r)
		}
		if err != nil {
			// The rest need not be read: the connection is not used again.
			return errors.Join(err, c.Close(ctx))
		}
	}
	_, err := reader.Close()
	return err
}

// rowOf makes a row of columns, with its content if they have it; names that do not stand there in full are in long.
func rowOf(t *schema.Table, columns []schema.Column, raw [][]byte, long map[string]string) (row.Row, error) {
	values, err := scan(columns, raw)
	if err != nil {
		return nil, err
	}
	for i, c := range columns {
		if name, ok := values[i].(string); ok && c.Kind == schema.Name && len(name) == shortLength {
			if values[i], ok = long[name]; !ok {
				return nil, fmt.Errorf("%w: table %s has a name that the table of names does not have", schema.ErrDamaged, t.Name)
			}
		}
	}
	if len(columns) == len(t.Columns) {
		return t.Whole(values)
	}
	return t.Row(values)
}

func position(number int64, mark []byte) store.Position {
	at := store.Position{Number: number}
	copy(at.Mark[:], mark)
	return at
}
