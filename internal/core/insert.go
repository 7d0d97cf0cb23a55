package core

import (
	"time"

	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// insertRecord adds a role and the resource of the same id, with annotations, as if
// the policy had declared them.
func insertRecord(tx *rbac.Tx, id, owner, policy ident.ID, now time.Time, annotations Annotations) *rbac.Resource {
	tx.InsertRole(row.Role{ID: id, CreatedAt: now, Policy: policy})
	return insertResource(tx, id, owner, policy, now, annotations)
}

// insertResource adds a resource without a role.
func insertResource(tx *rbac.Tx, id, owner, policy ident.ID, now time.Time, annotations Annotations) *rbac.Resource {
	x := tx.InsertResource(row.Resource{ID: id, Owner: owner, CreatedAt: now, Policy: policy})
	annotate(tx, x, policy, annotations)
	return x
}

// annotate adds annotations to a resource or replaces those of the same name.
func annotate(tx *rbac.Tx, x *rbac.Resource, policy ident.ID, annotations Annotations) {
	for _, a := range annotations {
		if old := x.Annotation(a.Name); old != nil {
			tx.SetAnnotation(old, a.Value)
		} else {
			tx.InsertAnnotation(row.Annotation{Resource: x.ID, Name: a.Name, Value: a.Value, Policy: policy})
		}
	}
}
