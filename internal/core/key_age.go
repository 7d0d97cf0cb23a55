package core

import (
	"context"
	"strconv"
	"sync"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/period"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// KeyView is what there is to know about an API key but the key. Times are UTC, zero
// for none.
type KeyView struct {
	Role        ident.ID
	RotatedAt   time.Time
	LastUsedAt  time.Time // of the current key, or of one before it; up to an hour late
	Form        row.KeyForm
	StagedUntil time.Time
	OldKeyUntil time.Time
	Overdue     bool // older than its annotation allows
}

// KeyQuery selects API keys. Limit and Offset count keys.
type KeyQuery struct {
	Account   string
	OlderThan string // ISO 8601 duration; "" for any age
	Limit     int    // 0 for no limit
	Offset    int
}

// APIKeys lists the keys that the caller may rotate: its own and those of roles that it
// sees and has update on, in the byte order of their ids.
func (c *Core) APIKeys(_ context.Context, caller Caller, q KeyQuery) ([]KeyView, error) {
	views, err := c.apiKeys(caller, q)
	return answer(c, views, err, c.by(caller).APIKeyList(keyParameters(q), err))
}

func (c *Core) apiKeys(caller Caller, q KeyQuery) ([]KeyView, error) {
	var age time.Duration
	if q.OlderThan != "" {
		var err error
		if age, err = period.Parse(q.OlderThan); err != nil {
			return nil, advised(fault.New(fault.Argument, "The parameter older_than is not a duration: %s", clip(q.OlderThan)), "Write it like P90D (ISO 8601).")
		}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	viewer, err := c.role(caller)
	if err != nil {
		return nil, err
	}
	views := []KeyView{}
	latest := c.clock().Add(-age)
	skip := q.Offset
	offer := func(r *rbac.Role) (more bool) {
		switch {
		case r == nil || r.Key == nil || age > 0 && r.Key.RotatedAt.After(latest):
		case skip > 0:
			skip--
		default:
			views = append(views, c.keyView(r))
		}
		return q.Limit == 0 || len(views) < q.Limit
	}
	// A role need not see itself to know about its own key.
	self := viewer
	if viewer.ID.Account() != q.Account {
		self = nil
	}
	more := true
	for _, kind := range []string{"host", "user"} {
		c.graph.List(viewer, rbac.Query{Account: q.Account, Kind: kind}, func(x *rbac.Resource) bool {
			if self != nil && self.ID < x.ID {
				more, self = offer(self), nil
			}
			if more && (x.Role == viewer || c.graph.Allowed(viewer, "update", x)) {
				more = offer(x.Role)
			}
			if x.Role == viewer {
				self = nil
			}
			return more
		})
		if !more {
			return views, nil
		}
		if self != nil && self.ID.Kind() == kind {
			if more, self = offer(self), nil; !more {
				return views, nil
			}
		}
	}
	return views, nil
}

func (c *Core) keyView(r *rbac.Role) KeyView {
	view := KeyView{Role: r.ID, RotatedAt: r.Key.RotatedAt, LastUsedAt: c.uses.last(r), Form: r.Key.Form, Overdue: c.overdue(r)}
	now := c.clock()
	if r.Staged != nil && now.Before(r.Staged.LapsesAt) {
		view.StagedUntil = r.Staged.LapsesAt
	}
	if r.Old != nil && now.Before(r.Old.ValidUntil) {
		view.OldKeyUntil = r.Old.ValidUntil
	}
	return view
}

func keyParameters(q KeyQuery) []audit.Pair {
	p := []audit.Pair{{Name: "account", Value: q.Account}}
	if q.OlderThan != "" {
		p = append(p, audit.Pair{Name: "older_than", Value: clip(q.OlderThan)})
	}
	if q.Limit > 0 {
		p = append(p, audit.Pair{Name: "limit", Value: strconv.Itoa(q.Limit)})
	}
	if q.Offset > 0 {
		p = append(p, audit.Pair{Name: "offset", Value: strconv.Itoa(q.Offset)})
	}
	return p
}

// maxKeyAge is how old the key of a role should grow, by the annotation of its
// resource; 0 for any age. Nothing loads an annotation that cannot be read.
func maxKeyAge(r *rbac.Role) time.Duration {
	if r.Resource == nil {
		return 0
	}
	a := r.Resource.Annotation(policy.KeyMaxAgeAnnotation)
	if a == nil {
		return 0
	}
	age, err := period.Parse(a.Value)
	if err != nil {
		return 0
	}
	return age
}

// overdue tells whether the key of a role is older than it should grow. The caller
// holds the graph.
func (c *Core) overdue(r *rbac.Role) bool {
	most := maxKeyAge(r)
	return most > 0 && c.clock().Sub(r.Key.RotatedAt) > most
}

// reminded remembers of which roles the log has been told that their keys are overdue.
type reminded struct {
	mu   sync.Mutex
	last map[ident.ID]time.Time
}

const remindEvery = time.Hour

// due tells whether it is time to say so again.
func (m *reminded) due(id ident.ID, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.last[id]; ok && now.Sub(last) < remindEvery {
		return false
	}
	if m.last == nil {
		m.last = map[ident.ID]time.Time{}
	}
	m.last[id] = now
	return true
}

// complain says in the log that a key that was shown is overdue, and refuses it if that
// is the rule. It goes on proving who asks for a new one.
func (c *Core) complain(o Origin, id ident.ID) error {
	if c.reminded.due(id, c.clock()) {
		c.log.Warn("an API key is older than the annotation "+policy.KeyMaxAgeAnnotation+" says: rotate it",
			"role", string(id), "refused", c.config.EnforceKeyAge, "ip", o.IP.String(), "request_id", o.RequestID)
	}
	if !c.config.EnforceKeyAge {
		return nil
	}
	e := refused("The API key is older than its policy allows")
	e.Public, e.Advice = true, "Rotate it: it still proves who asks for a new one."
	return e
}
