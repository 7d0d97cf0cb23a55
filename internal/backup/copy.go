package backup

import (
	"context"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
)

// Copy fills an empty store with everything that another one has, whatever the engines,
// completely or not at all; what stands there is read back before it counts, and the
// source is read once more, so that what was written to it meanwhile is not lost: then
// nothing is kept. Nothing is held: it is for moving. progress, which may be nil, is told
// the number of rows now and then.
func Copy(ctx context.Context, from, into store.Store, root *seal.Root, progress func(rows int)) (Summary, error) {
	var copied tally
	n := 0
	err := into.Import(ctx, func(f store.Filling) error {
		if err := fill(f, func(put func(row.Row) error) error {
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
		}); err != nil {
			return err
		}
		var now tally
		if err := from.Export(ctx, now.add); err != nil {
			return err
		}
		if now.digest != copied.digest || now.rows() != copied.rows() {
			e := fault.New(fault.Conflict, "the source was written to while it was copied, and nothing was kept")
			e.Advice = "stop all servers that use it"
			return e
		}
		return nil
	})
	if err != nil {
		return Summary{}, notEmpty(err)
	}
	return copied.summary(), nil
}

// progressEvery is how many rows are between two reports.
const progressEvery = 10_000
