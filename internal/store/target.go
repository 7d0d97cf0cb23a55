package store

import (
	"context"
	"errors"

	"rekey/internal/fault"
	"rekey/internal/row"
)

// Target is a store that another one is copied into, in portions that are durable one by
// one, so that who dies on the way goes on where it was. From Begin to End nobody can open
// it as a Store, and who had it open before stores nothing in it. What the portions leave
// as a progress is the caller's, and different after each; it is compared before something
// is stored, so that of two who copy at once one stops.
type Target interface {
	// Progress is what Begin or the last portion has left. nil before Begin and after End.
	Progress(ctx context.Context) ([]byte, error)

	// Begin takes an empty store. ErrNotEmpty if there is any row.
	Begin(ctx context.Context, progress []byte) error

	// Put stores the next rows, in the order of Export, and what Progress returns from
	// then on. ErrChanged if that was not what it is.
	Put(ctx context.Context, rows []row.Row, was, is []byte) error

	// End makes it a Store. ErrChanged as in Put.
	End(ctx context.Context, was []byte) error

	// Discard makes what is between Begin and End an empty store again.
	Discard(ctx context.Context) error

	// Export visits everything that is there, as in Store.
	Export(ctx context.Context, visit func(row.Row) error) error

	// Close releases the store.
	Close() error
}

// ErrUnfinished: what is between Begin and End is no Store.
var ErrUnfinished = errors.New("the store is not complete yet")

// Unfinished is the fault of kind Conflict that wraps ErrUnfinished, for who opens such a
// store or stores something in it.
func Unfinished() error {
	return &fault.Error{Kind: fault.Conflict, Cause: ErrUnfinished,
		Message: "the store is being filled by a copy that has not ended: it has only a part of everything",
		Advice:  "run `rekey store copy` again with the same source: it goes on where it was"}
}

// OtherVersion is the fault of kind Conflict of who would go on with what a program with
// another schema has begun to fill.
func OtherVersion() error {
	return &fault.Error{Kind: fault.Conflict, Message: "the copy into the store was begun by another version of this program",
		Advice: "go on with that version, or empty the store by hand"}
}
