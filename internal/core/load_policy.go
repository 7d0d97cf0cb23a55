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
	"rekey/internal/store"
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
	if err := c.structure.enter(ctx); err != nil {
		return Loaded{}, nil, err
	}
	defer c.structure.leave()
	var l *load
	// Credentials and values do not wait for the structure, nor do other nodes, so rows
	// may change between the plan and its commit.
	err = c.replan(func() error {
		var once error
		if l, once = c.plan(caller, id, mode, document); once != nil {
			return once
		}
		if once = c.finish(ctx, l, caller, text); once != nil {
			return once
		}
		return c.commit(ctx, l.set)
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
	policy   *rbac.Resource
	base     int64                    // number of the change that it was planned on
	keys     map[ident.ID]*row.APIKey // of roles that lose theirs
	values   []latest                 // of planned.PublicKeys
	created  map[ident.ID]bool        // roles that the load creates
	networks map[ident.ID]bool        // roles that have a restriction now
	loads    []int                    // versions kept now
	hashes   map[ident.ID]*row.Password
	stays    bool // the policy is still there after the load
}

// plan computes what a load has to commit.
func (c *Core) plan(caller Caller, id ident.ID, mode policy.Mode, document *policy.Document) (*load, error) {
	return c.attempt(caller, id, mode, document, func(l *load) { l.note(c) })
}

// attempt makes the row changes of a load on the graph, lets look see the graph as it
// would be, and takes them back. Loads and rehearsals differ in nothing before this
// returns. The caller has entered the gate, so that nothing structural changes while
// this looks at the graph twice: resolving the text needs no lock.
func (c *Core) attempt(caller Caller, id ident.ID, mode policy.Mode, document *policy.Document, look func(*load)) (*load, error) {
	c.mu.RLock()
	x, err := c.mayLoad(caller, id, mode)
	base := c.reached
	c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	l := &load{now: c.now(), policy: x, base: base}
	if l.resolved, err = document.Resolve(policy.Scope{Account: id.Account(), Policy: id, Owner: x.Owner}); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.graph.Resource(id) != x {
		return nil, store.ErrChanged // by another node
	}
	l.loads = slices.Clone(x.Loads)
	tx := c.graph.Begin()
	defer tx.Rollback()
	var check func(map[string]string) []policy.Problem
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
	look(l)
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
