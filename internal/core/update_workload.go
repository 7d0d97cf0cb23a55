package core

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// WorkloadUpdate is what is to change of a workload; nil for what is not. Annotations
// are merged, the others replaced.
type WorkloadUpdate struct {
	Annotations Annotations       `json:"annotations,omitempty"`
	Descriptors []AuthnDescriptor `json:"authn_descriptors,omitempty"`
	Networks    *[]string         `json:"restricted_to,omitempty"`
	Source      *string           `json:"authentication_source,omitempty"`
}

// UpdateWorkload changes a host that the caller sees, in a branch on which it needs
// update; on a host that another policy has declared as well. A host that begins to log in with an API key gets one, one that ends to loses
// it.
func (c *Core) UpdateWorkload(ctx context.Context, caller Caller, account, path string, asked WorkloadUpdate) (Workload, error) {
	var f flaws
	f.ownAnnotations(asked.Annotations)
	if asked.Source != nil {
		f.annotationText("authentication_source", "value", *asked.Source)
	}
	if asked.Descriptors != nil {
		asked.Descriptors = f.descriptors(asked.Descriptors)
	}
	var networks []netip.Prefix
	if asked.Networks != nil {
		networks = f.networks(*asked.Networks)
	}
	return c.updateWorkload(ctx, caller, account, path, asked, f.err(), func(x *rbac.Resource, change *workloadChange) error {
		change.annotations = asked.Annotations
		if asked.Source != nil {
			change.annotations = append(slices.Clip(change.annotations), Annotation{Name: workloadSource, Value: *asked.Source})
		}
		change.descriptors = asked.Descriptors
		if change.restricts = asked.Networks != nil; change.restricts {
			change.networks = networks
		}
		return nil
	})
}

// UpdateAuthnDescriptor merges data into that of a descriptor of a workload, under the
// same conditions, and returns the descriptor.
func (c *Core) UpdateAuthnDescriptor(ctx context.Context, caller Caller, account, path string, asked AuthnDescriptor) (AuthnDescriptor, error) {
	var f flaws
	asked = f.descriptors([]AuthnDescriptor{asked})[0]
	same := func(d AuthnDescriptor) bool { return d.Type == asked.Type && d.Service == asked.Service }
	updated, err := c.updateWorkload(ctx, caller, account, path, asked, f.err(), func(x *rbac.Resource, change *workloadChange) error {
		change.descriptors = c.descriptorsOf(x)
		i := slices.IndexFunc(change.descriptors, same)
		if i < 0 {
			return fault.New(fault.NotFound, "Authn descriptor '%s/%s' not found in workload '%s'", asked.Type, asked.Service, x.ID.Identifier())
		}
		d := &change.descriptors[i]
		for _, a := range asked.Data {
			if at := slices.IndexFunc(d.Data, func(old Annotation) bool { return old.Name == a.Name }); at >= 0 {
				d.Data[at] = a
			} else {
				d.Data = append(d.Data, a)
			}
		}
		return nil
	})
	if err != nil {
		return AuthnDescriptor{}, err
	}
	return updated.Descriptors[slices.IndexFunc(updated.Descriptors, same)], nil
}

// workloadChange is what an update does to a host.
type workloadChange struct {
	annotations Annotations
	descriptors []AuthnDescriptor // nil: they stay
	networks    []netip.Prefix
	restricts   bool // networks replace those that are there
}

func (c *Core) updateWorkload(ctx context.Context, caller Caller, account, path string, asked any, flawed error, decide func(*rbac.Resource, *workloadChange) error) (Workload, error) {
	path = strings.TrimPrefix(path, "/")
	var updated Workload
	var changes []row.Change
	err := flawed
	if err == nil {
		var key *row.APIKey
		var wants, restricted bool
		var change workloadChange
		id := ident.New(account, "host", path)
		changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
			x, err := c.changeableWorkload(caller, account, path)
			if err != nil {
				return err
			}
			// What another policy has declared is for that one to change, as in a load: else
			// whoever may change a branch could log in as what others trust.
			if parent, _ := splitPath(path); x.Policy != ident.New(account, "policy", parent) {
				if _, err := c.permitted(caller, "update", x.ID); err != nil {
					return hides(err, workloadID(account, path))
				}
			}
			change = workloadChange{}
			if err := decide(x, &change); err != nil {
				return err
			}
			change.apply(tx, x)
			if err := boundedAnnotations(x); err != nil {
				return err
			}
			updated = c.workload(x)
			key, restricted = x.Role.Key, len(x.Role.Networks) > 0
			wants = slices.ContainsFunc(updated.Descriptors, func(d AuthnDescriptor) bool { return d.Type == apiKeyType })
			if change.restricts {
				updated.Networks = change.networks
			}
			return nil
		}, func(set *row.Set) (err error) {
			if change.restricts {
				restrict(set, row.Restriction{Role: id, Networks: change.networks}, restricted)
			}
			updated.Key = secret.Bytes{}
			switch {
			case change.descriptors == nil: // a key is as it was
			case wants && key == nil:
				updated.Key, err = c.addKey(set, id)
			case !wants && key != nil:
				set.Require = append(set.Require, row.KeyIs{Role: id, Digest: key.Digest})
				set.Add(row.Delete, row.APIKey{Role: id})
			}
			return err
		})
	}
	if err := c.operated(caller, operation{"workload", audit.Update, "workload " + path, asked}, changes, err); err != nil {
		return Workload{}, err
	}
	return updated, nil
}

func (change *workloadChange) apply(tx *rbac.Tx, x *rbac.Resource) {
	annotations := change.annotations
	if change.descriptors != nil {
		wanted := asAnnotations(change.descriptors)
		for _, a := range slices.Clone(x.Annotations) {
			if ofDescriptors(a.Name) && !slices.ContainsFunc(wanted, func(w Annotation) bool { return w.Name == a.Name }) {
				tx.DeleteAnnotation(a)
			}
		}
		annotations = slices.Concat(annotations, wanted)
	}
	annotate(tx, x, x.Policy, annotations)
}

// changeableWorkload finds a host that the caller sees, in a branch on which it has
// update. The caller of this holds the graph.
func (c *Core) changeableWorkload(caller Caller, account, path string) (*rbac.Resource, error) {
	parent, _ := splitPath(path)
	_, err := c.permitted(caller, "update", ident.New(account, "policy", parent))
	if err != nil {
		return nil, hides(err, workloadID(account, path))
	}
	_, x, err := c.visible(caller, ident.New(account, "host", path))
	if err != nil {
		return nil, hides(err, workloadID(account, path))
	}
	if x.Role == nil {
		return nil, notFound(workloadID(account, path))
	}
	return x, nil
}
