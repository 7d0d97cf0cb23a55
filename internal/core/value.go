package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/maypok86/otter/v2"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// values remembers sealed values, within a bound of memory. Plaintext is never kept.
type values struct {
	cache *otter.Cache[valueKey, []byte]
}

// valueKey names one version of one value. The serial tells a variable from an
// earlier one of the same id, whose values must never be seen again.
type valueKey struct {
	serial  uint64
	version int
}

const valueOverhead = 128 // bytes of bookkeeping for each value

func newValues(bytes int) (*values, error) {
	if bytes <= 0 {
		bytes = Default().CacheBytes
	}
	cache, err := otter.New(&otter.Options[valueKey, []byte]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ valueKey, sealed []byte) uint32 { return uint32(len(sealed) + valueOverhead) },
	})
	if err != nil {
		return nil, fault.Wrap(err, "the cache of sealed values cannot be made")
	}
	return &values{cache}, nil
}

// aadSecret binds a sealed value to its variable and version.
func aadSecret(id ident.ID, version int) string {
	return "secret\x00" + string(id) + "\x00" + strconv.Itoa(version)
}

// tag names one version of one value among all that there ever were. It is made of
// the ends of the sealed value, where its random nonce and its authentication tag are,
// so it tells nothing of the value, and a later variable of the same id never has it.
func (key valueKey) tag(sealed []byte) string {
	var ends [48]byte // no allocation: this is in the way of every read
	copy(ends[:32], sealed)
	copy(ends[32:], sealed[max(0, len(sealed)-16):])
	sum := sha256.Sum256(ends[:])
	text := append(strconv.AppendInt(make([]byte, 0, 64), int64(key.version), 10), '-')
	return string(hex.AppendEncode(text, sum[:12]))
}

// open reads and opens one version of a value, as sealed says.
func (c *Core) open(ctx context.Context, id ident.ID, key valueKey) (secret.Bytes, error) {
	sealed, err := c.sealed(ctx, id, key)
	if err != nil {
		return secret.Bytes{}, err
	}
	return c.ring.Open(sealed, aadSecret(id, key.version))
}

// sealed reads one version of a value as the store has it. NotFound, as a read of it
// would say, if it has gone meanwhile.
func (c *Core) sealed(ctx context.Context, id ident.ID, key valueKey) ([]byte, error) {
	sealed, ok := c.values.cache.GetIfPresent(key)
	c.metrics.Cached(ok)
	if !ok {
		var err error
		if sealed, err = c.store.Secret(ctx, id, key.version); err != nil {
			return nil, c.gone(err, emptyVariable(id), "secret "+string(id))
		}
		// What the store has now may be a value of a later variable of this id, which
		// was not what the caller was allowed to read; another node may have made it.
		if err := c.committer.CatchUp(ctx); err != nil {
			return nil, unavailable(err, "secret "+string(id))
		}
		c.mu.RLock()
		x := c.graph.Resource(id)
		same := x != nil && x.Serial == key.serial
		c.mu.RUnlock()
		if !same {
			return nil, emptyVariable(id)
		}
		c.values.cache.Set(key, sealed)
	}
	return sealed, nil
}
