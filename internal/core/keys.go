package core

import (
	"time"

	"rekey/internal/apikey"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// keys are the API keys of a role at one moment: the key, the one that is to follow it,
// and the one before it.
type keys struct {
	current *row.APIKey // nil: then the others are as well
	staged  *row.StagedKey
	old     *row.OldKey
}

// keysOf is what a role, which may be nil, holds. The caller holds the graph; the rows
// themselves never change.
func keysOf(r *rbac.Role) keys {
	if r == nil {
		return keys{}
	}
	return keys{r.Key, r.Staged, r.Old}
}

// unchanged is the condition that all three are what they were.
func (k keys) unchanged() []row.Condition {
	id := k.current.Role
	staged, old := row.StagedKeyIs{Role: id}, row.OldKeyIs{Role: id}
	if k.staged != nil {
		staged.Digest = k.staged.Digest
	}
	if k.old != nil {
		old.Digest = k.old.Digest
	}
	return []row.Condition{row.KeyIs{Role: id, Digest: k.current.Digest}, staged, old}
}

// succeed puts another key in the place of the current one, which goes on until a
// moment; the zero time: it is dead at once. Whatever was staged is dropped, and so is
// an older key.
func (k keys) succeed(set *row.Set, next row.APIKey, until time.Time) {
	set.Require = append(set.Require, k.unchanged()...)
	set.Add(row.Update, next)
	if k.staged != nil {
		set.Add(row.Delete, row.StagedKey{Role: next.Role})
	}
	replaced := row.OldKey{Role: next.Role, Digest: k.current.Digest, ValidUntil: until}
	switch {
	case until.IsZero() && k.old != nil:
		set.Add(row.Delete, row.OldKey{Role: next.Role})
	case !until.IsZero() && k.old != nil:
		set.Add(row.Update, replaced)
	case !until.IsZero():
		set.Add(row.Insert, replaced)
	}
}

// standing is what an API key that somebody shows is to a role at the moment.
type standing int

const (
	noKey      standing = iota // not a key of the role, or not any more
	currentKey                 // the key
	stagedKey                  // will be the key once this is answered
	lapsedKey                  // was staged, and nobody has used it in time
	oldKey                     // was the key, and goes on for a while
)

// standing looks a digest up among the keys of a role, which may be nil. The caller of
// this holds the graph.
func (c *Core) standing(r *rbac.Role, digest [32]byte) standing {
	switch {
	case r == nil || r.Key == nil:
		return noKey
	case apikey.Equal(digest, r.Key.Digest):
		return currentKey
	case r.Staged != nil && apikey.Equal(digest, r.Staged.Digest):
		if c.clock().Before(r.Staged.LapsesAt) {
			return stagedKey
		}
		return lapsedKey
	case r.Old != nil && apikey.Equal(digest, r.Old.Digest) && c.clock().Before(r.Old.ValidUntil):
		return oldKey
	}
	return noKey
}

// accepted tells whether a key logs in: it is the current one, or one before it that
// goes on. The caller of this holds the graph.
func (c *Core) accepted(r *rbac.Role, digest [32]byte) bool {
	which := c.standing(r, digest)
	return which == currentKey || which == oldKey
}

// held reads the keys of a role.
func (c *Core) held(id ident.ID) keys {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return keysOf(c.graph.Role(id))
}
