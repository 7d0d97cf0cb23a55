package postgres

import (
	"bytes"
	"fmt"
	"slices"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// ledger decides over sets, one after the other, from what was read of the stored rows
// while nobody else could write. What it accepts is written afterwards, all at once. So
// a transaction takes two round trips, however many sets and changes it has.
type ledger struct {
	entries  map[key]*entry
	children map[key][]key // known rows that go with this one
	refer    map[key]int64 // rows that keep a role or resource from going, of those that somebody wants to delete
	dataKeys []key
	dropped  map[key]schema.Value // rows that were deleted, and took others along
	undo     []func()
	broken   bool // a chained set was refused
}

// entry is what is known of a row, be it there or not.
type entry struct {
	key    []schema.Value
	exists bool
	facts  []schema.Value // of the table's, if it exists
	values []schema.Value // written by an accepted set; nil if none has, or it was deleted
	step   *step          // the last one that was taken
}

func newLedger() *ledger {
	return &ledger{entries: map[key]*entry{}, children: map[key][]key{}, refer: map[key]int64{}, dropped: map[key]schema.Value{}}
}

// know takes in what was read of a row. values is its key, and its facts if it exists.
func (l *ledger) know(t *schema.Table, values []schema.Value, exists bool) {
	k := keyOf(t, values)
	if l.entries[k] != nil {
		return
	}
	e := &entry{key: values[:t.Keys], exists: exists}
	if exists {
		e.facts = values[t.Keys:]
	}
	l.entries[k] = e
	if t == schema.DataKeys {
		l.dataKeys = append(l.dataKeys, k)
	}
	for _, p := range t.Parents {
		if up, ok := e.parent(t, p); ok && p.Goes {
			l.children[up] = append(l.children[up], k)
		}
	}
}

// parent is the row that an entry refers to, if that is known.
func (e *entry) parent(t *schema.Table, p schema.Parent) (key, bool) {
	if p.Column < t.Keys {
		return keyOf(p.Of, e.key[p.Column:]), true
	}
	if i := slices.Index(t.Facts, p.Column); i >= 0 && i < len(e.facts) {
		return keyOf(p.Of, e.facts[i:]), true
	}
	return key{}, false
}

func changed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrChanged, fmt.Sprintf(format, args...))
}

// decide takes a set in, or leaves everything as it was and says why. foreign is the
// newest change by which another process has stored a chained set, and head the newest of
// all: who has seen more has seen what a failover has lost.
func (l *ledger) decide(p *prepared, foreign, head int64) (err error) {
	defer func() { l.broken = l.broken || p.Chained && err != nil }()
	if p.Chained && (l.broken || p.Base < foreign || p.Base > head) {
		return changed("what it was computed on has changed since change %d", p.Base)
	}
	if p.refused != nil {
		return p.refused
	}
	for _, c := range p.Require {
		if err := l.check(c); err != nil {
			return err
		}
	}
	l.undo = l.undo[:0]
	err = l.take(p.steps)
	if err == nil {
		err = l.consistent(p.steps)
	}
	if err != nil {
		for i := len(l.undo) - 1; i >= 0; i-- {
			l.undo[i]()
		}
	}
	return err
}

func (l *ledger) take(steps []step) error {
	for i := range steps {
		if err := l.one(&steps[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) one(s *step) error {
	e := l.entries[s.key]
	if e == nil {
		return fault.New(fault.Internal, "%s was not looked at", schema.Describe(s.Row))
	}
	switch {
	case s.Op == row.Insert && e.exists:
		return changed("%s exists already", schema.Describe(s.Row))
	case s.Op != row.Insert && !e.exists:
		if s.Op == row.Delete && s.table.Trimmed() {
			return nil
		}
		return changed("%s does not exist", schema.Describe(s.Row))
	case s.Op == row.Delete:
		l.remove(s.key, e)
		l.save(e)
		e.step = s
		if t := s.table; t == schema.Accounts || t == schema.Roles || t == schema.Resources || t == schema.APIKeys {
			if _, before := l.dropped[s.key]; !before {
				l.dropped[s.key] = s.values[0]
				l.undo = append(l.undo, func() { delete(l.dropped, s.key) })
			}
		}
		return nil
	}
	l.save(e)
	l.count(s.table, e, -1)
	e.exists, e.values, e.step = true, s.values, s
	e.facts = make([]schema.Value, len(s.table.Facts))
	for i, column := range s.table.Facts {
		e.facts[i] = s.values[column]
	}
	l.count(s.table, e, 1)
	for _, p := range s.table.Parents {
		if up := parent(p, s.values); p.Goes && p.Column >= s.table.Keys {
			l.children[up] = append(l.children[up], s.key)
		}
	}
	return nil
}

// remove deletes a row and what goes with it.
func (l *ledger) remove(k key, e *entry) {
	l.save(e)
	l.count(k.table, e, -1)
	e.exists, e.values, e.facts = false, nil, nil
	for _, child := range l.children[k] {
		c := l.entries[child]
		if !c.exists {
			continue
		}
		for _, p := range child.table.Parents {
			if up, ok := c.parent(child.table, p); ok && up == k {
				l.remove(child, c)
				break
			}
		}
	}
}

// count keeps account of the rows that refer to those which somebody wants to delete.
func (l *ledger) count(t *schema.Table, e *entry, by int64) {
	if !e.exists {
		return
	}
	for _, p := range t.Parents {
		up, ok := e.parent(t, p)
		if !ok || p.Goes {
			continue
		}
		if n, counted := l.refer[up]; counted {
			l.undo = append(l.undo, func() { l.refer[up] -= by })
			l.refer[up] = n + by
		}
	}
}

func (l *ledger) save(e *entry) {
	was := *e
	l.undo = append(l.undo, func() { *e = was })
}

// consistent refuses a set that leaves a reference to a missing row.
func (l *ledger) consistent(steps []step) error {
	active := int64(1)
	for i := range steps {
		s := &steps[i]
		e := l.entries[s.key]
		if s.table == schema.DataKeys {
			active = l.activeDataKeys()
		}
		if !e.exists {
			if n := l.refer[s.key]; n > 0 {
				return changed("%d rows still refer to %s", n, schema.Describe(s.Row))
			}
			continue
		}
		for _, p := range s.table.Parents {
			if s.Op != row.Delete && e.step == s && !l.exists(parent(p, s.values)) {
				return changed("%s refers to %s %v, which does not exist", schema.Describe(s.Row), p.Of.Name, s.values[p.Column])
			}
		}
	}
	if active != 1 {
		return changed("%d data keys would be active instead of one", active)
	}
	return nil
}

func (l *ledger) activeDataKeys() (n int64) {
	for _, k := range l.dataKeys {
		if e := l.entries[k]; e.exists && e.facts[0] == true {
			n++
		}
	}
	return n
}

func (l *ledger) exists(k key) bool {
	e := l.entries[k]
	return e != nil && e.exists
}

// fact is what conditions ask of a row in the first place; nil if it does not exist.
func (l *ledger) fact(t *schema.Table, id ident.ID) schema.Value {
	if e := l.entries[named(t, string(id))]; e != nil && e.exists {
		return e.facts[0]
	}
	return nil
}

// check tells why a condition does not hold; nil if it does.
func (l *ledger) check(c row.Condition) error {
	switch c := c.(type) {
	case row.RoleExists:
		if !l.exists(named(schema.Roles, string(c.Role))) {
			return changed("role %s does not exist", c.Role)
		}
		return nil
	case row.ResourceExists:
		if !l.exists(named(schema.Resources, string(c.Resource))) {
			return changed("resource %s does not exist", c.Resource)
		}
		return nil
	case row.KeyIs:
		return l.digest(schema.APIKeys, "API key", c.Role, c.Digest, false)
	case row.StagedKeyIs:
		return l.digest(schema.StagedKeys, "staged API key", c.Role, c.Digest, true)
	case row.OldKeyIs:
		return l.digest(schema.OldKeys, "old API key", c.Role, c.Digest, true)
	case row.PasswordIs:
		sealed, has := l.fact(schema.Passwords, c.Role).([]byte)
		if has != (c.Sealed != nil) || !bytes.Equal(sealed, c.Sealed) {
			return changed("the password of %s is another one", c.Role)
		}
		return nil
	case row.RotationIs:
		revision, _ := l.fact(schema.Rotations, c.Variable).(int64) // 0 if there is none
		if revision != c.Revision {
			return changed("the rotation of %s is at revision %d, not %d", c.Variable, revision, c.Revision)
		}
		return nil
	case row.DeliveryIs:
		e := l.entries[named(schema.Deliveries, c.ID)]
		if e == nil || !e.exists || e.facts[0] != schema.Value(string(row.Waiting)) || e.facts[1] != schema.Value(int64(c.Attempts)) {
			return changed("delivery %s is not waiting after %d attempts", c.ID, c.Attempts)
		}
		return nil
	case row.LatestVersion:
		latest := int64(0)
		for _, k := range l.children[named(schema.Resources, string(c.Resource))] {
			if e := l.entries[k]; k.table == schema.Secrets && e.exists {
				latest = max(latest, e.key[1].(int64))
			}
		}
		if latest != int64(c.Version) {
			return changed("the latest version of %s is %d, not %d", c.Resource, latest, c.Version)
		}
		return nil
	}
	return fault.New(fault.Internal, "conditions of type %T cannot be checked", c)
}

// digest compares the digest of a key; where none is an answer, zero stands for it.
func (l *ledger) digest(t *schema.Table, what string, role ident.ID, want [32]byte, noneMatches bool) error {
	digest, has := l.fact(t, role).([]byte)
	none := noneMatches && want == [32]byte{}
	if has == none || has && !bytes.Equal(digest, want[:]) {
		return changed("the %s of %s is another one", what, role)
	}
	return nil
}
