package core

import (
	"context"
	"errors"
	"time"

	"rekey/internal/apikey"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
)

// stageOnce stores a key that is to follow the one that is current now.
func (c *Core) stageOnce(ctx context.Context, caller Caller, target ident.ID, plan succession) (rotated, error) {
	defer c.rows.lock(target)()
	held, again, err := c.heldBy(ctx, caller, target, plan)
	if err != nil || again.again {
		return again, err
	}
	lapsed := c.lapsed(held.staged)
	if s := held.staged; s != nil && !lapsed && s.Request == plan.request && plan.request != [32]byte{} {
		key, err := c.ring.Open(s.Sealed, aadStagedKey(target, s.Digest))
		return rotated{key: key, lapses: s.LapsesAt, again: true}, err
	}
	key, err := apikey.New(c.rand)
	if err != nil {
		return rotated{}, err
	}
	now, digest := c.now(), apikey.Digest(key)
	sealed, err := c.ring.Seal(key, aadStagedKey(target, digest))
	if err != nil {
		return rotated{}, err
	}
	fresh := row.StagedKey{Role: target, Digest: digest, Sealed: sealed, StagedAt: now, LapsesAt: now.Add(plan.lapse),
		Grace: plan.grace, Request: plan.request}
	set := &row.Set{Require: append(caller.proven(), held.unchanged()...)}
	if held.staged != nil {
		set.Add(row.Update, fresh)
	} else {
		set.Add(row.Insert, fresh)
	}
	if held.old != nil && !now.Before(held.old.ValidUntil) {
		set.Add(row.Delete, row.OldKey{Role: target})
	}
	if err := c.commit(ctx, set); err != nil {
		return rotated{}, err
	}
	return rotated{key: key, lapses: fresh.LapsesAt, lapsed: lapsed}, nil
}

// promote makes the staged key that somebody shows the role's key, durably. Somebody
// else may have done so just before. A read-only node refuses: it must not let in by a key
// that lapses if nobody promotes it, or its holder would forget the one before it.
func (c *Core) promote(ctx context.Context, o Origin, id ident.ID, key secret.Bytes) error {
	promoted := false
	err := c.retry(func() (once error) {
		promoted, once = c.promoteOnce(ctx, id, key)
		return once
	})
	if !promoted && err == nil {
		return nil
	}
	return c.decided(err, c.from(o, id).APIKeyPromote(id, err))
}

func (c *Core) promoteOnce(ctx context.Context, id ident.ID, key secret.Bytes) (promoted bool, err error) {
	defer c.rows.lock(id)()
	digest := apikey.Digest(key)
	c.mu.RLock()
	r := c.graph.Role(id)
	held, which := keysOf(r), c.standing(r, digest)
	c.mu.RUnlock()
	switch which {
	case currentKey:
		return false, nil
	case stagedKey:
	default:
		return false, refused("CONJ00002E Invalid credentials: the staged key was dropped while this request was under way")
	}
	sealed, err := c.ring.Seal(key, aadKey(id, digest))
	if err != nil {
		return false, err
	}
	now := c.now()
	var until time.Time
	if held.staged.Grace > 0 {
		until = now.Add(held.staged.Grace)
	}
	set := &row.Set{}
	held.succeed(set, row.APIKey{Role: id, Digest: digest, Sealed: sealed, RotatedAt: now, Form: row.KeyStaged, Request: held.staged.Request}, until)
	if err := c.commit(ctx, set); err != nil {
		return false, err
	}
	return true, nil
}

// refuseLapsed forgets a staged key that is shown too late.
func (c *Core) refuseLapsed(ctx context.Context, o Origin, id ident.ID) error {
	forgotten, err := c.forgetLapsed(ctx, id)
	switch {
	case err != nil:
		// It is ignored all the same, and the next one who meets it tries again.
		c.log.Warn("a staged API key that has lapsed could not be forgotten", "role", string(id), "error", err)
	case forgotten:
		if err := c.record(c.from(o, id).APIKeyLapse(id)); err != nil {
			return err
		}
	}
	return refused("CONJ00002E Invalid credentials: the staged key has lapsed, the one before it is still the key")
}

func (c *Core) forgetLapsed(ctx context.Context, id ident.ID) (bool, error) {
	defer c.rows.lock(id)()
	held := c.held(id)
	if !c.lapsed(held.staged) || c.config.ReadOnly {
		return false, nil
	}
	set := &row.Set{Require: held.unchanged()}
	set.Add(row.Delete, row.StagedKey{Role: id})
	err := c.commit(ctx, set)
	if errors.Is(err, store.ErrChanged) {
		return false, nil
	}
	return err == nil, err
}
