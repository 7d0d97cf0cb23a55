package core

import (
	"context"
	"errors"
	"slices"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/token"
)

// openRing unwraps the data keys of the store; an empty store gets its first one, from
// the process that is first.
func openRing(ctx context.Context, o Options) (*seal.Keyring, error) {
	kept, err := o.Store.DataKeys(ctx)
	if err != nil {
		return nil, fault.Wrap(err, "the data keys cannot be read")
	}
	if len(kept) == 0 {
		_, wrapped, err := o.RootKey.NewDataKey(o.Rand, 1)
		if err != nil {
			return nil, err
		}
		first := row.DataKey{ID: 1, Wrapped: wrapped, Active: true, CreatedAt: o.Now().UTC()}
		set := &row.Set{}
		set.Add(row.Insert, first)
		results, err := o.Store.Commit(ctx, []*row.Set{set})
		if err == nil && !errors.Is(results[0], store.ErrChanged) {
			err = results[0]
		}
		if err == nil {
			kept, err = o.Store.DataKeys(ctx)
		}
		if err != nil {
			return nil, fault.Wrap(err, "the first data key cannot be stored")
		}
	}
	ring := &seal.Keyring{}
	for _, k := range kept {
		if err := learn(o.RootKey, ring, row.Insert, k); err != nil {
			return nil, err
		}
	}
	return ring, nil
}

// learn brings a key ring up to date with a change of a data key.
func learn(root *seal.Root, ring *seal.Keyring, op row.Op, k row.DataKey) error {
	if op == row.Delete {
		return ring.Remove(k.ID)
	}
	if !slices.Contains(ring.IDs(), k.ID) {
		key, err := root.Unwrap(k.ID, k.Wrapped)
		if err != nil {
			return err
		}
		if err := ring.Add(key); err != nil {
			return err
		}
	}
	if k.Active {
		return ring.Activate(k.ID)
	}
	return nil
}

func aadSigningKey(account, keyID string) string { return "signing-key\x00" + account + "\x00" + keyID }

// newSigningKey draws a signing key for an account.
func (c *Core) newSigningKey(account string) (row.SigningKey, error) {
	key, err := token.NewKey(c.rand)
	if err != nil {
		return row.SigningKey{}, err
	}
	der, err := key.Marshal()
	if err != nil {
		return row.SigningKey{}, err
	}
	sealed, err := c.ring.Seal(der, aadSigningKey(account, key.ID()))
	if err != nil {
		return row.SigningKey{}, err
	}
	return row.SigningKey{Account: account, KeyID: key.ID(), Sealed: sealed, CreatedAt: c.now()}, nil
}

// refreshSigners makes the graph's signing keys those that sign and verify. The
// caller holds the graph.
func (c *Core) refreshSigners() error {
	signers := map[string]*token.Key{}
	var verifying []token.VerificationKey
	for _, account := range c.graph.Accounts() {
		for _, k := range c.graph.SigningKeys(account.Name) {
			der, err := c.ring.Open(k.Sealed, aadSigningKey(k.Account, k.KeyID))
			if err != nil {
				return fault.Wrap(err, "signing key %s of account '%s'", k.KeyID, k.Account)
			}
			key, err := token.ParseKey(der)
			if err != nil {
				return fault.Wrap(err, "signing key %s of account '%s'", k.KeyID, k.Account)
			}
			v := token.VerificationKey{Account: k.Account, Public: key.Public()}
			if k.RetiredAt.IsZero() {
				signers[k.Account] = key
			} else {
				v.NotAfter = k.RetiredAt.Add(longestTTL)
			}
			verifying = append(verifying, v)
		}
	}
	c.signers.Store(&signers)
	return c.tokenKeys.Replace(verifying)
}

// RotateSigningKey gives an account a new key to sign access tokens with. Tokens of
// the old one stay valid until they expire. Keys whose last tokens have expired are
// forgotten on this occasion.
func (c *Core) RotateSigningKey(ctx context.Context, caller Caller, account string) (keyID string, err error) {
	if !caller.operator {
		return "", forbidden("%s may not rotate signing keys", caller.Role)
	}
	if err := c.enterAlone(ctx); err != nil {
		return "", err
	}
	defer c.structure.leave()
	err = c.replan(func() (once error) {
		keyID, once = c.replaceSigningKey(ctx, account)
		return once
	})
	if err != nil {
		return "", err
	}
	return keyID, c.record(c.by(caller).SigningKeyRotate(account, keyID, nil))
}

func (c *Core) replaceSigningKey(ctx context.Context, account string) (keyID string, err error) {
	c.mu.RLock()
	_, ok := c.graph.Account(account)
	old := c.graph.SigningKeys(account)
	set := &row.Set{Chained: true, Base: c.reached}
	c.mu.RUnlock()
	if !ok {
		return "", noAccount(account)
	}
	fresh, err := c.newSigningKey(account)
	if err != nil {
		return "", err
	}
	set.Add(row.Insert, fresh)
	for _, k := range old {
		switch {
		case k.RetiredAt.IsZero():
			k.RetiredAt = c.now()
			set.Add(row.Update, k)
		case k.RetiredAt.Add(longestTTL).Before(c.now()):
			set.Add(row.Delete, k)
		}
	}
	return fresh.KeyID, c.commit(ctx, set)
}

// SigningPublicKey returns the public half of an account's signing key, as PEM of a
// SubjectPublicKeyInfo (RFC 7468).
func (c *Core) SigningPublicKey(account string) (string, error) {
	key, ok := (*c.signers.Load())[account]
	if !ok {
		return "", noAccount(account)
	}
	return key.PublicPEM()
}

func aadKey(role ident.ID, digest [32]byte) string {
	return "api-key\x00" + string(role) + "\x00" + string(digest[:])
}

func aadStagedKey(role ident.ID, digest [32]byte) string {
	return "staged-key\x00" + string(role) + "\x00" + string(digest[:])
}

func aadPassword(role ident.ID) string { return "password\x00" + string(role) }

// sealedText seals a text.
func (c *Core) sealedText(text, aad string) ([]byte, error) {
	return c.ring.Seal(secret.FromString(text), aad)
}
