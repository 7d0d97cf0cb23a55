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

// Ascend visits the resources whose id starts with a prefix, in byte order, until
// visit returns false.
func (g *Graph) Ascend(prefix string, visit func(*Resource) bool) {
	g.from(prefix, func(x *Resource) bool {
		return strings.HasPrefix(string(x.ID), prefix) && visit(x)
	})
}

// Kinds returns the kinds of resources that an account has, in byte order. It takes a
// step for each kind, not for each resource.
func (g *Graph) Kinds(account string) []string {
	var kinds []string
	for end, start := account+":", account+":"; ; {
		var next ident.ID
		g.from(start, func(x *Resource) bool {
			next = x.ID
			return false
		})
		if !strings.HasPrefix(string(next), end) {
			return kinds
		}
		kinds = append(kinds, next.Kind())
		start = end + next.Kind() + ";" // ';' follows ':'
	}
}

// from visits the resources from an id on.
func (g *Graph) from(id string, visit func(*Resource) bool) {
	first := &Resource{}
	first.ID = ident.ID(id)
	g.ordered.Ascend(first, visit)
}
