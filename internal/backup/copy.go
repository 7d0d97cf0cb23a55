package backup

import (
	"context"

	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
)

// Copy fills an empty store with everything that another one has, whatever the engines,
// completely or not at all; what stands there is read back before it counts. Nothing is
// held: it is for moving, and the caller sees to it that only one of the two is served.
// progress, which may be nil, is told the number of rows now and then.
func Copy(ctx context.Context, from, into store.Store, root *seal.Root, progress func(rows int)) (Summary, error) {
	var copied tally
	n := 0
	err := into.Import(ctx, func(f store.Filling) error {
		return fill(f, func(put func(row.Row) error) error {
			return from.Export(ctx, func(r row.Row) error {
				if err := opens(root, r); err != nil {
					return err
				}
				if n++; n%progressEvery == 0 && progress != nil {
					progress(n)
				}
				if err := copied.add(r); err != nil {
					return err
				}
				return put(r)
			})
		})
	})
	return copied.summary(), notEmpty(err)
}

// progressEvery is how many rows are between two reports.
const progressEvery = 10_000
