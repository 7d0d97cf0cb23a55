package backup

import (
	"context"
	"errors"

	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
)

// Copied is what a copy has done.
type Copied struct {
	Summary
	Earlier int // rows that were there before: from an attempt that died, or all if the copy had ended already
}

// Copy fills an empty store with everything that another one has, whatever the engines.
// Who dies on the way goes on where it was: what is durable in the target is not stored
// again. Nobody can use the target before everything was read back from it and compared,
// and the source was read once more, unless nobody else can write to it. Nothing is held:
// it is for moving. Once it has ended, doing it again only compares.
//
// The source is known by the digest of what it has. If that is another one than when the
// copy began it is a Conflict, and the target stays as it is; with again, what an earlier
// copy has left is thrown away first. progress, which may be nil, is told now and then how
// many rows of how many are there.
func Copy(ctx context.Context, from store.Store, into store.Target, root *seal.Root, again bool, progress func(rows, of int)) (Copied, error) {
	var source tally
	if err := from.Export(ctx, func(r row.Row) error {
		if err := opens(root, r); err != nil {
			return err
		}
		return source.add(r)
	}); err != nil {
		return Copied{}, err
	}
	if source.rows() == 0 {
		e := fault.New(fault.NotFound, "there is nothing to copy: the source is empty")
		e.Advice = "name the store that the server has used"
		return Copied{}, e
	}
	copied := Copied{Summary: source.summary()}
	c := &copying{from: from, into: into, source: &source, tell: progress}
	err := c.begin(ctx, again)
	if errors.Is(err, store.ErrNotEmpty) {
		copied.Earlier = copied.Rows
		return copied, c.mustBeThere(ctx)
	}
	if err != nil {
		return Copied{}, err
	}
	copied.Earlier = c.at.Rows
	if err := c.rows(ctx); err != nil {
		return Copied{}, err
	}
	if err := c.verify(ctx); err != nil {
		return Copied{}, err
	}
	return copied, into.End(ctx, c.at.text())
}

// copying is a copy on its way.
type copying struct {
	from   store.Store
	into   store.Target
	source *tally // of everything
	tell   func(rows, of int)
	at     progress
	rest   []row.Row // that are not stored yet
	size   int       // of them in bytes, roughly
}

// A portion is so many rows, or so many bytes, whatever comes first. After each the disk is
// waited for.
const (
	portionRows  = 1000
	portionBytes = 1 << 20
)

// begin takes the target, or finds out how far an earlier attempt has come.
func (c *copying) begin(ctx context.Context, again bool) error {
	text, err := c.into.Progress(ctx)
	if err == nil && text != nil && again {
		text, err = nil, c.into.Discard(ctx)
	}
	if err != nil {
		return err
	}
	c.at = progress{Source: c.source.hex(), Of: c.source.rows(), Digest: (&tally{}).hex()}
	if text == nil {
		return c.into.Begin(ctx, c.at.text())
	}
	if err := c.at.read(text); err != nil {
		return err
	}
	if c.at.Source != c.source.hex() || c.at.Of != c.source.rows() {
		return errOther("it has part of a copy of something else, or of this source before it was changed")
	}
	if c.tell != nil {
		c.tell(c.at.Rows, c.at.Of)
	}
	return nil
}

// rows stores what the target does not have yet.
func (c *copying) rows(ctx context.Context) error {
	var read tally
	had := c.at
	if err := c.from.Export(ctx, func(r row.Row) error {
		if err := read.add(r); err != nil {
			return err
		}
		n := read.rows()
		if n == had.Rows && read.hex() != had.Digest {
			return errOther("it has part of a copy of a store whose rows come in another order")
		}
		if n <= had.Rows {
			return nil
		}
		c.rest, c.size = append(c.rest, r), c.size+read.size()
		if len(c.rest) < portionRows && c.size < portionBytes {
			return nil
		}
		return c.put(ctx, &read)
	}); err != nil {
		return err
	}
	if !read.equal(c.source) {
		return errChanged()
	}
	return c.put(ctx, &read)
}

// put stores a portion. read is all that was read up to now.
func (c *copying) put(ctx context.Context, read *tally) error {
	if len(c.rest) == 0 {
		return nil
	}
	next := c.at
	next.Rows, next.Digest = read.rows(), read.hex()
	if err := c.into.Put(ctx, c.rest, c.at.text(), next.text()); err != nil {
		return atOnce(err)
	}
	clear(c.rest)
	c.at, c.rest, c.size = next, c.rest[:0], 0
	if c.tell != nil {
		c.tell(c.at.Rows, c.at.Of)
	}
	return nil
}

// verify reads back what was stored and, if somebody may have written to it, the source.
func (c *copying) verify(ctx context.Context) error {
	var arrived, now tally
	if err := c.into.Export(ctx, arrived.add); err != nil {
		return err
	}
	if err := c.source.mustEqual(&arrived); err != nil {
		return err
	}
	if _, alone := c.from.(store.Exclusive); alone {
		return nil
	}
	if err := c.from.Export(ctx, now.add); err != nil {
		return err
	}
	if !c.source.equal(&now) {
		return errChanged()
	}
	return nil
}

// mustBeThere compares a target that is a store already: the copy may have ended, and only
// the news of it be lost.
func (c *copying) mustBeThere(ctx context.Context) error {
	var there tally
	if err := c.into.Export(ctx, there.add); err != nil {
		return err
	}
	if !c.source.equal(&there) {
		return notEmpty(store.ErrNotEmpty)
	}
	return nil
}

const restart = "`rekey store copy --restart` throws away what was copied, and begins again"

func errOther(why string) error {
	e := fault.New(fault.Conflict, "the store that is to be filled was left as it is: %s", why)
	e.Advice = "stop the servers of the source; " + restart
	return e
}

func errChanged() error {
	e := fault.New(fault.Conflict, "the source was written to while it was copied; what was copied is of no use")
	e.Advice = "stop all servers that use the source; then " + restart
	return e
}

// atOnce says of a target that somebody else goes on with who that is.
func atOnce(err error) error {
	if !errors.Is(err, store.ErrChanged) {
		return err
	}
	return &fault.Error{Kind: fault.Conflict, Message: "another copy into the same store is under way", Cause: err,
		Advice: "let it end, or stop it and begin again"}
}
