package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"rekey/internal/store/schema"
)

// pipeline is statements that go to the server together, in one round trip. They are
// unnamed, so that nothing of them stays behind in a session, which a pooler may give
// to somebody else. If one fails, those after it are not run.
type pipeline struct {
	batch   pgconn.Batch
	readers []func([][]byte) error // for each statement; nil if its rows do not matter
}

// parameter is one value for a statement.
type parameter struct {
	oid   uint32
	value []byte
}

func one(kind schema.Kind, v schema.Value) parameter {
	_, oid, _ := typeOf(kind)
	return parameter{oid, wire(v)}
}

func many(kind schema.Kind, values []schema.Value) parameter {
	_, _, oid := typeOf(kind)
	return parameter{oid, array(kind, values)}
}

var binaryFormat = []int16{1}

// add appends a statement; visit gets its rows.
func (p *pipeline) add(visit func([][]byte) error, sql string, parameters ...parameter) {
	values, oids := make([][]byte, len(parameters)), make([]uint32, len(parameters))
	for i, parameter := range parameters {
		values[i], oids[i] = parameter.value, parameter.oid
	}
	p.batch.ExecParams(sql, values, oids, binaryFormat, binaryFormat)
	p.readers = append(p.readers, visit)
}

// run sends the statements and reads all answers. The first error of a visitor is
// returned when everything has been read; tag is what the last statement says of itself.
func (p *pipeline) run(ctx context.Context, c *pgconn.PgConn) (tag string, err error) {
	results := c.ExecBatch(ctx, &p.batch)
	var failed error
	for at := 0; results.NextResult(); at++ {
		reader := results.ResultReader()
		for reader.NextRow() {
			if at < len(p.readers) && p.readers[at] != nil && failed == nil {
				failed = p.readers[at](reader.Values())
			}
		}
		done, err := reader.Close()
		if err != nil {
			_ = results.Close() // says the same again
			return "", err
		}
		tag = done.String()
	}
	if err := results.Close(); err != nil {
		return "", err
	}
	return tag, failed
}

// scan reads the columns of a row.
func scan(columns []schema.Column, raw [][]byte) ([]schema.Value, error) {
	if len(raw) != len(columns) {
		return nil, fmt.Errorf("%w: %d columns instead of %d", schema.ErrDamaged, len(raw), len(columns))
	}
	values := make([]schema.Value, len(raw), len(raw)+1)
	for i, b := range raw {
		var err error
		if values[i], err = read(columns[i].Kind, b); err != nil {
			return nil, err
		}
	}
	return values, nil
}
