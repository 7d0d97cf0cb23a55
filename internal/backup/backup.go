// Package backup carries everything that a store has to somewhere else: into an archive
// (Write), from one into an empty store (Archive.Restore), or from store to store (Copy).
//
// It promises that what has been carried is the state of one moment and complete: rows
// are counted, and digested, where they come from and, before anybody can use them, where
// they have arrived. A restore is one transaction; a copy that dies goes on where it was.
// An archive is encrypted and authenticated as a whole, so that nothing is readable in it
// and nothing of it can be changed, left out or cut off; writing and reading one takes
// little memory, whatever its size. What was restored does nothing by itself to other
// systems, unless that is asked for: its rotations are held, and nobody is told old news.
//
// It imports rotation, store, store/schema, seal, row, ident and fault.
package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
)

// An archive begins with these bytes, of which the last is the version of what follows,
// and with the moment at which it was begun, in Unix milliseconds, big-endian. The rest is
// a stream of package seal, in which there are records.
const magic = "rekey backup\n\x01"

const headingSize = len(magic) + 8

// Summary is what an archive or a store has.
type Summary struct {
	Created time.Time      `json:"created,omitzero"` // of the archive
	Rows    int            `json:"rows"`
	Tables  map[string]int `json:"tables"` // rows, by table
	Digest  string         `json:"digest"` // hexadecimal; the same for the same rows, whatever the engine
}

// Write writes an archive of everything that a store has, readable with key.
func Write(ctx context.Context, to io.Writer, from store.Store, key *seal.Root, rand io.Reader, now time.Time) (Summary, error) {
	created := now.UTC().Truncate(time.Millisecond)
	heading := binary.BigEndian.AppendUint64([]byte(magic), uint64(created.UnixMilli()))
	sealed, err := key.NewWriter(rand, to, heading)
	if err != nil {
		return Summary{}, fault.Wrap(err, "writing the archive")
	}
	out := &writer{w: bufio.NewWriterSize(sealed, 32<<10)}
	tally := tally{}
	if err := from.Export(ctx, func(r row.Row) error {
		if err := tally.add(r); err != nil {
			return err
		}
		return out.row(r)
	}); err != nil {
		return Summary{}, err
	}
	out.end(&tally)
	if err := errors.Join(out.w.Flush(), sealed.Close()); err != nil {
		return Summary{}, fault.Wrap(err, "writing the archive")
	}
	summary := tally.summary()
	summary.Created = created
	return summary, nil
}

// Archive is one that is being read, once.
type Archive struct {
	Created time.Time // when it was begun

	records *reader
}

// Open begins to read an archive with the key that it was written for. It is a fault of
// kind Invalid if it is for another key, by the fingerprints of both.
func Open(from io.Reader, key *seal.Root) (*Archive, error) {
	heading := make([]byte, headingSize)
	n, err := io.ReadFull(from, heading)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fault.Wrap(err, "reading the archive")
	}
	version := len(magic) - 1
	if n < headingSize || string(heading[:version]) != magic[:version] {
		e := fault.New(fault.Invalid, "this is no backup, or only the first bytes of one")
		e.Advice = "name a file that `rekey backup` has written"
		return nil, e
	}
	if heading[version] != magic[version] {
		e := fault.New(fault.Invalid, "the backup has version %d of the format, but this program knows version %d only", heading[version], magic[version])
		e.Advice = "use the newer program that has written it"
		return nil, e
	}
	opened, err := key.NewReader(from, heading)
	if err != nil {
		return nil, fault.Wrap(err, "the backup cannot be read")
	}
	return &Archive{
		Created: time.UnixMilli(int64(binary.BigEndian.Uint64(heading[len(magic):]))).UTC(),
		records: &reader{r: bufio.NewReaderSize(opened, 32<<10)},
	}, nil
}

// rows visits every row, and then makes sure that they are those that were written.
func (a *Archive) rows(visit func(row.Row) error) (Summary, error) {
	tally := tally{}
	for {
		r, err := a.records.next()
		if err != nil {
			return Summary{}, fault.Wrap(err, "the backup cannot be read")
		}
		if r == nil {
			break
		}
		if err := tally.add(r); err != nil {
			return Summary{}, err
		}
		if err := visit(r); err != nil {
			return Summary{}, err
		}
	}
	read := tally.summary()
	read.Created = a.Created
	if read.Rows != a.records.count || tally.digest != a.records.digest {
		return Summary{}, fault.New(fault.Invalid, "the backup was written with %d rows and the digest %x, but has %d rows and the digest %s",
			a.records.count, a.records.digest, read.Rows, read.Digest)
	}
	return read, nil
}
