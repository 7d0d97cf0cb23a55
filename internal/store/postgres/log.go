package postgres

import (
	"bytes"
	"context"
	"time"

	"rekey/internal/fault"
	"rekey/internal/store"
	"rekey/internal/store/changelog"
	"rekey/internal/store/schema"
)

// The log keeps the newest entries in any case, and others for a while, up to a number.
// Who is further behind loads everything again.
const (
	trimEvery  = 256 // transactions
	keptAtOnce = 1000
	keptMost   = 100_000
	keptFor    = time.Hour
)

// page is how many entries Follow returns at most.
const page = 500

// Follow returns what was stored after a position, as store.Shared says. The entry of
// the position itself comes along without its content: if it is not there or has another
// mark, the position is not of this history.
func (s *Store) Follow(ctx context.Context, after store.Position) (entries []store.Entry, more bool, err error) {
	columns := []schema.Column{{Name: "number", Kind: schema.Int}, {Name: "mark", Kind: schema.Bytes}, {Name: "body", Kind: schema.Bytes}}
	next, same := after.Number, false
	begin := func() { entries, next, same = nil, after.Number, false }
	err = s.query(ctx, "following the log", begin, func(raw [][]byte) error {
		values, err := scan(columns, raw)
		if err != nil {
			return err
		}
		at := position(values[0].(int64), values[1].([]byte))
		if at.Number != next {
			return store.ErrBehind
		}
		if next++; !same {
			if same = bytes.Equal(at.Mark[:], after.Mark[:]); !same {
				return store.ErrBehind
			}
			return nil
		}
		if least, ok := changelog.Needed(values[2].([]byte)); ok {
			entries = append(entries, store.Entry{At: at})
			return s.program.knows(least)
		}
		sets, err := changelog.Decode(values[2].([]byte))
		if err != nil {
			return &fault.Error{Kind: fault.Unavailable, Message: err.Error(), Cause: err, Advice: "start the newer program on this node, too"}
		}
		entries = append(entries, store.Entry{At: at, Sets: sets})
		return nil
	}, `SELECT number, mark, CASE WHEN number > $1 THEN body ELSE '' END FROM rekey.log
		WHERE number >= $1 ORDER BY number LIMIT $2`, one(schema.Int, after.Number), one(schema.Int, int64(page+1)))
	if err == nil && !same {
		err = store.ErrBehind
	}
	return entries, len(entries) == page, err
}

// trim forgets old entries. If it fails somebody else does it, or the next call.
func (s *Store) trim() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.trimTo(ctx, keptAtOnce, keptMost, time.Now().Add(-keptFor)) // see above
}

func (s *Store) trimTo(ctx context.Context, least, most int64, before time.Time) error {
	return s.query(ctx, "trimming the log", func() {}, nil,
		`DELETE FROM rekey.log WHERE number <= (SELECT number FROM rekey.log_head WHERE id = 1) - $1
			AND (at < $3 OR number <= (SELECT number FROM rekey.log_head WHERE id = 1) - $2)`,
		one(schema.Int, max(least, 1)), one(schema.Int, most), one(schema.Int, before.UnixMilli()))
}
