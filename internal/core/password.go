package core

import (
	"context"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/password"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// ChangePassword gives a user that has proved itself with Basic credentials a new
// password. role is empty or names the caller itself: nobody changes another's.
func (c *Core) ChangePassword(ctx context.Context, caller Caller, account, role string, fresh secret.Bytes) error {
	err := c.changePassword(ctx, caller, account, role, fresh)
	return c.decided(err, c.by(caller).PasswordChange(err))
}

func (c *Core) changePassword(ctx context.Context, caller Caller, account, role string, fresh secret.Bytes) error {
	if role != "" {
		id, err := ident.Qualify(account, role)
		if err != nil {
			return err
		}
		c.mu.RLock()
		exists := c.mayAskFor(caller, id)
		c.mu.RUnlock()
		switch {
		case !exists:
			return noSuchRole(role, caller)
		case id != caller.Role:
			return refused("%s may not change the password of %s", caller.Role, id)
		}
	}
	switch {
	case caller.proof == byToken:
		weak := refused("Credential strength is insufficient")
		weak.Public = true
		return weak
	case caller.Role.Kind() != "user":
		return forbidden("CONJ00163E only users have passwords, %s is none", caller.Role)
	}
	return c.setPassword(ctx, caller.Role, fresh, func(set *row.Set) error {
		c.mu.RLock()
		defer c.mu.RUnlock()
		set.Require = append(set.Require, caller.proven()...)
		return c.mayChange(caller)
	})
}

// setPassword stores a password that obeys the rule, with more in the same set.
func (c *Core) setPassword(ctx context.Context, id ident.ID, fresh secret.Bytes, more func(*row.Set) error) error {
	if err := password.Check(fresh); err != nil {
		return err
	}
	return c.retry(func() error {
		defer c.rows.lock(id)()
		c.mu.RLock()
		r := c.graph.Role(id)
		var old *row.Password
		if r != nil {
			old = r.Password
		}
		c.mu.RUnlock()
		if r == nil {
			return notFound(id)
		}
		set, err := c.passwordSet(id, old, fresh, c.now())
		if err != nil {
			return err
		}
		if err := more(set); err != nil {
			return err
		}
		return c.commit(ctx, set)
	})
}

// passwordSet replaces a password, provided that it is still the old one; nil is none.
func (c *Core) passwordSet(id ident.ID, old *row.Password, fresh secret.Bytes, changedAt time.Time) (*row.Set, error) {
	hash, err := c.passwords.Hash(fresh)
	if err != nil {
		return nil, err
	}
	sealed, err := c.sealedText(hash, aadPassword(id))
	if err != nil {
		return nil, err
	}
	set := &row.Set{}
	if old != nil {
		set.Require = []row.Condition{row.PasswordIs{Role: id, Sealed: old.Sealed}}
		set.Add(row.Update, row.Password{Role: id, Sealed: sealed, ChangedAt: changedAt})
	} else {
		set.Require = []row.Condition{row.RoleExists{Role: id}}
		set.Add(row.Insert, row.Password{Role: id, Sealed: sealed, ChangedAt: changedAt})
	}
	return set, nil
}

// ResetPassword lets an operator give a user a new password; its API key is rotated
// in the same commit and returned.
func (c *Core) ResetPassword(ctx context.Context, caller Caller, id ident.ID, fresh secret.Bytes) (secret.Bytes, error) {
	var key secret.Bytes
	err := func() error {
		if !caller.operator {
			return forbidden("%s may not reset passwords", caller.Role)
		}
		c.mu.RLock()
		exists := c.mayAskFor(caller, id)
		c.mu.RUnlock()
		switch {
		case !exists:
			return notFound(id)
		case id.Kind() != "user":
			return fault.New(fault.Invalid, "only user passwords may be reset. '%s' is a '%s'.", id, id.Kind())
		}
		return c.setPassword(ctx, id, fresh, func(set *row.Set) error {
			var next row.APIKey
			var err error
			if key, next, err = c.newKey(id, c.now()); err != nil {
				return err
			}
			c.mu.RLock()
			held := keysOf(c.graph.Role(id))
			c.mu.RUnlock()
			if held.current == nil {
				set.Add(row.Insert, next)
				return nil
			}
			next.Form = row.KeyImmediate
			held.succeed(set, next, time.Time{})
			return nil
		})
	}()
	if failed := c.record(
		c.from(caller.Origin, id).PasswordChange(err),
		c.by(caller).APIKeyRotate(id, time.Time{}, err)); failed != nil {
		return secret.Bytes{}, failed
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return key, nil
}
