package core

import (
	"cmp"
	"context"
	"mime"
	"slices"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// StaticSecret is a variable whose value changes only when somebody sets it.
type StaticSecret struct {
	ID          ident.ID
	MimeType    string // "" for none in particular
	Annotations Annotations
}

// Branch is the path of the branch that it is in, "/" for root.
func (s StaticSecret) Branch() string { return Branch{ID: s.ID}.Parent() }

// Name is the last part of its path.
func (s StaticSecret) Name() string { return Branch{ID: s.ID}.Name() }

// Grant is what a role may do.
type Grant struct {
	Subject    Subject  `json:"subject"`
	Privileges []string `json:"privileges"`
}

// NewStaticSecret is a static secret to be made.
type NewStaticSecret struct {
	Name        string       `json:"name"`
	Parent      string       `json:"branch"`
	MimeType    string       `json:"mime_type,omitempty"`
	Value       secret.Bytes `json:"-"` // may be empty
	Annotations Annotations  `json:"annotations,omitempty"`
	Grants      []Grant      `json:"permissions,omitempty"`
}

const mimeTypeAnnotation = "conjur/mime_type"

var staticPrivileges = []string{"read", "execute", "update"}

// CreateStaticSecret makes a variable in a branch, on which the caller needs create,
// with its value and who may do what with it.
func (c *Core) CreateStaticSecret(ctx context.Context, caller Caller, account string, asked NewStaticSecret) (StaticSecret, error) {
	path := joinPath(branchPath(asked.Parent), asked.Name)
	created, changes, err := c.createStaticSecret(ctx, caller, account, path, asked)
	if err == nil && asked.Value.Len() > 0 {
		err = c.record(c.by(caller).Update(created.ID, nil))
	}
	return created, c.operated(caller, operation{"secret", audit.Create, "secret " + path, asked}, changes, err)
}

func (asked NewStaticSecret) check(path string) error {
	var f flaws
	f.name(asked.Name)
	f.branch(asked.Parent)
	if asked.MimeType != "" {
		if _, _, err := mime.ParseMediaType(asked.MimeType); err != nil {
			f.add("Mime type '%s' is not a media type", asked.MimeType)
		}
	}
	if asked.Value.Len() > LongestValue {
		f.add("Value is too long (maximum is %d bytes)", LongestValue)
	}
	for _, g := range asked.Grants {
		f.subject(g.Subject, "subject", "host", "user", "group", "layer", "policy")
		f.fits(g.Subject.ID)
		if len(g.Privileges) == 0 {
			f.add("Privileges can't be blank")
		}
		for _, p := range g.Privileges {
			if !slices.Contains(staticPrivileges, p) {
				f.add("Privilege '%s' is not a valid privilege", p)
			}
		}
	}
	f.annotations(asked.Annotations)
	if slices.ContainsFunc(asked.Annotations, func(a Annotation) bool { return a.Name == mimeTypeAnnotation }) && asked.MimeType != "" {
		f.add("Mime type is given twice")
	}
	f.fits(path)
	return f.err()
}

func (c *Core) createStaticSecret(ctx context.Context, caller Caller, account, path string, asked NewStaticSecret) (created StaticSecret, changes []row.Change, err error) {
	if err := asked.check(path); err != nil {
		return StaticSecret{}, nil, err
	}
	id := ident.New(account, "variable", path)
	annotations := asked.Annotations
	if asked.MimeType != "" {
		annotations = append(slices.Clip(annotations), Annotation{Name: mimeTypeAnnotation, Value: asked.MimeType})
	}
	changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
		parent, err := c.creatable(caller, account, branchPath(asked.Parent))
		if err != nil {
			return err
		}
		if c.graph.Resource(id) != nil {
			return &fault.Error{Kind: fault.Conflict, Message: `Secret "` + string(id) + `" already exists`, Target: "variable", ID: string(id)}
		}
		owner := parent.ID
		if owner == rootPolicy(account) {
			owner = admin(account)
		}
		if c.graph.Role(owner) == nil {
			return notFound(owner)
		}
		x := insertResource(tx, id, owner, parent.ID, c.now(), annotations)
		for _, g := range asked.Grants {
			r, err := c.visibleRole(caller, g.Subject.in(account))
			if err != nil {
				return err
			}
			for _, p := range g.Privileges {
				if c.graph.Permission(id, r.ID, p) == nil {
					tx.InsertPermission(row.Permission{Resource: id, Role: r.ID, Privilege: p, Policy: parent.ID})
				}
			}
		}
		created = staticSecretOf(x)
		return nil
	}, func(set *row.Set) error {
		if asked.Value.Len() == 0 {
			return nil
		}
		sealed, err := c.ring.Seal(asked.Value, aadSecret(id, 1))
		if err == nil {
			set.Add(row.Insert, row.Secret{Resource: id, Version: 1, Sealed: sealed, CreatedAt: c.now()})
		}
		return err
	})
	return created, changes, err
}

func staticSecretOf(x *rbac.Resource) StaticSecret {
	s := StaticSecret{ID: x.ID}
	for _, a := range x.Annotations {
		if a.Name == mimeTypeAnnotation {
			s.MimeType = a.Value
		} else {
			s.Annotations = append(s.Annotations, Annotation{Name: a.Name, Value: a.Value})
		}
	}
	return s
}

// StaticSecret describes a variable to a caller with read on it.
func (c *Core) StaticSecret(_ context.Context, caller Caller, account, path string) (found StaticSecret, err error) {
	id := Subject{"variable", path}.in(account)
	c.mu.RLock()
	x, err := c.permitted(caller, "read", id)
	if err == nil {
		found = staticSecretOf(x)
	}
	c.mu.RUnlock()
	err = hides(err, id)
	return found, c.operated(caller, operation{"secret", audit.Get, "secret " + id.Identifier(), nil}, nil, err)
}

// StaticSecretGrants tells who may do what with a variable, by kind and id of the role,
// to a caller with read on it.
func (c *Core) StaticSecretGrants(_ context.Context, caller Caller, account, path string) (grants []Grant, err error) {
	id := Subject{"variable", path}.in(account)
	c.mu.RLock()
	x, err := c.permitted(caller, "read", id)
	if err == nil {
		grants = grantsOn(x)
	}
	c.mu.RUnlock()
	err = hides(err, id)
	return grants, c.operated(caller, operation{"secret", audit.Get, "permissions of secret " + id.Identifier(), nil}, nil, err)
}

func grantsOn(x *rbac.Resource) []Grant {
	edges := slices.Clone(x.Permissions)
	slices.SortFunc(edges, func(a, b *rbac.Permission) int {
		return cmp.Or(cmp.Compare(a.Role.ID, b.Role.ID), cmp.Compare(a.Privilege, b.Privilege))
	})
	var grants []Grant
	for _, e := range edges {
		s := SubjectOf(e.Role.ID)
		if n := len(grants); n == 0 || grants[n-1].Subject != s {
			grants = append(grants, Grant{Subject: s})
		}
		last := &grants[len(grants)-1]
		last.Privileges = append(last.Privileges, e.Privilege)
	}
	return grants
}
