package core

import (
	"bytes"
	"context"
	"slices"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// Mode is how a policy text changes what is there.
type Mode = policy.Mode

// The modes.
const (
	Add     = policy.Add     // create only
	Modify  = policy.Modify  // create, update, and remove what the text says
	Replace = policy.Replace // make the rows that the policy declared equal to the text
)

// Loaded is the result of a policy load.
type Loaded struct {
	Version  int
	Created  []CreatedRole // users and hosts that got an API key, in the order of the text
	Warnings []string
}

// CreatedRole is a user or host that a load has given an API key, or one that it has
// created without.
type CreatedRole struct {
	ID     ident.ID
	APIKey secret.Bytes // empty if it has none
}

// LoadPolicy loads a policy text into a policy. The caller needs create on it to add,
// update to modify or replace, and to replace update on everything beneath as well.
func (c *Core) LoadPolicy(ctx context.Context, caller Caller, id ident.ID, mode policy.Mode, text []byte) (Loaded, error) {
	loaded, changes, err := c.loadPolicy(ctx, caller, id, mode, text)
	if err != nil {
		return Loaded{}, c.decided(err, c.by(caller).PolicyLoadFailed(mode == policy.Add, err))
	}
	if err := c.record(policyRecords(c.by(caller), id, loaded.Version, changes)...); err != nil {
		return Loaded{}, err
	}
	return loaded, nil
}

func (c *Core) loadPolicy(ctx context.Context, caller Caller, id ident.ID, mode policy.Mode, text []byte) (Loaded, []row.Change, error) {
	document, err := c.readPolicy(caller, id, mode, text)
	if err != nil {
		return Loaded{}, nil, err
	}
	r := &reading{document: document}
	var l *load
	err = c.change(ctx, change{
		prepare: func() { c.prepare(r, id) },
		plan: func(tx *rbac.Tx) (once error) {
			if l, once = c.attempt(tx, caller, id, mode, r); once == nil {
				l.note(c)
			}
			return once
		},
		finish: func(onTop bool) (*row.Set, error) {
			err := c.finish(ctx, l, caller, text, onTop)
			return l.set, err
		},
	})
	if err != nil {
		return Loaded{}, nil, err
	}
	return l.loaded, l.changes, nil
}

// MayLoadPolicy decides, before a text is read from the network, whether LoadPolicy
// would be refused to the caller anyway. A refusal is audited as the load's.
func (c *Core) MayLoadPolicy(caller Caller, id ident.ID, mode policy.Mode) error {
	c.mu.RLock()
	_, err := c.mayLoad(caller, id, mode)
	c.mu.RUnlock()
	if err != nil {
		return c.decided(err, c.by(caller).PolicyLoadFailed(mode == policy.Add, err))
	}
	return nil
}

// readPolicy parses a text. Whoever may not load it learns nothing of its errors.
func (c *Core) readPolicy(caller Caller, id ident.ID, mode policy.Mode, text []byte) (*policy.Document, error) {
	c.mu.RLock()
	_, err := c.mayLoad(caller, id, mode)
	c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &fault.Error{Kind: fault.Validation, Target: "policy_text", Message: "is not present", Advice: "Send the policy as the body of the request."}
	}
	// A hostile text takes much more memory than its length while it is parsed.
	c.parsing <- struct{}{}
	defer func() { <-c.parsing }()
	return policy.Parse(text)
}

// mayLoad decides over a load. The caller of this holds the graph.
func (c *Core) mayLoad(caller Caller, id ident.ID, mode policy.Mode) (*rbac.Resource, error) {
	privilege := "update"
	if mode == policy.Add {
		privilege = "create"
	}
	x, err := c.permitted(caller, privilege, id)
	if err != nil || mode != policy.Replace || caller.operator {
		return x, err
	}
	return x, c.mayReplace(caller, id)
}

// mayReplace wants update on everything whose identifier is beneath the policy's, in
// the same account. Users do not stand beneath: their ids have another form.
func (c *Core) mayReplace(caller Caller, id ident.ID) error {
	r, err := c.role(caller)
	if err != nil {
		return err
	}
	for _, kind := range c.graph.Kinds(id.Account()) {
		c.graph.Ascend(string(ident.New(id.Account(), kind, id.Identifier()+"/")), func(x *rbac.Resource) bool {
			if !c.graph.Allowed(r, "update", x) {
				err = lacks(caller, "update", x.ID)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// load is a load under way.
type load struct {
	resolved *policy.Resolved
	planned  *policy.Planned
	set      *row.Set
	changes  []row.Change // of the structure, for the audit
	loaded   Loaded
	now      time.Time
	policy   ident.ID
	keys     map[ident.ID]*row.APIKey // of roles that lose theirs
	values   []latest                 // of planned.PublicKeys
	created  map[ident.ID]bool        // roles that the load creates
	networks map[ident.ID]bool        // roles that have a restriction now
	loads    []int                    // versions kept now
	hashes   map[ident.ID]*row.Password
	stays    bool // the policy is still there after the load
}

// reading is a policy text with the ids that it has for an owner of the loaded policy.
type reading struct {
	document *policy.Document
	owner    ident.ID
	resolved *policy.Resolved
	err      error
}

// resolve gives the text full ids, again only if the owner is another one.
func (r *reading) resolve(id, owner ident.ID) (*policy.Resolved, error) {
	if r.owner != owner {
		r.owner = owner
		r.resolved, r.err = r.document.Resolve(policy.Scope{Account: id.Account(), Policy: id, Owner: owner})
	}
	return r.resolved, r.err
}

// prepare resolves a text without holding the graph. The plan does it anew in the rare
// case that the owner is another one then.
func (c *Core) prepare(r *reading, id ident.ID) {
	var owner ident.ID
	c.mu.RLock()
	if x := c.graph.Resource(id); x != nil {
		owner = x.Owner
	}
	c.mu.RUnlock()
	if owner != "" {
		_, _ = r.resolve(id, owner) // it remembers the error
	}
}

// attempt makes the row changes of a load in a transaction. Loads and rehearsals differ
// in nothing before this returns.
func (c *Core) attempt(tx *rbac.Tx, caller Caller, id ident.ID, mode policy.Mode, r *reading) (*load, error) {
	x, err := c.mayLoad(caller, id, mode)
	if err != nil {
		return nil, err
	}
	l := &load{now: c.now(), policy: id, loads: slices.Clone(x.Loads)}
	if l.resolved, err = r.resolve(id, x.Owner); err != nil {
		return nil, err
	}
	var check func(string, map[string]string) []policy.Problem
	if c.targets != nil {
		check = c.checkRotation
	}
	l.planned, err = l.resolved.Plan(c.graph, tx, policy.Load{
		Mode: mode, Policy: id, Now: l.now,
		APIKeyDefault: c.config.APIKeyDefault, UsersInRootOnly: c.config.UsersInRootOnly,
		Check: check, Visible: c.sees(caller),
	})
	if err != nil {
		return nil, err
	}
	l.changes = tx.Changes()
	l.stays = c.graph.Resource(id) == x
	return l, nil
}

// note copies from the graph, as it will be, what the rest of the load needs.
func (l *load) note(c *Core) {
	l.created, l.keys, l.networks, l.hashes = map[ident.ID]bool{}, map[ident.ID]*row.APIKey{}, map[ident.ID]bool{}, map[ident.ID]*row.Password{}
	for _, change := range l.changes {
		if r, ok := change.Row.(row.Role); ok {
			l.created[r.ID] = change.Op == row.Insert
		}
	}
	for _, id := range l.planned.LostKeys {
		l.keys[id] = c.graph.Role(id).Key
	}
	for _, r := range l.planned.Restrictions {
		l.networks[r.Role] = len(c.graph.Role(r.Role).Networks) > 0
	}
	for _, k := range l.planned.PublicKeys {
		l.values = append(l.values, latestOf(c.graph.Resource(k.Resource)))
	}
	for _, id := range l.planned.Users {
		l.hashes[id] = c.graph.Role(id).Password
	}
}
