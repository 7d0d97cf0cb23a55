package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// model is the store as simply as can be: the rows by a key that sorts as Load does.
type model map[string]row.Row

// key is the rank of the row's type in Load and its key fields.
func key(r row.Row) string {
	switch r := r.(type) {
	case row.Account:
		return join("a", r.Name)
	case row.SigningKey:
		return join("b", r.Account, r.KeyID)
	case row.Role:
		return join("c", r.ID)
	case row.Resource:
		return join("d", r.ID)
	case row.Membership:
		return join("e", r.Role, r.Member, r.Ownership)
	case row.Permission:
		return join("f", r.Resource, r.Role, r.Privilege)
	case row.Annotation:
		return join("g", r.Resource, r.Name)
	case row.APIKey:
		return join("h", r.Role)
	case row.StagedKey:
		return join("h1", r.Role)
	case row.OldKey:
		return join("h2", r.Role)
	case row.KeyUse:
		return join("h3", r.Role)
	case row.Password:
		return join("i", r.Role)
	case row.Restriction:
		return join("j", r.Role)
	case row.Secret:
		return join("k", r.Resource, fmt.Sprintf("%09d", r.Version))
	case row.PolicyVersion:
		return join("l", r.Policy, fmt.Sprintf("%09d", r.Version))
	case row.HostFactoryToken:
		return join("m", fmt.Sprintf("%x", r.Digest))
	case row.Authenticator:
		return join("n", r.Resource)
	case row.Rotation:
		return join("o", r.Variable)
	case row.Credential:
		return join("p", r.Variable, r.Slot)
	case row.RotationEvent:
		return join("q", r.Variable, fmt.Sprintf("%09d", r.Revision))
	}
	panic(fmt.Sprintf("no key for %T", r))
}

func join(parts ...any) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = fmt.Sprint(part)
	}
	return strings.Join(texts, "\x00")
}

// parents are the keys of the rows that r refers to, and whether r goes with them.
func parents(r row.Row) (keys []string, cascade bool) {
	switch r := r.(type) {
	case row.SigningKey:
		return []string{join("a", r.Account)}, true
	case row.Resource:
		return []string{join("c", r.Owner)}, false
	case row.Membership:
		return []string{join("c", r.Role), join("c", r.Member)}, false
	case row.Permission:
		return []string{join("c", r.Role), join("d", r.Resource)}, false
	case row.Annotation:
		return []string{join("d", r.Resource)}, false
	case row.APIKey:
		return []string{join("c", r.Role)}, true
	case row.StagedKey:
		return []string{join("c", r.Role), join("h", r.Role)}, true
	case row.OldKey:
		return []string{join("c", r.Role), join("h", r.Role)}, true
	case row.KeyUse:
		return []string{join("c", r.Role), join("h", r.Role)}, true
	case row.Password:
		return []string{join("c", r.Role)}, true
	case row.Restriction:
		return []string{join("c", r.Role)}, true
	case row.Secret:
		return []string{join("d", r.Resource)}, true
	case row.PolicyVersion:
		return []string{join("d", r.Policy)}, true
	case row.HostFactoryToken:
		return []string{join("d", r.Factory)}, true
	case row.Authenticator:
		return []string{join("d", r.Resource)}, true
	case row.Rotation:
		return []string{join("d", r.Variable)}, true
	case row.Credential:
		return []string{join("d", r.Variable)}, true
	case row.RotationEvent:
		return []string{join("d", r.Variable)}, true
	}
	return nil, false
}

// commit is the model after a set, or nil if the set must be refused.
func (m model) commit(s *row.Set) model {
	for _, c := range s.Require {
		if !m.holds(c) {
			return nil
		}
	}
	next := maps.Clone(m)
	for _, change := range s.Changes {
		k := key(change.Row)
		_, exists := next[k]
		switch change.Op {
		case row.Insert:
			if exists {
				return nil
			}
			next[k] = change.Row
		case row.Update:
			if !exists {
				return nil
			}
			next[k] = change.Row
		case row.Delete:
			if !exists && k[0] != 'k' && k[0] != 'l' && k[0] != 'q' {
				return nil
			}
			delete(next, k)
			maps.DeleteFunc(next, func(_ string, child row.Row) bool {
				keys, cascade := parents(child)
				return cascade && slices.Contains(keys, k)
			})
		}
	}
	for _, r := range next {
		keys, _ := parents(r)
		for _, k := range keys {
			if _, exists := next[k]; !exists {
				return nil
			}
		}
	}
	return next
}

func (m model) holds(c row.Condition) bool {
	switch c := c.(type) {
	case row.RoleExists:
		return m[key(row.Role{ID: c.Role})] != nil
	case row.ResourceExists:
		return m[key(row.Resource{ID: c.Resource})] != nil
	case row.KeyIs:
		r, ok := m[key(row.APIKey{Role: c.Role})].(row.APIKey)
		return ok && r.Digest == c.Digest
	case row.StagedKeyIs:
		r, ok := m[key(row.StagedKey{Role: c.Role})].(row.StagedKey)
		return ok == (c.Digest != [32]byte{}) && r.Digest == c.Digest
	case row.OldKeyIs:
		r, ok := m[key(row.OldKey{Role: c.Role})].(row.OldKey)
		return ok == (c.Digest != [32]byte{}) && r.Digest == c.Digest
	case row.PasswordIs:
		r, ok := m[key(row.Password{Role: c.Role})].(row.Password)
		return ok == (c.Sealed != nil) && bytes.Equal(r.Sealed, c.Sealed)
	case row.LatestVersion:
		latest := 0
		for _, r := range m {
			if secret, ok := r.(row.Secret); ok && secret.Resource == c.Resource {
				latest = max(latest, secret.Version)
			}
		}
		return latest == c.Version
	case row.RotationIs:
		r, _ := m[key(row.Rotation{Variable: c.Variable})].(row.Rotation)
		return r.Revision == c.Revision
	}
	panic(fmt.Sprintf("no such condition: %T", c))
}

// rows is what Load must return.
func (m model) rows() []row.Row {
	var rows []row.Row
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k[0] != 'q' {
			rows = append(rows, loaded(m[k]))
		}
	}
	return rows
}

// randomSets stores 10,000 random sets of a small world, where they often collide,
// in transactions of a few sets, and compares with the model.
func randomSets(f *fixture) {
	const seed = 42
	g := generator{rand.New(rand.NewSource(seed))}
	m := model{}
	accepted, refused := 0, 0
	for n := 0; n < 10_000; {
		sets := make([]*row.Set, 1+g.Intn(6))
		for i := range sets {
			sets[i] = g.set(m)
		}
		broken := false
		for i, err := range f.commit(sets...) {
			n++
			next := m.commit(sets[i])
			if sets[i].Chained && broken {
				next = nil
			}
			broken = broken || sets[i].Chained && next == nil
			if (err == nil) != (next != nil) {
				f.Fatalf("seed %d, set %d: the store says %v, the model accepts: %v\n%#v", seed, n, err, next != nil, sets[i])
			}
			if next != nil {
				m = next
				accepted++
			} else {
				refused++
			}
		}
		if n%7 == 0 {
			f.same(f.load(), m.rows())
		}
	}
	f.restart()
	f.same(f.load(), m.rows())
	for _, r := range m {
		if secret, ok := r.(row.Secret); ok {
			if sealed, err := f.store.Secret(ctx, secret.Resource, secret.Version); err != nil || !bytes.Equal(sealed, secret.Sealed) {
				f.Errorf("version %d of %s: %v, %v", secret.Version, secret.Resource, sealed, err)
			}
		}
	}
	if accepted < 2000 || refused < 2000 {
		f.Errorf("the sets are too tame: %d accepted, %d refused", accepted, refused)
	}
}

// generator makes rows, changes and conditions of a small world.
type generator struct{ *rand.Rand }

func (g generator) id(kind string) ident.ID {
	return ident.New("acme", kind, string(rune('a'+g.Intn(4))))
}

func (g generator) row() row.Row {
	role, resource, policy := g.id("user"), g.id("variable"), g.id("policy")
	blob := []byte{byte(g.Intn(3)), byte(g.Intn(256))}
	at := time.UnixMilli(int64(1 + g.Intn(1e12))).UTC()
	switch g.Intn(21) {
	case 0:
		return row.Account{Name: string(rune('a' + g.Intn(2))), CreatedAt: at}
	case 1:
		return row.SigningKey{Account: string(rune('a' + g.Intn(2))), KeyID: string(rune('a' + g.Intn(2))), Sealed: blob, CreatedAt: at}
	case 2, 3:
		return row.Role{ID: role, CreatedAt: at, Policy: policy}
	case 4, 5:
		return row.Resource{ID: resource, Owner: role, CreatedAt: at, Policy: policy}
	case 6, 7:
		return row.Membership{Role: role, Member: g.id("user"), Ownership: g.Intn(2) == 0, Admin: g.Intn(2) == 0, Policy: policy}
	case 8:
		return row.Permission{Resource: resource, Role: role, Privilege: "read", Policy: policy}
	case 9:
		return row.Annotation{Resource: resource, Name: "n", Value: string(blob[:1]), Policy: policy}
	case 10, 16:
		return row.APIKey{Role: role, Digest: [32]byte{blob[0]}, RotatedAt: at, Form: row.KeyForm(g.Intn(4))}
	case 17:
		return row.StagedKey{Role: role, Digest: [32]byte{1 + blob[0]}, Sealed: blob, LapsesAt: at, Grace: time.Duration(blob[1]) * time.Second}
	case 18:
		return row.OldKey{Role: role, Digest: [32]byte{1 + blob[0]}, ValidUntil: at}
	case 19:
		return row.KeyUse{Role: role, UsedAt: at}
	case 11:
		return row.Password{Role: role, Sealed: blob[:1], ChangedAt: at}
	case 12:
		return row.Restriction{Role: role}
	case 13:
		return row.PolicyVersion{Policy: resource, Version: 1 + g.Intn(3), Role: role, CreatedAt: at}
	case 14:
		return row.HostFactoryToken{Digest: [32]byte{blob[0]}, Factory: resource, Sealed: blob, ExpiresAt: at}
	case 15:
		return row.Authenticator{Resource: resource, Enabled: g.Intn(2) == 0}
	}
	switch g.Intn(3) {
	case 0:
		return row.Rotation{Variable: resource, Revision: int64(1 + g.Intn(3)), State: "idle", LastSuccess: at}
	case 1:
		return row.Credential{Variable: resource, Slot: []row.Slot{row.Candidate, row.Previous}[g.Intn(2)], Sealed: blob}
	case 2:
		if g.Intn(2) == 0 {
			return row.RotationEvent{Variable: resource, Revision: int64(1 + g.Intn(3)), At: at}
		}
	}
	return row.Secret{Resource: resource, Version: 1 + g.Intn(4), Sealed: blob, CreatedAt: at, ExpiresAt: at}
}

func (g generator) condition() row.Condition {
	role, resource := g.id("user"), g.id("variable")
	switch g.Intn(8) {
	case 0:
		return row.RoleExists{Role: role}
	case 1:
		return row.ResourceExists{Resource: resource}
	case 2:
		return row.KeyIs{Role: role, Digest: [32]byte{byte(g.Intn(3))}}
	case 3:
		return row.PasswordIs{Role: role}
	case 4:
		return row.StagedKeyIs{Role: role, Digest: [32]byte{byte(g.Intn(4))}}
	case 5:
		return row.OldKeyIs{Role: role, Digest: [32]byte{byte(g.Intn(4))}}
	case 6:
		return row.RotationIs{Variable: resource, Revision: int64(g.Intn(4))}
	}
	return row.LatestVersion{Resource: resource, Version: g.Intn(5)}
}

// set makes a set that has a fair chance with the rows of m: what exists is mostly
// updated or deleted, what does not is mostly inserted.
func (g generator) set(m model) *row.Set {
	s := &row.Set{Chained: g.Intn(4) == 0}
	if g.Intn(4) == 0 {
		s.Require = append(s.Require, g.condition())
	}
	for range 1 + g.Intn(4) {
		r := g.row()
		op := row.Insert
		if m[key(r)] != nil {
			op = row.Update
			if g.Intn(2) == 0 {
				op = row.Delete
			}
		}
		if g.Intn(12) == 0 {
			op = row.Op(1 + g.Intn(3))
		}
		s.Add(op, r)
	}
	return s
}
