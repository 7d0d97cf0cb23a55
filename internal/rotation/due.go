package rotation

import (
	"hash/fnv"
	"math"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
)

var zero time.Time

// Limits are the engine's own settings.
type Limits struct {
	Cycles       int           // failed attempts until quarantine; an unreachable target gets ten times as many
	AuthFailures int           // refused logins in a row until quarantine
	BadValues    int           // candidates that a target may refuse in one attempt
	BackoffBase  time.Duration // before the second attempt, at most
	BackoffCap   time.Duration
	Lease        time.Duration // how long a node may be silent before another takes over; over twice a step's deadline
}

// DefaultLimits are the usual ones.
func DefaultLimits() Limits {
	return Limits{Cycles: 12, AuthFailures: 5, BadValues: 3, BackoffBase: 5 * time.Second, BackoffCap: time.Hour, Lease: 90 * time.Second}
}

// Backoff is how long to wait after so many failed attempts: exponential, capped, with
// full jitter, so that variables that failed together do not come back together.
func (l Limits) Backoff(attempts int, random float64) time.Duration {
	longest := math.Min(float64(l.BackoffBase)*math.Pow(2, float64(attempts-1)), float64(l.BackoffCap))
	return time.Duration(random * longest)
}

// Due is when there is something to do for a rotation; zero: not before something
// changes. version and expires are those of the newest version of the variable, 0 if
// it has no value. A moment in the past that has been missed counts as now, except
// that a missed window leads to the next one.
func Due(w *row.Rotation, s *Settings, version int, expires, now time.Time) time.Time {
	if version == 0 {
		return zero
	}
	if !w.PausedAt.IsZero() {
		return finish(w, s, now)
	}
	if w.Holder != "" && !w.LeaseUntil.After(now.Add(2*s.Limits.Lease)) {
		return w.LeaseUntil // if it has not let go by then, it is taken over
	}
	if w.Revision == 0 && !expires.IsZero() {
		return expires // a value with an expiry from before the engine saw it
	}
	if version != w.Version && !s.Manual() {
		return now
	}
	if w.State == Quarantined || w.State == Suspended {
		return zero
	}
	if !w.RetryAt.IsZero() {
		if w.RetryAt.After(now.Add(s.Limits.BackoffCap + tolerance)) {
			return now // written while the clock was ahead
		}
		if w.Sent || !w.RequestedAt.IsZero() || w.State == Retiring {
			return w.RetryAt
		}
		return s.inWindow(w.RetryAt, now)
	}
	if !w.RequestedAt.IsZero() || Open(w) || w.State == Planned {
		return now
	}
	next := s.Next(w.Variable, w.LastSuccess, now)
	if w.LastSuccess.After(now.Add(tolerance)) && !s.Manual() {
		next = now
	}
	if !w.RetireAt.IsZero() {
		ends := s.Ends(w)
		if w.RetireAt.After(now.Add(s.Grace+tolerance)) || ends.After(now.Add(s.longestEnd()+tolerance)) {
			return now
		}
		if next.IsZero() || ends.Before(next) {
			return ends
		}
	}
	return next
}

// finish is when a paused rotation is to be finished that was interrupted, or whose old
// value is still to be ended; zero: nothing is under way, or it has failed, and then it
// waits until it is resumed.
func finish(w *row.Rotation, s *Settings, now time.Time) (at time.Time) {
	switch {
	case w.State == Quarantined, w.State == Suspended, !w.RetryAt.IsZero():
		return zero
	case w.Sent:
		at = now
	default:
		at = s.Ends(w)
	}
	if !at.IsZero() && w.Holder != "" && w.LeaseUntil.After(at) {
		at = w.LeaseUntil
	}
	return at
}

// Wanted is since when a rotation should have been done, by request or by its time; zero:
// it should not yet.
func Wanted(w *row.Rotation, s *Settings, now time.Time) time.Time {
	at := w.RequestedAt
	if next := s.Next(w.Variable, w.LastSuccess, now); !next.IsZero() && next.Before(now) && !w.LastSuccess.IsZero() && (at.IsZero() || next.Before(at)) {
		at = next
	}
	return at
}

// Next is when the value published at last is to be replaced; zero: never by itself.
func (s *Settings) Next(variable ident.ID, last, now time.Time) time.Time {
	if s.Manual() {
		return zero
	}
	at := last
	if s.TTL > 0 {
		at = last.Add(s.life(variable))
	}
	if s.Schedule == nil {
		return at
	}
	if s.TTL == 0 {
		at = at.Add(time.Second) // not again in the minute of the last one
		if in := s.Schedule.open(last); !in.IsZero() {
			at = in.Add(s.Schedule.Window) // nor in the window of the last one
		}
	}
	return s.inWindow(at, now)
}

// life is how long a value is the newest one.
func (s *Settings) life(variable ident.ID) time.Duration {
	if !s.Early {
		return Jittered(variable, s.TTL)
	}
	// The variable's share and the grace are within the ttl, and so is the work, with a
	// hundredth left for it. One grace is over before the next begins.
	return max(Jittered(variable, (s.TTL-s.Grace)/10*9), s.Grace)
}

// inWindow is the first moment, not before at, that lies in a window which is not
// over yet.
func (s *Settings) inWindow(at, now time.Time) time.Time {
	if s.Schedule == nil {
		return at
	}
	if at.Before(now) {
		at = now
	}
	if !s.Schedule.open(at).IsZero() {
		return at
	}
	return s.Schedule.after(at)
}

// Jittered is a ttl made up to a tenth longer or shorter, always the same for one
// variable, so that variables which were set up together do not rotate together.
func Jittered(variable ident.ID, ttl time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(variable)) // a hash does not fail
	x := h.Sum64()
	x ^= x >> 33 // FNV alone leaves the high bits of similar names alike
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	share := float64(x>>11)/(1<<53)*2 - 1
	return ttl + time.Duration(share*float64(ttl)/10)
}
