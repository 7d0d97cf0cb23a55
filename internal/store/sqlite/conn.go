package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements, which are kept for its
// lifetime. It is used by one goroutine at a time. It talks to the driver directly,
// because database/sql costs as much per statement as the statement itself, and
// never passes a cancellable context, because the driver reports a statement that
// finished in the same moment as cancelled, even if it was COMMIT.
type conn struct {
	raw   driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue // reused
}

// connect opens a connection to a file; pragmas are run in order.
func connect(path string, pragmas ...string) (*conn, error) {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: "_error_rc=1&_dqs=0&_defensive=1"}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: map[string]driver.Stmt{}}
	for _, pragma := range pragmas {
		if err := c.script("PRAGMA " + pragma); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *conn) close() error {
	var errs []error
	for _, stmt := range c.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// script runs one or more statements without arguments, once.
func (c *conn) script(sql string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
	return err
}

// exec runs a prepared statement and returns the number of rows that it changed
// directly, not counting what cascades.
func (c *conn) exec(sql string, args ...driver.Value) (int64, error) {
	stmt, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	result, err := stmt.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a prepared statement and visits its rows. The values are the
// visitor's to keep, the slice is not.
func (c *conn) query(visit func([]driver.Value) error, sql string, args ...driver.Value) (err error) {
	stmt, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := rows.Close(); err == nil {
			err = closeErr // otherwise it is the same one again
		}
	}()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if err := visit(values); err != nil {
			return err
		}
	}
}

// get is the first column of the first row, nil if there is no row.
func (c *conn) get(sql string, args ...driver.Value) (value driver.Value, err error) {
	err = c.query(func(v []driver.Value) error {
		if value == nil {
			value = v[0]
		}
		return nil
	}, sql, args...)
	return value, err
}

func (c *conn) prepare(sql string) (driver.Stmt, error) {
	if stmt := c.stmts[sql]; stmt != nil {
		return stmt, nil
	}
	stmt, err := c.raw.Prepare(sql)
	if err == nil {
		c.stmts[sql] = stmt
	}
	return stmt, err
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, arg := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return c.args
}

// dangling tells whether the transaction has violated a foreign key so far.
func (c *conn) dangling() (bool, error) {
	n, _, err := c.raw.(sqlite.DBStatus).Status(sqlite.DBStatusDeferredFKs, false)
	return n != 0, err
}
