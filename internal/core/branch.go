package core

import (
	"context"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// Branch is a policy as a place for other things.
type Branch struct {
	ID          ident.ID // of the policy
	Owner       ident.ID
	Annotations Annotations // by name
}

// Name is the last part of the branch's path.
func (b Branch) Name() string {
	_, name := splitPath(b.ID.Identifier())
	return name
}

// Parent is the path of the branch that it is in, "/" for the root policy.
func (b Branch) Parent() string {
	parent, _ := splitPath(b.ID.Identifier())
	if parent == "root" {
		return "/"
	}
	return parent
}

// splitPath takes the last name off a path; what is in no other branch is in root.
func splitPath(path string) (parent, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "root", path
}

// branchPath is the identifier that a client means: a leading slash does not count,
// and nothing at all is root.
func branchPath(path string) string {
	if path = strings.TrimPrefix(path, "/"); path == "" {
		return "root"
	}
	return path
}

func joinPath(parent, name string) string {
	if parent == "root" {
		return name
	}
	return parent + "/" + name
}

func noBranch(account, path string) *fault.Error {
	return notFound(ident.New(account, "branch", path))
}

// NewBranch is a branch to be made.
type NewBranch struct {
	Name        string      `json:"name"`
	Parent      string      `json:"branch"`
	Owner       *Subject    `json:"owner,omitempty"` // nil: the parent or, in root, the administrator
	Annotations Annotations `json:"annotations,omitempty"`
}

// CreateBranch makes a branch in another one, on which the caller needs create.
func (c *Core) CreateBranch(ctx context.Context, caller Caller, account string, asked NewBranch) (Branch, error) {
	path := joinPath(branchPath(asked.Parent), asked.Name)
	created, changes, err := c.createBranch(ctx, caller, account, path, asked)
	return created, c.operated(caller, operation{"branch", audit.Create, "branch " + path, asked}, changes, err)
}

func (c *Core) createBranch(ctx context.Context, caller Caller, account, path string, asked NewBranch) (created Branch, changes []row.Change, err error) {
	var f flaws
	f.name(asked.Name)
	f.branch(asked.Parent)
	if asked.Owner != nil {
		f.owner(*asked.Owner)
	}
	f.annotations(asked.Annotations)
	f.fits(path)
	if err := f.err(); err != nil {
		return Branch{}, nil, err
	}
	changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
		parent, err := c.creatable(caller, account, branchPath(asked.Parent))
		if err != nil {
			return err
		}
		id := ident.New(account, "policy", path)
		if c.graph.Role(id) != nil || c.graph.Resource(id) != nil {
			shown := string(ident.New(account, "branch", path))
			return &fault.Error{Kind: fault.Conflict, Message: `Branch "` + shown + `" already exists`, Target: "branch", ID: shown}
		}
		owner := parent.ID
		if asked.Owner != nil {
			owner = asked.Owner.in(account)
		} else if parent.ID == rootPolicy(account) {
			owner = admin(account)
		}
		if c.graph.Role(owner) == nil {
			return notFound(owner)
		}
		if missing := c.missingBranch(account, path); missing != "" {
			return noBranch(account, missing)
		}
		created = branchOf(insertRecord(tx, id, owner, parent.ID, c.now(), asked.Annotations))
		return nil
	})
	return created, changes, err
}

func (f *flaws) owner(s Subject) {
	f.subject(s, "owner", "host", "user", "group", "policy")
	f.fits(s.ID)
}

// creatable finds a branch in which the caller may make something. The caller of this
// holds the graph.
func (c *Core) creatable(caller Caller, account, path string) (*rbac.Resource, error) {
	x, err := c.permitted(caller, "create", ident.New(account, "policy", path))
	return x, hides(err, ident.New(account, "branch", path))
}

// missingBranch is the path of a branch in which something would have to be and which
// does not exist, "" if there is none.
func (c *Core) missingBranch(account, path string) string {
	for path != "root" {
		if path, _ = splitPath(path); c.graph.Resource(ident.New(account, "policy", path)) == nil {
			return path
		}
	}
	return ""
}

// Branch shows a branch to a caller with read on it.
func (c *Core) Branch(_ context.Context, caller Caller, account, path string) (Branch, error) {
	path = branchPath(path)
	b, err := c.branch(caller, account, path)
	return b, c.operated(caller, operation{"branch", audit.Get, "branch " + path, nil}, nil, err)
}

func (c *Core) branch(caller Caller, account, path string) (Branch, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	x, err := c.readableBranch(caller, account, path)
	if err != nil {
		return Branch{}, err
	}
	return branchOf(x), nil
}

func (c *Core) readableBranch(caller Caller, account, path string) (*rbac.Resource, error) {
	x, err := c.permitted(caller, "read", ident.New(account, "policy", path))
	if err != nil {
		return nil, hides(err, ident.New(account, "branch", path))
	}
	if missing := c.missingBranch(account, path); missing != "" {
		return nil, noBranch(account, missing)
	}
	return x, nil
}

func branchOf(x *rbac.Resource) Branch {
	b := Branch{ID: x.ID, Owner: x.Owner}
	for _, a := range x.Annotations {
		b.Annotations = append(b.Annotations, Annotation{Name: a.Name, Value: a.Value})
	}
	return b
}

// Branches lists the branches, except root, that a caller may read, in the order of
// their ids, and counts how many there are in all.
func (c *Core) Branches(_ context.Context, caller Caller, account string, offset, limit int) (page []Branch, count int, err error) {
	page, count, err = c.branches(caller, account, offset, limit)
	return page, count, c.operated(caller, operation{"branch", audit.List, "branches", nil}, nil, err)
}

func (c *Core) branches(caller Caller, account string, offset, limit int) (page []Branch, count int, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	viewer, err := c.role(caller)
	if err != nil {
		return nil, 0, err
	}
	root := rootPolicy(account)
	c.graph.List(viewer, rbac.Query{Account: account, Kind: "policy"}, func(x *rbac.Resource) bool {
		if x.ID != root && c.graph.Allowed(viewer, "read", x) && c.missingBranch(account, x.ID.Identifier()) == "" {
			if count >= offset && len(page) < limit {
				page = append(page, branchOf(x))
			}
			count++
		}
		return true
	})
	return page, count, nil
}

// BranchUpdate is what is to change of a branch.
type BranchUpdate struct {
	Owner       *Subject    `json:"owner,omitempty"`       // nil: it stays
	Annotations Annotations `json:"annotations,omitempty"` // added or replaced, never removed
}

// UpdateBranch changes a branch, on which the caller needs read and update.
func (c *Core) UpdateBranch(ctx context.Context, caller Caller, account, path string, asked BranchUpdate) (Branch, error) {
	path = branchPath(path)
	updated, changes, err := c.updateBranch(ctx, caller, account, path, asked)
	return updated, c.operated(caller, operation{"branch", audit.Update, "branch " + path, asked}, changes, err)
}

func (c *Core) updateBranch(ctx context.Context, caller Caller, account, path string, asked BranchUpdate) (updated Branch, changes []row.Change, err error) {
	var f flaws
	if asked.Owner != nil {
		f.owner(*asked.Owner)
	}
	f.annotations(asked.Annotations)
	if err := f.err(); err != nil {
		return Branch{}, nil, err
	}
	changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
		x, err := c.readableBranch(caller, account, path)
		if err == nil {
			_, err = c.permitted(caller, "update", x.ID)
			err = hides(err, ident.New(account, "branch", path))
		}
		if err != nil {
			return err
		}
		if asked.Owner != nil {
			owner := c.graph.Role(asked.Owner.in(account))
			if owner == nil {
				return notFound(asked.Owner.in(account))
			}
			tx.SetOwner(x, owner)
		}
		annotate(tx, x, x.Policy, asked.Annotations)
		if err := boundedAnnotations(x); err != nil {
			return err
		}
		updated = branchOf(x)
		return nil
	})
	return updated, changes, err
}
