package postgres

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"rekey/internal/store/schema"
)

// The object ids of PostgreSQL's types and of their arrays.
const (
	oidBool, oidBools   = 16, 1000
	oidBytea, oidByteas = 17, 1001
	oidInt8, oidInt8s   = 20, 1016
)

func typeOf(k schema.Kind) (name string, oid, array uint32) {
	switch k {
	case schema.Int:
		return "bigint", oidInt8, oidInt8s
	case schema.Bool:
		return "boolean", oidBool, oidBools
	}
	return "bytea", oidBytea, oidByteas
}

// wire is a value in the binary format.
func wire(v schema.Value) []byte {
	switch v := v.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v))
	case bool:
		if v {
			return []byte{1}
		}
		return []byte{0}
	case string:
		return append([]byte{}, v...)
	case []byte:
		return append([]byte{}, v...) // nil would be NULL
	}
	panic(fmt.Sprintf("postgres: a value of type %T", v))
}

// array is values of one kind in the binary format: one dimension that begins at 1,
// without NULLs.
func array(kind schema.Kind, values []schema.Value) []byte {
	_, oid, _ := typeOf(kind)
	b := binary.BigEndian.AppendUint32(nil, 1)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, oid)
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	b = binary.BigEndian.AppendUint32(b, 1)
	for _, v := range values {
		w := wire(v)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(w))), w...)
	}
	return b
}

// read is a value of its binary format. Bytes are copied.
func read(kind schema.Kind, b []byte) (schema.Value, error) {
	switch {
	case kind == schema.Int && len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), nil
	case kind == schema.Bool && len(b) == 1:
		return b[0] != 0, nil
	case kind == schema.Name || kind == schema.Text:
		return string(b), nil
	case kind == schema.Bytes:
		return append([]byte{}, b...), nil
	}
	return nil, fmt.Errorf("%w: %d bytes for a column of kind %d", schema.ErrDamaged, len(b), kind)
}

// The entries of an index have a limit of about 2,700 bytes, names have none. So a name
// of shortLength bytes or more stands in columns by its beginning and its digest, which
// together have exactly that length, and in full in the table of names.
const shortLength = 432

func short(name string) string {
	if len(name) < shortLength {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	return name[:shortLength-len(digest)] + string(digest[:])
}
