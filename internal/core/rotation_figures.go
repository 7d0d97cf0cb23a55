package core

import (
	"maps"
	"time"

	"rekey/internal/rotation"
)

// RotationFigures are how all rotations of a server stand.
type RotationFigures struct {
	States       map[string]int // variables, by the state of their rotation, "paused" among them
	Due, Overdue int            // whose moment has come, and those for which it has for more than a minute
	Oldest       time.Duration  // for how long the one that is overdue most has been
}

// RotationFigures counts them. What fails is overdue since it should have been done, however
// often it was tried; what waits for somebody, in quarantine, suspended or in a pause, is not.
func (c *Core) RotationFigures() RotationFigures {
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.now()
	f := RotationFigures{States: maps.Clone(c.due.count)}
	overdue := func(since time.Time) {
		if age := now.Sub(since); age > late {
			f.Overdue, f.Oldest = f.Overdue+1, max(f.Oldest, age)
		}
	}
	for _, scheduled := range [...]bool{false, true} {
		c.due.order(DueRotation{Scheduled: scheduled}).Scan(func(d DueRotation) bool {
			if d.Due.After(now) {
				return false
			}
			if d.Check {
				return true
			}
			f.Due++
			if _, fails := c.due.failing[d.Variable]; !fails {
				overdue(d.Due)
			}
			return true
		})
	}
	for _, since := range c.due.failing {
		overdue(since)
	}
	return f
}

// count counts the outcome of a step. The rotators are those that the server has, so that
// they are not many.
func (r *RotationRun) count(next *rotation.Run, f rotation.Facts) {
	m, rotator := r.c.metrics, r.settings.Rotator
	if r.c.targets.Kinds[rotator] == nil {
		rotator = "unknown"
	}
	switch next.Outcome {
	case "published":
		m.Rotated(rotator, f.Now.Sub(next.Row.StartedAt))
	case rotation.Unacknowledged:
		m.Unacknowledged(rotator)
	case rotation.Checked, "drifted", "not checked":
		m.Checked(rotator, next.Outcome)
	case "failed", "quarantined", "rolled back":
		if next.Failure != nil {
			m.RotationFailed(rotator, next.Failure.Class.String())
		}
	}
}
