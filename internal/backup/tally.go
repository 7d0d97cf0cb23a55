package backup

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// tally counts rows and digests them. The digest is the exclusive or of one SHA-256 for
// each row, because engines differ in the order of very long names; no row comes twice,
// as each has a key. A row's is made of its table and of those of its columns that are
// not zero, with their names, so that a column which a newer program adds does not change
// it.
type tally struct {
	tables map[string]int
	total  int // of rows
	digest [sha256.Size]byte
	buffer []byte // reused
}

func (t *tally) add(r row.Row) error {
	table, values, err := schema.Encode(r)
	if err != nil {
		return err
	}
	b := appendText(t.buffer[:0], table.Name)
	for i, c := range table.Columns {
		if !zero(values[i]) {
			b = appendValue(appendText(b, c.Name), values[i])
		}
	}
	t.buffer = b
	digest := sha256.Sum256(b)
	subtle.XORBytes(t.digest[:], t.digest[:], digest[:])
	if t.tables == nil {
		t.tables = map[string]int{}
	}
	t.tables[table.Name]++
	t.total++
	return nil
}

func (t *tally) rows() int { return t.total }

func (t *tally) summary() Summary {
	tables := map[string]int{}
	for name, n := range t.tables {
		tables[name] = n
	}
	return Summary{Rows: t.rows(), Tables: tables, Digest: t.hex()}
}

// size is that of the last row in bytes, roughly.
func (t *tally) size() int { return len(t.buffer) }

func (t *tally) hex() string { return hex.EncodeToString(t.digest[:]) }

func (t *tally) equal(other *tally) bool {
	return t.digest == other.digest && t.rows() == other.rows()
}

// mustEqual is the error if what has arrived is not what has left.
func (t *tally) mustEqual(arrived *tally) error {
	if t.equal(arrived) {
		return nil
	}
	return fault.New(fault.Internal, "%d rows with the digest %x were stored, but %d rows with the digest %x are read back: the store is not used",
		t.rows(), t.digest, arrived.rows(), arrived.digest)
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}
