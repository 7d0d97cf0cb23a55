package core

import (
	"context"

	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
)

// RehearsePolicy tells what LoadPolicy would do with the same arguments, by the same
// plan, and does nothing of it: no row changes, no version is used up, no key is made.
// The caller needs the same privileges. The report shows each resource as far as the
// caller sees it: what would be created and what comes after as it would see it then.
func (c *Core) RehearsePolicy(ctx context.Context, caller Caller, id ident.ID, mode policy.Mode, text []byte) (*policy.Report, error) {
	report, err := c.rehearsePolicy(ctx, caller, id, mode, text)
	return report, c.decided(err, c.by(caller).PolicyValidate(err))
}

func (c *Core) rehearsePolicy(ctx context.Context, caller Caller, id ident.ID, mode policy.Mode, text []byte) (*policy.Report, error) {
	document, err := c.readPolicy(caller, id, mode, text)
	if err != nil {
		return nil, err
	}
	if err := c.enterAlone(ctx); err != nil {
		return nil, err
	}
	defer c.structure.leave()
	r := &reading{document: document}
	c.prepare(r, id)
	var prospect *policy.Prospect
	var l *load
	_, err = c.planned(func(tx *rbac.Tx) (err error) {
		if l, err = c.attempt(tx, caller, id, mode, r); err == nil {
			prospect = policy.Foresee(c.graph, l.changes, l.planned, c.sees(caller))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return prospect.Compare(c.graph, l.resolved.Warnings), nil
}

// sees asks the graph, at the time of each question, what a caller sees in it.
func (c *Core) sees(caller Caller) func(*rbac.Resource) bool {
	return func(x *rbac.Resource) bool {
		if caller.operator {
			return true
		}
		r := c.graph.Role(caller.Role)
		return r != nil && c.graph.Visible(r, x)
	}
}
