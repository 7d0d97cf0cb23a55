package rbac

import (
	"crypto/sha256"
	"fmt"
	"math/rand"
	"net/netip"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// world is a small random world: ids that changes and questions are about. Roles and
// resources meet in few ids, so that cycles, self-ownership, edges across accounts,
// roles without a resource and resources without a role come up all the time.
type world struct {
	*rand.Rand
	ids   []ident.ID
	clock int64
}

var (
	accountNames = []string{"a", "a-b", "a1", "ab"} // with the colon two come before the first
	kinds        = []string{"user", "group", "policy", "host", "variable", "host_factory"}
	identifiers  = []string{"", "x", "x/y", "db-1.example", "prod_db", "Passwords/running", "érable", "x:y", "the/of"}
	privileges   = []string{"read", "execute", "update", ""}
	texts        = []string{"", "The password of the database", "running, runs & ran", "ÉRABLE x.y_z", "the of", "db-1.example",
		"c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee passwords"}
	names    = []string{"description", "name", "notes"}
	searches = []string{"", "password", "Passwords", "passw", "run", "the", "the database", "x", "x/y", "x.y", "prod_db", "db 1",
		"érable", "host factory", "factory group", "x zebra", "running password",
		"c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee password",
		"decafdecafdecafdecafdecafdecafdecafdecafdecafdecafdecafdecafdecafdecaf password"}
)

func newWorld(seed int64) *world {
	w := &world{Rand: rand.New(rand.NewSource(seed))}
	for range 6 + w.Intn(20) {
		w.ids = append(w.ids, ident.New(pick(w, accountNames), pick(w, kinds), pick(w, identifiers)))
	}
	return w
}

func pick[T any](w *world, from []T) T { return from[w.Intn(len(from))] }

// limits are small at random, so that a small graph is answered in every way.
func (w *world) limits() limits {
	if w.Intn(4) == 0 {
		return usual
	}
	return limits{small: 1 + w.Intn(6), walk: w.Intn(12), scan: w.Intn(4), many: w.Intn(3), few: w.Intn(30)}
}

func (w *world) now() time.Time {
	w.clock += int64(1 + w.Intn(1000))
	return time.UnixMilli(w.clock).UTC()
}

// policy is one that may be said to have declared a row: often none.
func (w *world) policy(o *oracle) ident.ID {
	if resources := o.view().resources; len(resources) > 0 && w.Intn(3) > 0 {
		return resources[w.Intn(min(3, len(resources)))].ID
	}
	return ""
}

// plan makes one random change by a Tx and to the oracle; false if none was possible.
func (w *world) plan(tx *Tx, o *oracle) bool {
	v := o.view()
	id := pick(w, w.ids)
	_, isRole := o.role(id)
	x, isResource := o.resource(id)
	node := tx.g.Resource(id)
	switch w.Intn(26) {
	case 0, 1, 2:
		if isRole {
			return false
		}
		r := row.Role{ID: id, CreatedAt: w.now(), Policy: w.policy(o)}
		tx.InsertRole(r)
		o.insertRole(r)
	case 3, 4, 5:
		if isResource || len(v.roles) == 0 {
			return false
		}
		x := row.Resource{ID: id, Owner: pick(w, v.roles).ID, CreatedAt: w.now(), Policy: w.policy(o)}
		tx.InsertResource(x)
		o.insertResource(x)
	case 6, 7, 8, 9:
		if len(v.roles) == 0 {
			return false
		}
		m := row.Membership{Role: pick(w, v.roles).ID, Member: pick(w, v.roles).ID, Ownership: w.Intn(4) == 0, Admin: w.Intn(2) == 0, Policy: w.policy(o)}
		if _, ok := o.rows[keyOf(m)]; ok {
			return false
		}
		tx.InsertMembership(m)
		o.must(row.Insert, m)
	case 10, 11, 12:
		if len(v.roles) == 0 || !isResource {
			return false
		}
		p := row.Permission{Resource: id, Role: pick(w, v.roles).ID, Privilege: pick(w, privileges), Policy: w.policy(o)}
		if _, ok := o.rows[keyOf(p)]; ok {
			return false
		}
		tx.InsertPermission(p)
		o.must(row.Insert, p)
	case 13, 14:
		a := row.Annotation{Resource: id, Name: pick(w, names), Value: pick(w, texts), Policy: w.policy(o)}
		if _, taken := o.rows[keyOf(a)]; taken || !isResource {
			return false
		}
		tx.InsertAnnotation(a)
		o.must(row.Insert, a)
	case 15:
		if len(v.annotations) == 0 {
			return false
		}
		a := pick(w, v.annotations)
		a.Value = pick(w, texts)
		tx.SetAnnotation(tx.g.Resource(a.Resource).Annotation(a.Name), a.Value)
		o.must(row.Update, a)
	case 16:
		if len(v.annotations) == 0 {
			return false
		}
		a := pick(w, v.annotations)
		tx.DeleteAnnotation(tx.g.Resource(a.Resource).Annotation(a.Name))
		o.must(row.Delete, a)
	case 17:
		if len(v.memberships) == 0 {
			return false
		}
		m := pick(w, v.memberships)
		m.Admin = !m.Admin
		tx.SetAdmin(tx.g.Membership(m.Role, m.Member, m.Ownership), m.Admin)
		o.must(row.Update, m)
	case 18:
		if len(v.memberships) == 0 {
			return false
		}
		m := pick(w, v.memberships)
		tx.DeleteMembership(tx.g.Membership(m.Role, m.Member, m.Ownership))
		o.must(row.Delete, m)
	case 19:
		if len(v.permissions) == 0 {
			return false
		}
		p := pick(w, v.permissions)
		tx.DeletePermission(tx.g.Permission(p.Resource, p.Role, p.Privilege))
		o.must(row.Delete, p)
	case 20, 21:
		if !isResource {
			return false
		}
		owner := pick(w, v.roles)
		tx.SetOwner(node, tx.g.Role(owner.ID))
		o.setOwner(x, owner.ID)
	case 22:
		if !isRole {
			return false
		}
		tx.DeleteRole(tx.g.Role(id))
		o.remove([]ident.ID{id}, nil)
	case 23:
		if !isResource {
			return false
		}
		tx.DeleteResource(node)
		o.remove(nil, []ident.ID{id})
	case 24:
		tx.DeleteRecord(id)
		o.removeRecord(id)
	case 25:
		if w.Intn(8) > 0 {
			return false
		}
		account := pick(w, accountNames)
		tx.DeleteAccount(account)
		o.removeAccount(account)
	}
	return true
}

// other makes one random change to what a Tx does not plan: accounts, signing keys,
// credentials, values, policy versions and tokens.
func (w *world) other(o *oracle) (c row.Change, ok bool) {
	v := o.view()
	digest := sha256.Sum256([]byte{byte(w.Intn(20))})
	var r row.Row
	switch w.Intn(9) {
	case 0:
		r = row.Account{Name: pick(w, accountNames), CreatedAt: w.now()}
	case 1:
		r = row.SigningKey{Account: pick(w, accountNames), KeyID: fmt.Sprint(w.Intn(5)), Sealed: []byte{byte(w.Intn(9))}, CreatedAt: w.now()}
	case 2, 3:
		if len(v.roles) == 0 {
			return c, false
		}
		id := pick(w, v.roles).ID
		r = []row.Row{
			row.APIKey{Role: id, Digest: digest, Sealed: []byte("sealed"), RotatedAt: w.now()},
			row.Password{Role: id, Sealed: []byte{byte(w.Intn(9))}, ChangedAt: w.now()},
			row.Restriction{Role: id, Networks: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", w.Intn(9)))}},
		}[w.Intn(3)]
	case 4:
		if len(v.keys) == 0 {
			return c, false
		}
		id := pick(w, v.keys).Role
		r = []row.Row{
			row.StagedKey{Role: id, Digest: digest, Sealed: []byte("sealed"), LapsesAt: w.now()},
			row.OldKey{Role: id, Digest: digest, ValidUntil: w.now()},
			row.KeyUse{Role: id, UsedAt: w.now()},
		}[w.Intn(3)]
	default:
		if len(v.resources) == 0 {
			return c, false
		}
		id := pick(w, v.resources).ID
		expires := []time.Time{{}, w.now()}[w.Intn(2)]
		r = []row.Row{
			row.Secret{Resource: id, Version: 1 + w.Intn(5), Sealed: []byte("sealed"), CreatedAt: w.now(), ExpiresAt: expires},
			row.PolicyVersion{Policy: id, Version: 1 + w.Intn(5), Role: "a:user:x", Text: "- !user x"},
			row.HostFactoryToken{Digest: digest, Factory: id, Sealed: []byte{byte(w.Intn(9))}, ExpiresAt: expires},
			row.Authenticator{Resource: id, Enabled: w.Intn(2) == 0},
		}[w.Intn(4)]
	}
	c.Op, c.Row = row.Insert, r
	if old, taken := o.rows[keyOf(r)]; taken {
		c.Op = row.Delete
		if w.Intn(2) == 0 {
			c.Op = row.Update
			// A row keeps its place: what belongs to its identity is not updated.
			switch r := r.(type) {
			case row.HostFactoryToken:
				r.Factory = old.(row.HostFactoryToken).Factory
				c.Row = r
			case row.SigningKey:
				r.CreatedAt = old.(row.SigningKey).CreatedAt
				c.Row = r
			}
		}
	}
	return c, o.apply(c) == nil
}
