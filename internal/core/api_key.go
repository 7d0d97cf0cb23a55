package core

import (
	"context"
	"errors"
	"time"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
)

// APIKey shows the API key of a caller that has proved itself with Basic credentials.
func (c *Core) APIKey(ctx context.Context, caller Caller) (secret.Bytes, error) {
	if caller.proof == byToken {
		return secret.Bytes{}, refused("a token does not show the API key")
	}
	return c.showKey(ctx, caller.Role, func() error { return c.stillProven(caller) })
}

// showKey shows the current key of a role, provided that it may be shown at the moment
// when it is the current one. may is called with the graph held.
func (c *Core) showKey(ctx context.Context, id ident.ID, may func() error) (secret.Bytes, error) {
	keyless := refused("CONJ00120E Role '%s' has no credentials", id)
	// The key may be rotated between the two reads: then the sealed bytes do not
	// belong to the digest, and the newer one is wanted.
	for range attempts {
		c.mu.RLock()
		var key *row.APIKey
		if r := c.graph.Role(id); r != nil {
			key = r.Key
		}
		err := may()
		c.mu.RUnlock()
		if err != nil {
			return secret.Bytes{}, err
		}
		if key == nil {
			return secret.Bytes{}, keyless
		}
		sealed, err := c.store.APIKey(ctx, id)
		if err != nil {
			return secret.Bytes{}, c.gone(err, keyless, "API key of "+string(id))
		}
		shown, err := c.ring.Open(sealed, aadKey(id, key.Digest))
		if err == nil {
			return shown, nil
		}
		if caught := c.committer.CatchUp(ctx); caught != nil || c.keyIs(id, key.Digest) {
			return secret.Bytes{}, err
		}
	}
	return secret.Bytes{}, fault.New(fault.Conflict, "the API key changes faster than it can be read: try again")
}

func (c *Core) keyIs(id ident.ID, digest [32]byte) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r := c.graph.Role(id)
	return r != nil && r.Key != nil && r.Key.Digest == digest
}

// newKey draws an API key for a role, as plaintext and as a row.
func (c *Core) newKey(id ident.ID, now time.Time) (secret.Bytes, row.APIKey, error) {
	key, err := apikey.New(c.rand)
	if err != nil {
		return secret.Bytes{}, row.APIKey{}, err
	}
	digest := apikey.Digest(key)
	sealed, err := c.ring.Seal(key, aadKey(id, digest))
	if err != nil {
		return secret.Bytes{}, row.APIKey{}, err
	}
	return key, row.APIKey{Role: id, Digest: digest, Sealed: sealed, RotatedAt: now}, nil
}

// KeyRotatedAt tells when an API key was last rotated. It is guarded as Rotate is.
func (c *Core) KeyRotatedAt(_ context.Context, caller Caller, account, role string) (ident.ID, time.Time, error) {
	target, err := c.keyTarget(caller, account, role)
	if err != nil {
		return "", time.Time{}, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if r := c.graph.Role(target); r != nil && r.Key != nil {
		return target, r.Key.RotatedAt, nil
	}
	return target, time.Time{}, notApplicable(target)
}

func notApplicable(id ident.ID) error {
	return fault.New(fault.NotAllowed, "CONJ00126E Role '%s' is not applicable for key rotation", id)
}

// keyTarget decides whose key a caller may rotate.
func (c *Core) keyTarget(caller Caller, account, role string) (ident.ID, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	target := caller.Role
	if role != "" {
		id, err := ident.Qualify(account, role)
		if err != nil {
			return "", err
		}
		if !c.mayAskFor(caller, id) {
			return "", noSuchRole(role, caller)
		}
		target = id
	}
	self := target == caller.Role
	switch {
	case self && caller.proof == byToken:
		weak := refused("Credential strength is insufficient")
		weak.Public = true
		return target, weak
	case self:
		return target, c.hasKey(target)
	case caller.proof != byToken:
		return target, refused("Basic credentials rotate one's own key only: %s asked for %s", caller.Role, target)
	}
	_, x, err := c.visible(caller, target)
	if fault.Is(err, fault.NotFound) {
		hidden := noSuchRole(string(target), caller)
		hidden.Log = "CONJ00125E it exists, but " + string(caller.Role) + " does not see it"
		return target, hidden
	}
	if err != nil {
		return target, err
	}
	if !c.graph.Allowed(c.graph.Role(caller.Role), "update", x) {
		return target, lacks(caller, "update", target)
	}
	return target, c.hasKey(target)
}

func (c *Core) hasKey(id ident.ID) error {
	r := c.graph.Role(id)
	switch {
	case r == nil:
		return refused("CONJ00007E '%s' not found", id)
	case r.Key == nil:
		return notApplicable(id)
	}
	return nil
}

// mayAskFor tells whether a role exists, as far as that is the caller's business: in
// its own account clients know several answers for roles that exist; those of other
// accounts exist only if the caller sees them. The caller of this holds the graph.
func (c *Core) mayAskFor(caller Caller, id ident.ID) bool {
	if c.graph.Role(id) == nil {
		return false
	}
	if caller.operator || id.Account() == caller.Role.Account() {
		return true
	}
	_, _, err := c.visible(caller, id)
	return err == nil
}

func noSuchRole(shown string, caller Caller) *fault.Error {
	return fault.New(fault.NotFound, "CONJ00123E Resource '%s' requested by role '%s' not found", shown, caller.Role)
}

// RetrieveKey shows any role's API key to an operator. A user or host that has none
// gets one, unless its annotation says that it is to have none.
func (c *Core) RetrieveKey(ctx context.Context, caller Caller, id ident.ID) (secret.Bytes, error) {
	key, err := c.retrieveKey(ctx, caller, id)
	return answer(c, key, err, c.by(caller).APIKeyRetrieve(id, err))
}

func (c *Core) retrieveKey(ctx context.Context, caller Caller, id ident.ID) (secret.Bytes, error) {
	if !caller.operator {
		return secret.Bytes{}, forbidden("%s may not retrieve keys", caller.Role)
	}
	c.mu.RLock()
	r := c.graph.Role(id)
	keyless := r != nil && r.Key == nil
	wanted := r != nil && policy.WantsKey(r, c.config.APIKeyDefault)
	c.mu.RUnlock()
	switch {
	case r == nil:
		return secret.Bytes{}, notFound(id)
	case keyless && (id.Kind() != "user" && id.Kind() != "host" || !wanted):
		return secret.Bytes{}, notApplicable(id)
	case keyless:
		key, fresh, err := c.newKey(id, c.now())
		if err != nil {
			return secret.Bytes{}, err
		}
		set := &row.Set{Require: []row.Condition{row.RoleExists{Role: id}}}
		set.Add(row.Insert, fresh)
		if err := c.commit(ctx, set); !errors.Is(err, store.ErrChanged) {
			return key, err
		}
	}
	return c.showKey(ctx, id, func() error { return nil })
}
