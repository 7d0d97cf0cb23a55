package backup

import (
	"context"
	"errors"
	"slices"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
)

// Verify reads an archive to its end: whether it is complete and unchanged, and its data
// keys open with the root key of the store.
func (a *Archive) Verify(root *seal.Root) (Summary, error) {
	return a.rows(func(r row.Row) error { return opens(root, r) })
}

// opens makes sure that what is sealed can be opened.
func opens(root *seal.Root, r row.Row) error {
	key, ok := r.(row.DataKey)
	if !ok {
		return nil
	}
	_, err := root.Unwrap(key.ID, key.Wrapped)
	return err
}

// Reason is how the reason begins for which a restored rotation is paused; then follows
// the moment of the backup.
const Reason = "restored from the backup of "

// Restore fills an empty store from an archive, completely or not at all; what stands in
// the store is read back before it counts. Unless act is set, rotations are held until
// somebody resumes them, and what webhooks were still to be told is dropped. root is what
// wraps the data keys. The result describes the archive.
func (a *Archive) Restore(ctx context.Context, into store.Store, root *seal.Root, act bool, now time.Time) (read Summary, err error) {
	h := &hold{
		reason:   Reason + a.Created.Format(time.RFC3339),
		now:      now.UTC().Truncate(time.Millisecond),
		rotating: map[ident.ID]bool{},
	}
	err = into.Import(ctx, func(f store.Filling) error {
		return fill(f, func(put func(row.Row) error) (err error) {
			read, err = a.rows(func(r row.Row) error {
				if err := opens(root, r); err != nil {
					return err
				}
				if !act {
					r = h.row(r)
				}
				return put(r)
			})
			if err != nil || act {
				return err
			}
			return h.rest(put)
		})
	})
	return read, notEmpty(err)
}

// fill stores rows, and makes sure that they are read back as they were put.
func fill(f store.Filling, rows func(put func(row.Row) error) error) error {
	var put, arrived tally
	if err := rows(func(r row.Row) error {
		if err := put.add(r); err != nil {
			return err
		}
		return f.Put(r)
	}); err != nil {
		return err
	}
	if err := f.Export(arrived.add); err != nil {
		return err
	}
	return put.mustEqual(&arrived)
}

func notEmpty(err error) error {
	if !errors.Is(err, store.ErrNotEmpty) {
		return err
	}
	return &fault.Error{Kind: fault.Conflict, Message: "the store is not empty, and was left as it is", Cause: err,
		Advice: "name a new data directory or an empty database"}
}

// hold changes rows so that the store does nothing to other systems by itself.
type hold struct {
	reason   string
	now      time.Time
	rotating map[ident.ID]bool // variables with a rotator that have no row of a rotation
	events   []row.RotationEvent
}

func (h *hold) row(r row.Row) row.Row {
	switch r := r.(type) {
	case row.Annotation:
		if r.Name == rotation.Rotator && r.Resource.Kind() == "variable" {
			h.rotating[r.Resource] = true
		}
	case row.Rotation:
		delete(h.rotating, r.Variable)
		return h.rotation(r)
	case row.Delivery:
		if r.State == row.Waiting {
			r.State, r.Problem = row.Dropped, h.reason
			return r
		}
	}
	return r
}

func (h *hold) rotation(r row.Rotation) row.Rotation {
	rotation.Hold(&r, h.reason, h.now)
	r.Events++
	h.events = append(h.events, row.RotationEvent{Variable: r.Variable, Revision: r.Events, At: h.now, ID: r.ID, State: r.State,
		Actor: "local", Event: "held", Message: h.reason})
	return r
}

// rest puts what has no row in the archive: the rotations that had not been taken notice
// of, and a line in the history of each.
func (h *hold) rest(put func(row.Row) error) error {
	var left []ident.ID
	for id := range h.rotating {
		left = append(left, id)
	}
	slices.Sort(left)
	for _, id := range left {
		if err := put(h.rotation(row.Rotation{Variable: id, State: rotation.Idle})); err != nil {
			return err
		}
	}
	for _, e := range h.events {
		if err := put(e); err != nil {
			return err
		}
	}
	return nil
}
