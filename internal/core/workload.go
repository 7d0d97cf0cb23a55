package core

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// Workload is a host as the protocol's second version sees it.
type Workload struct {
	ID          ident.ID // of the host
	Owner       ident.ID
	Type        string // what it runs on, for people
	Source      string // where it says that it is authenticated; "" if it does not
	Descriptors []AuthnDescriptor
	Networks    []netip.Prefix // where it may authenticate from; empty: anywhere
	Annotations Annotations    // but for those that the above is kept in
	CreatedAt   time.Time
	Key         secret.Bytes // its API key if that was made just now
}

// Branch is the path of the branch that it is in, "/" for root.
func (w Workload) Branch() string { return Branch{ID: w.ID}.Parent() }

// Name is the last part of its path.
func (w Workload) Name() string { return Branch{ID: w.ID}.Name() }

// NewWorkload is a workload to be made.
type NewWorkload struct {
	Name        string            `json:"name"`
	Parent      string            `json:"branch"`
	Type        string            `json:"type,omitempty"`  // "": other
	Owner       *Subject          `json:"owner,omitempty"` // nil: the branch or, in root, the administrator
	Annotations Annotations       `json:"annotations,omitempty"`
	Descriptors []AuthnDescriptor `json:"authn_descriptors"`
	Networks    []string          `json:"restricted_to,omitempty"`
}

func workloadID(account, path string) ident.ID { return ident.New(account, "workload", path) }

// CreateWorkload makes a host in a branch, on which the caller needs create. It gets an
// API key if one of its descriptors says so. To log in with an authenticator it has to
// be a member of that one's group of applications, as any host has.
func (c *Core) CreateWorkload(ctx context.Context, caller Caller, account string, asked NewWorkload) (Workload, error) {
	path := joinPath(branchPath(asked.Parent), asked.Name)
	made, changes, err := c.createWorkload(ctx, caller, account, path, asked)
	if err := c.operated(caller, operation{"workload", audit.Create, "workload " + path, asked}, changes, err); err != nil {
		return Workload{}, err
	}
	return made, nil
}

func (c *Core) createWorkload(ctx context.Context, caller Caller, account, path string, asked NewWorkload) (made Workload, changes []row.Change, err error) {
	var f flaws
	f.name(asked.Name)
	f.branch(asked.Parent)
	if asked.Owner != nil {
		f.owner(*asked.Owner)
	}
	if asked.Type == "" {
		asked.Type = otherWorkloadType
	}
	f.annotationText("type", "value", asked.Type)
	f.ownAnnotations(asked.Annotations)
	descriptors := f.descriptors(asked.Descriptors)
	networks := f.networks(asked.Networks)
	f.fits(path)
	if err := f.err(); err != nil {
		return Workload{}, nil, err
	}
	annotations := slices.Concat(asked.Annotations, asAnnotations(descriptors), Annotations{{Name: workloadType, Value: asked.Type}})
	id := ident.New(account, "host", path)
	changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
		parent, err := c.creatable(caller, account, branchPath(asked.Parent))
		if err != nil {
			return err
		}
		if c.graph.Role(id) != nil || c.graph.Resource(id) != nil {
			shown := string(workloadID(account, path))
			return &fault.Error{Kind: fault.Conflict, Message: `Workload "` + shown + `" already exists`, Target: "workload", ID: shown}
		}
		owner := parent.ID
		if asked.Owner != nil {
			owner = asked.Owner.in(account)
			if !c.mayAskFor(caller, owner) {
				return notFound(owner)
			}
		} else if parent.ID == rootPolicy(account) {
			owner = admin(account)
		}
		x := insertRecord(tx, id, owner, parent.ID, c.now(), annotations)
		if err := boundedAnnotations(x); err != nil {
			return err
		}
		made = c.workload(x)
		made.Networks = networks
		return nil
	}, func(set *row.Set) (err error) {
		if len(networks) > 0 {
			set.Add(row.Insert, row.Restriction{Role: id, Networks: networks})
		}
		made.Key = secret.Bytes{}
		if slices.ContainsFunc(descriptors, func(d AuthnDescriptor) bool { return d.Type == apiKeyType }) {
			made.Key, err = c.addKey(set, id)
		}
		return err
	})
	return made, changes, err
}

// ownAnnotations checks annotations that are given beside what a workload is described
// with.
func (f *flaws) ownAnnotations(list Annotations) {
	f.annotations(list)
	for _, a := range list {
		if ofDescriptors(a.Name) || strings.HasPrefix(a.Name, workloadPrefix) {
			f.add("Annotation '%s' is set by the type, the authn_descriptors and the like of the workload", a.Name)
		}
		if flaw := policy.AnnotationFlaw(a.Name, a.Value); flaw != "" {
			f.add("%s", flaw)
		}
	}
}

func (f *flaws) networks(list []string) []netip.Prefix {
	networks := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		network, err := policy.ParseNetwork(text)
		if err != nil {
			f.add("%s", err.Error())
		} else if !slices.Contains(networks, network) {
			networks = append(networks, network)
		}
	}
	return networks
}

func boundedAnnotations(x *rbac.Resource) error {
	if len(x.Annotations) > policy.MaxAnnotations {
		return fault.New(fault.Invalid, "Annotations are too many (maximum is %d)", policy.MaxAnnotations)
	}
	return nil
}

// Workload shows a host to a caller with read on it.
func (c *Core) Workload(_ context.Context, caller Caller, account, path string) (found Workload, err error) {
	path = strings.TrimPrefix(path, "/")
	c.mu.RLock()
	x, err := c.permitted(caller, "read", ident.New(account, "host", path))
	if err == nil {
		found = c.workload(x)
	}
	c.mu.RUnlock()
	err = hides(err, workloadID(account, path))
	return found, c.operated(caller, operation{"workload", audit.Get, "workload " + path, nil}, nil, err)
}

// workload describes a host. The caller of this holds the graph.
func (c *Core) workload(x *rbac.Resource) Workload {
	w := Workload{ID: x.ID, Owner: x.Owner, Type: otherWorkloadType, Descriptors: c.descriptorsOf(x), CreatedAt: x.CreatedAt}
	if x.Role != nil {
		w.Networks = x.Role.Networks
	}
	for _, a := range x.Annotations {
		switch {
		case a.Name == workloadType:
			w.Type = a.Value
		case a.Name == workloadSource:
			w.Source = a.Value
		case !ofDescriptors(a.Name):
			w.Annotations = append(w.Annotations, Annotation{Name: a.Name, Value: a.Value})
		}
	}
	return w
}
