package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// The records of an archive. A heading names a table and its columns, as the program that
// writes knows them; the rows after it are of that table. The last record has the number
// of rows and their digest.
const (
	recordHeading = 1
	recordRow     = 2
	recordEnd     = 3
)

// writer writes records. Its errors stick to w.
type writer struct {
	w      *bufio.Writer
	table  *schema.Table
	buffer []byte // reused
}

func (w *writer) row(r row.Row) error {
	t, values, err := schema.Encode(r)
	if err != nil {
		return err
	}
	b := w.buffer[:0]
	if t != w.table {
		w.table = t
		b = appendText(append(b, recordHeading), t.Name)
		b = binary.AppendUvarint(b, uint64(len(t.Columns)))
		for _, c := range t.Columns {
			b = append(appendText(b, c.Name), byte(c.Kind))
		}
	}
	b = append(b, recordRow)
	for _, v := range values {
		b = appendValue(b, v)
	}
	w.buffer = b
	_, err = w.w.Write(b)
	return fault.Wrap(err, "writing the archive")
}

func (w *writer) end(t *tally) {
	b := binary.AppendUvarint([]byte{recordEnd}, uint64(t.rows()))
	_, _ = w.w.Write(append(b, t.digest[:]...)) // Flush says it again
}

func appendValue(b []byte, v schema.Value) []byte {
	switch v := v.(type) {
	case string:
		return appendText(b, v)
	case []byte:
		return appendText(b, v)
	case int64:
		return binary.AppendVarint(b, v)
	}
	if v.(bool) {
		return append(b, 1)
	}
	return append(b, 0)
}

func zero(v schema.Value) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case []byte:
		return len(v) == 0
	case int64:
		return v == 0
	}
	return !v.(bool)
}

// reader reads records.
type reader struct {
	r       *bufio.Reader
	table   *schema.Table
	columns []int // where the columns of the heading stand in the table

	// After the last record.
	count  int
	digest [sha256.Size]byte
}

var errMalformed = fault.New(fault.Invalid, "a record of it makes no sense")

// next is the next row; nil when the last record has been read, and nothing was after it.
func (r *reader) next() (row.Row, error) {
	for {
		kind, err := r.r.ReadByte()
		if err != nil {
			return nil, short(err)
		}
		switch {
		case kind == recordHeading:
			if err := r.heading(); err != nil {
				return nil, err
			}
		case kind == recordRow && r.table != nil:
			return r.row()
		case kind == recordEnd:
			return nil, r.end()
		default:
			return nil, errMalformed
		}
	}
}

// short is an end where there should be more.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errMalformed
	}
	return err
}

func (r *reader) heading() error {
	name, err := r.bytes()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(schema.Tables(), func(t *schema.Table) bool { return t.Name == string(name) })
	if at < 0 {
		return newer("table " + string(name))
	}
	r.table, r.columns = schema.Tables()[at], nil
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return short(err)
	}
	for range n {
		name, err := r.bytes()
		if err != nil {
			return err
		}
		kind, err := r.r.ReadByte()
		if err != nil {
			return short(err)
		}
		at := slices.IndexFunc(r.table.Columns, func(c schema.Column) bool { return c.Name == string(name) && c.Kind == schema.Kind(kind) })
		if at < 0 {
			return newer(fmt.Sprintf("column %s of table %s", name, r.table.Name))
		}
		r.columns = append(r.columns, at)
	}
	return nil
}

func newer(what string) error {
	e := fault.New(fault.Invalid, "it has %s, which this program does not know", what)
	e.Advice = "use the newer program that has written it"
	return e
}

func (r *reader) row() (row.Row, error) {
	values := make([]schema.Value, len(r.table.Columns))
	for i, c := range r.table.Columns {
		values[i] = empty(c.Kind)
	}
	for _, at := range r.columns {
		v, err := r.value(r.table.Columns[at].Kind)
		if err != nil {
			return nil, short(err)
		}
		values[at] = v
	}
	return r.table.Whole(values)
}

// empty is what a column has that the writer did not know.
func empty(kind schema.Kind) schema.Value {
	switch kind {
	case schema.Int:
		return int64(0)
	case schema.Bool:
		return false
	case schema.Bytes:
		return []byte{}
	}
	return ""
}

func (r *reader) value(kind schema.Kind) (schema.Value, error) {
	switch kind {
	case schema.Int:
		return binary.ReadVarint(r.r)
	case schema.Bool:
		b, err := r.r.ReadByte()
		return b != 0, err
	case schema.Bytes:
		return r.bytes()
	}
	text, err := r.bytes()
	return string(text), err
}

// longest is the longest value that is read; no store takes longer ones.
const longest = 1 << 30

func (r *reader) bytes() ([]byte, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return nil, short(err)
	}
	if n > longest {
		return nil, errMalformed
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r.r, b)
	return b, short(err)
}

func (r *reader) end() error {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return short(err)
	}
	r.count = int(n)
	if _, err := io.ReadFull(r.r, r.digest[:]); err != nil {
		return short(err)
	}
	if _, err := r.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errMalformed
		}
		return err
	}
	return nil
}
