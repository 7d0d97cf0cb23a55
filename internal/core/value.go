package core

import (
	"context"
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

// open reads and opens one version of a value. NotFound, as a read of it would say,
// if it has gone meanwhile.
func (c *Core) open(ctx context.Context, id ident.ID, key valueKey) (secret.Bytes, error) {
	sealed, ok := c.values.cache.GetIfPresent(key)
	if !ok {
		var err error
		if sealed, err = c.store.Secret(ctx, id, key.version); err != nil {
			return secret.Bytes{}, c.gone(err, emptyVariable(id), "secret "+string(id))
		}
		// What the store has now may be a value of a later variable of this id, which
		// was not what the caller was allowed to read.
		c.mu.RLock()
		x := c.graph.Resource(id)
		same := x != nil && x.Serial == key.serial
		c.mu.RUnlock()
		if !same {
			return secret.Bytes{}, emptyVariable(id)
		}
		c.values.cache.Set(key, sealed)
	}
	return c.ring.Open(sealed, aadSecret(id, key.version))
}
