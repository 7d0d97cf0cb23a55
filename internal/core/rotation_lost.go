package core

import (
	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// losing finds the rotations under way of the variables that a set deletes: what the
// target has of them goes with the variables. The caller holds the graph.
func (c *Core) losing(set *row.Set) (lost []row.Rotation) {
	for _, change := range set.Changes {
		r, ok := change.Row.(row.Resource)
		if !ok || change.Op != row.Delete {
			continue
		}
		if x := c.graph.Resource(r.ID); x != nil && x.Rotation != nil && rotation.Open(x.Rotation) {
			lost = append(lost, *x.Rotation)
		}
	}
	return lost
}

// givenUp leaves word of rotations that have gone with their variables, so that somebody
// knows which account may have a password that nobody has.
func (c *Core) givenUp(lost []row.Rotation) error {
	records := make([]*audit.Record, 0, len(lost))
	for _, w := range lost {
		c.log.Warn("a variable was deleted while it was rotated: its target may have a value that is lost", "variable", string(w.Variable), "rotation", w.ID, "target", w.Identity)
		failure := fault.New(fault.Conflict, "the variable was deleted meanwhile, and the target %s may have a value that is lost", w.Identity)
		records = append(records, c.from(Origin{}, "scheduler").RotationStep(w.Variable, audit.Step{Rotation: w.ID, Event: "given up", State: w.State}, failure))
	}
	return c.record(records...)
}
