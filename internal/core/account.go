package core

import (
	"context"
	"regexp"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/password"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// The special account holds what guards accounts themselves: privileges on this
// resource say who may list (read), create (execute) and delete (update) them.
const (
	specialAccount   = "!"
	accountsResource = ident.ID("!:webservice:accounts")
	accountsOwner    = ident.ID("!:!:root")
)

func admin(account string) ident.ID      { return ident.New(account, "user", "admin") }
func rootPolicy(account string) ident.ID { return ident.New(account, "policy", "root") }

// mayAccounts decides over accounts; whoever lacks the privilege gets Forbidden, also
// where the resource does not exist yet.
func (c *Core) mayAccounts(caller Caller, privilege string) error {
	if caller.operator {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.role(caller)
	if err != nil {
		return err
	}
	if x := c.graph.Resource(accountsResource); x == nil || !c.graph.Allowed(r, privilege, x) {
		return lacks(caller, privilege, accountsResource)
	}
	return nil
}

// Accounts lists the accounts in the order of their creation.
func (c *Core) Accounts(_ context.Context, caller Caller) ([]string, error) {
	if err := c.mayAccounts(caller, "read"); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	names := []string{}
	for _, a := range c.graph.Accounts() {
		if a.Name != specialAccount {
			names = append(names, a.Name)
		}
	}
	return names, nil
}

// unfit finds the first character that an account name must not have.
var unfit = regexp.MustCompile(`[\s:[:cntrl:]]`)

func checkAccountName(name string) error {
	switch bad := unfit.FindString(name); {
	case name == "":
		return fault.New(fault.Argument, "account name is missing: give the new account an 'id'")
	case len(name) > 255:
		return fault.New(fault.Argument, "account name is too long: %d bytes, at most 255", len(name))
	case bad != "":
		return fault.New(fault.Argument, "account name %q contains invalid characters (%s)", name, bad)
	}
	for _, r := range name {
		if r == '/' {
			return fault.New(fault.Argument, "Invalid account: %s", name)
		}
	}
	return nil
}

// CreateAccount makes an account with its signing key, its administrator, who owns
// itself, and its root policy. It returns the administrator's API key. A role that
// creates an account (rather than an operator) becomes a member of the administrator.
func (c *Core) CreateAccount(ctx context.Context, caller Caller, name string, plain *secret.Bytes) (secret.Bytes, error) {
	key, err := c.createAccount(ctx, caller, name, plain)
	return answer(c, key, err, c.by(caller).AccountCreate(name, err))
}

func (c *Core) createAccount(ctx context.Context, caller Caller, name string, plain *secret.Bytes) (key secret.Bytes, err error) {
	if err := c.mayAccounts(caller, "execute"); err != nil {
		return key, err
	}
	if err := checkAccountName(name); err != nil {
		return key, err
	}
	if err := c.enterAlone(ctx); err != nil {
		return key, err
	}
	defer c.structure.leave()
	err = c.replan(func() (once error) {
		key, once = c.foundAccount(ctx, caller, name, plain)
		return once
	})
	return key, err
}

func (c *Core) foundAccount(ctx context.Context, caller Caller, name string, plain *secret.Bytes) (key secret.Bytes, err error) {
	c.mu.RLock()
	_, exists := c.graph.Account(name)
	_, special := c.graph.Account(specialAccount)
	set := &row.Set{Chained: true, Base: c.reached}
	c.mu.RUnlock()
	if exists || name == specialAccount {
		return key, &fault.Error{Kind: fault.Conflict, Message: `account "` + name + `" already exists`, Target: "account", ID: name}
	}
	now := c.afterAllAccounts()
	if !special {
		if err := c.addSpecialAccount(set, now); err != nil {
			return key, err
		}
	}
	signing, err := c.newSigningKey(name)
	if err != nil {
		return key, err
	}
	key, adminKey, err := c.newKey(admin(name), now)
	if err != nil {
		return key, err
	}
	set.Add(row.Insert, row.Account{Name: name, CreatedAt: now})
	set.Add(row.Insert, signing)
	addFoundations(set, name, now)
	if !caller.operator {
		set.Add(row.Insert, row.Membership{Role: admin(name), Member: caller.Role, Admin: true})
	}
	set.Add(row.Insert, adminKey)
	if plain != nil {
		if err := password.Check(*plain); err != nil {
			return key, err
		}
		first, err := c.passwordSet(admin(name), nil, *plain, now)
		if err != nil {
			return key, err
		}
		set.Changes = append(set.Changes, first.Changes...)
	}
	return key, c.commit(ctx, set)
}

// afterAllAccounts is now, or a little later where that is needed to keep accounts in
// the order of their creation: rows know milliseconds only.
func (c *Core) afterAllAccounts() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	now := c.now()
	if all := c.graph.Accounts(); len(all) > 0 {
		if last := all[len(all)-1].CreatedAt; !now.After(last) {
			return last.Add(time.Millisecond)
		}
	}
	return now
}

// addSpecialAccount makes the account that guards accounts. Its administrator holds
// the owner of the guard; it has no key until an operator retrieves one for it.
func (c *Core) addSpecialAccount(set *row.Set, now time.Time) error {
	signing, err := c.newSigningKey(specialAccount)
	if err != nil {
		return err
	}
	set.Add(row.Insert, row.Account{Name: specialAccount, CreatedAt: now})
	set.Add(row.Insert, signing)
	addFoundations(set, specialAccount, now)
	set.Add(row.Insert, row.Role{ID: accountsOwner, CreatedAt: now})
	set.Add(row.Insert, row.Membership{Role: accountsOwner, Member: admin(specialAccount), Admin: true})
	set.Add(row.Insert, row.Resource{ID: accountsResource, Owner: accountsOwner, CreatedAt: now})
	return nil
}

// addFoundations makes what every account stands on: its administrator, who owns
// itself, and the root policy.
func addFoundations(set *row.Set, account string, now time.Time) {
	set.Add(row.Insert, row.Role{ID: admin(account), CreatedAt: now})
	set.Add(row.Insert, row.Resource{ID: admin(account), Owner: admin(account), CreatedAt: now})
	set.Add(row.Insert, row.Membership{Role: admin(account), Member: admin(account), Ownership: true, Admin: true})
	set.Add(row.Insert, row.Role{ID: rootPolicy(account), CreatedAt: now})
	set.Add(row.Insert, row.Resource{ID: rootPolicy(account), Owner: admin(account), CreatedAt: now})
	set.Add(row.Insert, row.Membership{Role: rootPolicy(account), Member: admin(account), Ownership: true, Admin: true})
}

// DeleteAccount removes an account with everything in it. It can be created again,
// with new keys.
func (c *Core) DeleteAccount(ctx context.Context, caller Caller, name string) error {
	err := c.deleteAccount(ctx, caller, name)
	return c.decided(err, c.by(caller).AccountDelete(name, err))
}

func (c *Core) deleteAccount(ctx context.Context, caller Caller, name string) error {
	if err := c.mayAccounts(caller, "update"); err != nil {
		return err
	}
	if err := checkAccountName(name); err != nil {
		return err
	}
	if err := c.enterAlone(ctx); err != nil {
		return err
	}
	defer c.structure.leave()
	return c.replan(func() error { return c.razeAccount(ctx, name) })
}

func (c *Core) razeAccount(ctx context.Context, name string) error {
	c.mu.Lock()
	_, exists := c.graph.Account(name)
	var set *row.Set
	var lost []row.Rotation
	if exists && name != specialAccount {
		tx := c.graph.Begin()
		tx.DeleteAccount(name)
		set = &row.Set{Changes: tx.Changes(), Chained: true, Base: c.reached}
		tx.Rollback()
		lost = c.losing(set)
	}
	c.mu.Unlock()
	if set == nil {
		missing := fault.New(fault.NotFound, "Account '%s' not found", name)
		missing.Target, missing.ID = "account", name
		return missing
	}
	set.Add(row.Delete, row.Account{Name: name})
	if err := c.commit(ctx, set); err != nil {
		return err
	}
	return c.givenUp(lost)
}
