package core

import (
	"context"
	"strconv"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
)

// EffectiveQuery bounds the reading of a policy. The values are as the client wrote
// them, because only the policy's owner learns that they are wrong.
type EffectiveQuery struct {
	Depth *string // levels beneath the policy, 0 to EffectiveDepth, which is the default
	Limit *string // of resources, annotations and permissions, 0 to EffectiveLimit, which is the default
}

// EffectivePolicy reads a policy as statements that can be loaded again. The caller
// must hold the policy's owner: to see the policy is not enough. It gets what it sees.
func (c *Core) EffectivePolicy(ctx context.Context, caller Caller, id ident.ID, q EffectiveQuery) (*policy.Effective, error) {
	effective, err := c.effectivePolicy(ctx, caller, id, q)
	parameters := []audit.Pair{{Name: "account", Value: id.Account()}, {Name: "identifier", Value: id.Identifier()}}
	if q.Depth != nil {
		parameters = append(parameters, audit.Pair{Name: "depth", Value: *q.Depth})
	}
	if q.Limit != nil {
		parameters = append(parameters, audit.Pair{Name: "limit", Value: *q.Limit})
	}
	parameters = append(parameters, audit.Pair{Name: "role_id", Value: string(caller.Role)})
	return effective, c.decided(err, c.by(caller).PolicyRead(parameters, err))
}

func (c *Core) effectivePolicy(ctx context.Context, caller Caller, id ident.ID, q EffectiveQuery) (*policy.Effective, error) {
	effective, keys, err := c.readEffective(caller, id, q)
	if err != nil {
		return nil, err
	}
	for i, x := range effective.Keys {
		line, err := c.open(ctx, x, keys[i])
		if fault.Is(err, fault.NotFound) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		effective.Publish(x, line.RevealString())
	}
	return effective, nil
}

// readEffective reads all but the values of public keys.
func (c *Core) readEffective(caller Caller, id ident.ID, q EffectiveQuery) (*policy.Effective, []valueKey, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	x := c.graph.Resource(id)
	if !caller.operator {
		r, seen, err := c.visible(caller, id)
		if err != nil {
			return nil, nil, err
		}
		if x = seen; !c.graph.Holds(r, x.OwnerNode) {
			return nil, nil, forbidden("'%s' does not hold '%s', the owner of %s", caller.Role, x.Owner, id)
		}
	}
	if x == nil {
		return nil, nil, notFound(id)
	}
	depth, err := bounded("depth", q.Depth, c.config.EffectiveDepth)
	if err != nil {
		return nil, nil, err
	}
	limit, err := bounded("limit", q.Limit, c.config.EffectiveLimit)
	if err != nil {
		return nil, nil, err
	}
	effective := policy.NewEffective(c.graph, policy.Reading{Policy: x, Depth: depth, Visible: c.sees(caller)})
	if effective.Size > limit {
		return nil, nil, fault.New(fault.Invalid, "CONJ00164E Policy max allowed 'limit' = %d exceeded. Value for policy is: %d", limit, effective.Size)
	}
	keys := make([]valueKey, len(effective.Keys))
	for i, id := range effective.Keys {
		k := c.graph.Resource(id)
		keys[i] = valueKey{k.Serial, k.Latest()}
	}
	return effective, keys, nil
}

// bounded reads a number from 0 to most, which it is where none is given. The client
// gets a bare status.
func bounded(name string, text *string, most int) (int, error) {
	if text == nil {
		return most, nil
	}
	n, err := strconv.Atoi(*text)
	if err != nil || n < 0 || n > most {
		return 0, &fault.Error{Kind: fault.BadRequest, Log: "CONJ00163E Param '" + name + "' is '" + *text + "' but should be a number from 0 up to " + strconv.Itoa(most)}
	}
	return n, nil
}
