package rbac

import (
	"slices"
	"strings"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// Account returns an account.
func (g *Graph) Account(name string) (row.Account, bool) {
	a, ok := g.accounts[name]
	return a, ok
}

// Accounts returns all accounts in the order of their creation.
func (g *Graph) Accounts() []row.Account {
	all := make([]row.Account, 0, len(g.accounts))
	for _, a := range g.accounts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b row.Account) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}

// SigningKeys returns the signing keys of an account, oldest first. Do not change
// the result.
func (g *Graph) SigningKeys(account string) []row.SigningKey { return g.keys[account] }

// DeleteAccount removes every role and resource of an account. Whatever roles of
// other accounts owned or held there goes as well.
func (t *Tx) DeleteAccount(name string) {
	var resources []*Resource
	t.g.Ascend(name+":", func(x *Resource) bool {
		resources = append(resources, x)
		return true
	})
	for _, x := range resources {
		t.DeleteResource(x)
	}
	// Roles have no order of their own, because nothing but this asks for it.
	var roles []*Role
	for id, r := range t.g.roles {
		if id.Account() == name {
			roles = append(roles, r)
		}
	}
	slices.SortFunc(roles, func(a, b *Role) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, r := range roles {
		t.DeleteRole(r)
	}
}

// Ascend visits the resources whose id starts with a prefix, in byte order, until
// visit returns false.
func (g *Graph) Ascend(prefix string, visit func(*Resource) bool) {
	from := &Resource{}
	from.ID = ident.ID(prefix)
	g.ordered.Ascend(from, func(x *Resource) bool {
		return strings.HasPrefix(string(x.ID), prefix) && visit(x)
	})
}

// Kinds returns the kinds of resources that an account has, in byte order. It takes a
// step for each kind, not for each resource.
func (g *Graph) Kinds(account string) []string {
	var kinds []string
	from, end := &Resource{}, account+":"
	from.ID = ident.ID(end)
	for {
		var next *Resource
		g.ordered.Ascend(from, func(x *Resource) bool {
			next = x
			return false
		})
		if next == nil || !strings.HasPrefix(string(next.ID), end) {
			return kinds
		}
		kind := next.ID.Kind()
		kinds = append(kinds, kind)
		from = &Resource{}
		from.ID = ident.ID(end + kind + ";") // ';' follows ':'
	}
}
