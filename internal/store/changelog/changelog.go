// Package changelog is how sets of changes are written into a log that processes share:
// compact, and readable for programs of other versions. A text begins with the tables
// that it speaks of and the kinds of their columns. So an older program passes over
// columns and tables that it does not know, and what an older one has not written is
// zero. The content of rows, which no process keeps in memory, is left out.
//
// It imports store/schema and row.
package changelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// version is the first byte of a text. It changes only if an older program must not
// read any further.
const version = 1

// needs is the first byte of a text that has no sets: programs that do not know a version
// of the schema must not go on.
const needs = 2

// Needs is a text that stops programs which do not know a version of the schema.
func Needs(schema int64) []byte { return binary.AppendUvarint([]byte{needs}, uint64(schema)) }

// Needed is the version that a text of Needs names.
func Needed(text []byte) (schema int64, ok bool) {
	if len(text) == 0 || text[0] != needs {
		return 0, false
	}
	v, n := binary.Uvarint(text[1:])
	return int64(v), n > 0
}

// ErrUnreadable says that a text is damaged or of a program that is too new.
var ErrUnreadable = errors.New("the shared log has an entry that this program cannot read")

// Encode writes sets down, without their conditions. It fails where schema.Encode does.
func Encode(sets []*row.Set) ([]byte, error) {
	var tables []*schema.Table
	body := binary.AppendUvarint(nil, uint64(len(sets)))
	for _, set := range sets {
		body = binary.AppendUvarint(body, uint64(len(set.Changes)))
		for _, change := range set.Changes {
			t, values, err := schema.Encode(change.Row)
			if err != nil {
				return nil, err
			}
			at := slices.Index(tables, t)
			if at < 0 {
				at, tables = len(tables), append(tables, t)
			}
			body = append(binary.AppendUvarint(body, uint64(at)), byte(change.Op))
			for i := range t.Loaded() {
				body = appendValue(body, values[i])
			}
		}
	}
	text := binary.AppendUvarint([]byte{version}, uint64(len(tables)))
	for _, t := range tables {
		text = binary.AppendUvarint(appendText(text, t.Name), uint64(len(t.Loaded())))
		for _, c := range t.Loaded() {
			text = append(text, byte(c.Kind))
		}
	}
	return append(text, body...), nil
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
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

// Decode reads what Encode has written. The error wraps ErrUnreadable.
func Decode(text []byte) (sets []*row.Set, err error) {
	r := &reader{rest: text}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case short:
			sets, err = nil, fmt.Errorf("%w: it ends too early", ErrUnreadable)
		default:
			panic(p)
		}
	}()
	if v := r.byte(); v != version {
		return nil, fmt.Errorf("%w: it has version %d", ErrUnreadable, v)
	}
	headings := make([]heading, r.count())
	for i := range headings {
		headings[i] = r.heading()
	}
	for range r.count() {
		set := &row.Set{}
		for range r.count() {
			at := r.uvarint()
			if at >= uint64(len(headings)) {
				return nil, fmt.Errorf("%w: it has no table %d", ErrUnreadable, at)
			}
			change, known, err := r.change(headings[at])
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
			}
			if known {
				set.Changes = append(set.Changes, change)
			}
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// heading is a table as the writer of a text knew it.
type heading struct {
	table *schema.Table // nil if this program does not know it
	kinds []schema.Kind
}

// short ends the reading of a text that ends too early.
type short struct{}

type reader struct{ rest []byte }

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		panic(short{})
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		panic(short{})
	}
	r.rest = r.rest[n:]
	return v
}

// count is a number of things that take a byte at least.
func (r *reader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		panic(short{})
	}
	return n
}

func (r *reader) heading() heading {
	name := string(r.take(r.uvarint()))
	h := heading{}
	for _, kind := range r.take(r.uvarint()) {
		h.kinds = append(h.kinds, schema.Kind(kind))
	}
	if at := slices.IndexFunc(schema.Tables(), func(t *schema.Table) bool { return t.Name == name }); at >= 0 {
		h.table = schema.Tables()[at]
	}
	return h
}

func (r *reader) change(h heading) (change row.Change, known bool, err error) {
	change.Op = row.Op(r.byte())
	var values []schema.Value
	for _, kind := range h.kinds {
		v, err := r.value(kind)
		if err != nil {
			return change, false, err
		}
		values = append(values, v)
	}
	if h.table == nil {
		return change, false, nil
	}
	for _, c := range h.table.Loaded()[min(len(values), len(h.table.Loaded())):] {
		values = append(values, zero(c.Kind))
	}
	change.Row, err = h.table.Row(values[:len(h.table.Loaded())])
	return change, true, err
}

func (r *reader) value(kind schema.Kind) (schema.Value, error) {
	switch kind {
	case schema.Name, schema.Text:
		return string(r.take(r.uvarint())), nil
	case schema.Bytes:
		return slices.Clone(r.take(r.uvarint())), nil
	case schema.Bool:
		return r.byte() != 0, nil
	case schema.Int:
		v, n := binary.Varint(r.rest)
		if n <= 0 {
			panic(short{})
		}
		r.rest = r.rest[n:]
		return v, nil
	}
	return nil, fmt.Errorf("there is no kind %d of columns", kind)
}

func zero(kind schema.Kind) schema.Value {
	switch kind {
	case schema.Bytes:
		return []byte{}
	case schema.Bool:
		return false
	case schema.Int:
		return int64(0)
	}
	return ""
}
