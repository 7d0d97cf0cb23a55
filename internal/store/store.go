// Package store keeps the rows of rekey durable behind one interface. The engines
// are packages of their own (store/sqlite, store/postgres); store/storetest is the suite that every
// engine passes; Committer gathers concurrent writes into shared transactions.
//
// It promises that what Commit accepted survives the death of the process and of
// the machine, and that a set is stored completely or not at all. It imports row,
// ident and fault.
package store

import (
	"context"
	"errors"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// Errors of single sets and reads; test with errors.Is.
var (
	// ErrChanged: a condition of the set did not hold, or a row that it inserts
	// exists, or one that it updates, deletes or refers to does not, or one that it
	// deletes is still referred to. The message names the row. Nothing of the set was
	// stored. Deleting a Secret, PolicyVersion, RotationEvent or Delivery that does not exist is no error:
	// somebody else has trimmed it.
	ErrChanged = errors.New("the rows have changed since they were read")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("no such row")
	// ErrClosed: the store or the committer has been closed.
	ErrClosed = errors.New("the store is closed")
	// ErrNotEmpty: there are rows already.
	ErrNotEmpty = errors.New("the store is not empty")
)

// Store is one engine. Implementations are safe for concurrent use, except that
// Commit is called by one goroutine at a time (the Committer's).
type Store interface {
	// DataKeys returns all wrapped data keys, in the order of their ids. It is
	// usable before anything else, because the rest is sealed with them.
	DataKeys(ctx context.Context) ([]row.DataKey, error)

	// Load visits every row but data keys, rotation events and deliveries, in one consistent snapshot, such
	// that a row comes after those it refers to by foreign key: accounts, signing
	// keys, roles, resources (in the order of their ids), memberships, permissions,
	// annotations, API keys, staged keys, old keys, uses of keys, passwords, restrictions, secrets (by resource and
	// version), policy versions (by policy and version), host factory tokens,
	// authenticators, rotations, credentials. Secret.Sealed, APIKey.Sealed,
	// Credential.Sealed and PolicyVersion.Text are left empty; all other
	// fields are filled. An error of visit ends the walk and is returned.
	Load(ctx context.Context, visit func(row.Row) error) error

	// Commit stores sets, in order, in one durable transaction. The result has one
	// element for each set: nil, or an error that concerns that set alone: it wraps
	// ErrChanged, or is a fault of kind Internal about a row or condition that no
	// engine could store or check. References are looked at when the whole set has
	// been stored, so that the order of its changes does not matter for them. A chained
	// set that comes after a refused chained one is not tried, and refused with ErrChanged.
	// The second result tells that the transaction as a whole failed: then nothing at all
	// was stored. ctx counts only until the transaction begins.
	Commit(ctx context.Context, sets []*row.Set) ([]error, error)

	// Secret returns the sealed value of one version. ErrNotFound if there is none.
	Secret(ctx context.Context, resource ident.ID, version int) ([]byte, error)

	// APIKey returns the sealed key of a role. ErrNotFound if there is none.
	APIKey(ctx context.Context, role ident.ID) ([]byte, error)

	// Credential returns a sealed credential of a rotation. ErrNotFound if there is none.
	Credential(ctx context.Context, variable ident.ID, slot row.Slot) ([]byte, error)

	// RotationEvents returns the kept history of a rotation, oldest first; none is no
	// error.
	RotationEvents(ctx context.Context, variable ident.ID) ([]row.RotationEvent, error)

	// PolicyVersions returns the kept versions of a policy with their texts, oldest
	// first; none is no error.
	PolicyVersions(ctx context.Context, policy ident.ID) ([]row.PolicyVersion, error)

	Deliveries

	// Export visits every row with all that it has, in one consistent snapshot: data
	// keys, what Load visits, rotation events, deliveries. For the rest it is as Load.
	Export(ctx context.Context, visit func(row.Row) error) error

	// Import fills an empty store in one durable transaction, and nothing is stored if
	// fill returns an error, which is passed on. ErrNotEmpty if there is any row. Where
	// other processes have the store open already, they load everything again.
	Import(ctx context.Context, fill func(Filling) error) error

	// Close waits for running calls and releases the store.
	Close() error
}

// Filling is an import on its way. It is used by one goroutine.
type Filling interface {
	// Put takes the next row, in the order of Export.
	Put(row.Row) error
	// Export visits what has been put so far, as it is going to be stored.
	Export(visit func(row.Row) error) error
}

// Exclusive is a Store that no other process can have open at the same time. What
// others have written into it about work under way is void: they have died.
type Exclusive interface{ Exclusive() }

// Position is a point in the history of a Shared store: a number that grows by one with
// each transaction, and a random mark of that transaction, by which a history is told
// from another one that a failover may have put in its place.
type Position struct {
	Number int64
	Mark   [16]byte
}

// Entry is a transaction of the history: what it has stored, without what Load leaves
// out, and without conditions.
type Entry struct {
	At   Position
	Sets []*row.Set
}

// ErrBehind: what came after a position can no longer be told, or the position is not of
// this history: everything has to be loaded again.
var ErrBehind = errors.New("the position is not in the log any more")

// Shared is a Store that any number of processes use at once. The transactions of all
// of them stand in one order.
type Shared interface {
	Store

	// LoadAt is Load, and returns the position of its snapshot.
	LoadAt(ctx context.Context, visit func(row.Row) error) (Position, error)

	// CommitAt is Commit, and returns the position of the transaction, which has the
	// given mark; zero if no set was accepted. A chained set is refused with ErrChanged if another process has
	// stored one after its Base.
	CommitAt(ctx context.Context, mark [16]byte, sets []*row.Set) ([]error, Position, error)

	// Follow returns what was stored after a position, oldest first: everything that
	// was acknowledged before Follow was called, unless more says that there is more to
	// come. ErrBehind if the history after the position is not known.
	Follow(ctx context.Context, after Position) (entries []Entry, more bool, err error)

	// Current returns a moment such that Follow, called afterwards, returns everything
	// that any process has acknowledged before it. That is now, but for a replica of what
	// others write to, which follows behind.
	Current(ctx context.Context) (time.Time, error)

	// Beat leaves the present moment in the store for Current in its replicas. It is
	// called about once a second by every process that writes.
	Beat(ctx context.Context) error
}
