package core

import (
	"context"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

// EachSecret is one of several values that were asked for. Err is nil, NotFound or
// Forbidden, and concerns this one alone.
type EachSecret struct {
	Value
	Err error
}

// mostTogether bounds the bytes of values that one request holds in memory.
const mostTogether = 64 << 20

// together refuses a request for values that have too many bytes in all.
func together(total int) error {
	if total > mostTogether {
		return fault.New(fault.TooLarge, "the values have more than %d bytes together: ask for fewer at a time", mostTogether)
	}
	return nil
}

// EachSecret reads the newest values of several variables, in the order asked, each by
// itself.
func (c *Core) EachSecret(ctx context.Context, caller Caller, ids []ident.ID) ([]EachSecret, error) {
	each := make([]EachSecret, len(ids))
	records := make([]*audit.Record, len(ids))
	total := 0
	for i, id := range ids {
		value, err := c.secret(ctx, caller, id, 0, nil)
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Forbidden) {
			return nil, err
		}
		total += value.Value.Len()
		if err := together(total); err != nil {
			return nil, err
		}
		each[i] = EachSecret{value, err}
		records[i] = c.by(caller).Fetch(id, 0, err)
	}
	if err := c.record(records...); err != nil {
		return nil, err
	}
	return each, nil
}
