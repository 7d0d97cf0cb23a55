package token

import (
	"crypto/ed25519"
	"sync/atomic"
	"time"

	"rekey/internal/fault"
)

// VerificationKey is a public key and whose tokens it verifies.
type VerificationKey struct {
	Account  string
	Public   ed25519.PublicKey
	NotAfter time.Time // of a retired key: no token of it is valid from here on; zero for the others
}

// Keys is the set of keys that tokens are verified with. Its zero value is empty.
// It is safe for concurrent use; reading never waits.
type Keys struct {
	byID atomic.Pointer[map[string]VerificationKey]
}

// Replace makes this the whole set, at once and for every verification that begins
// later: tokens of keys that are not in it are dead, remembered or not. On error
// (a public key of the wrong length, one key for two accounts) the set stays what
// it was.
func (k *Keys) Replace(keys []VerificationKey) error {
	byID := make(map[string]VerificationKey, len(keys))
	for _, key := range keys {
		if len(key.Public) != ed25519.PublicKeySize {
			return fault.New(fault.Internal, "a token-verification key of account '%s' has %d bytes, not %d", key.Account, len(key.Public), ed25519.PublicKeySize)
		}
		id, err := keyID(key.Public)
		if err != nil {
			return err
		}
		if other, twice := byID[id]; twice {
			return fault.New(fault.Internal, "accounts '%s' and '%s' have the same token-verification key %s", other.Account, key.Account, id)
		}
		byID[id] = key
	}
	k.byID.Store(&byID)
	return nil
}

// find is the key of this id, unless it is unknown or retired by now.
func (k *Keys) find(id string, now time.Time) (VerificationKey, bool) {
	byID := k.byID.Load()
	if byID == nil {
		return VerificationKey{}, false
	}
	key, known := (*byID)[id]
	if !known || !key.NotAfter.IsZero() && !now.Before(key.NotAfter) {
		return VerificationKey{}, false
	}
	return key, true
}
