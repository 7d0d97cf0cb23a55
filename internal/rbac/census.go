package rbac

import (
	"maps"

	"rekey/internal/ident"
)

// census counts things by the kinds of their ids.
type census map[string]int

func (k census) add(id ident.ID, n int) {
	kind := id.Kind()
	if k[kind] += n; k[kind] == 0 {
		delete(k, kind)
	}
}

// Census counts the roles and the resources of all accounts, by kind.
func (g *Graph) Census() (roles, resources map[string]int) {
	return maps.Clone(g.roleKinds), maps.Clone(g.resourceKinds)
}
