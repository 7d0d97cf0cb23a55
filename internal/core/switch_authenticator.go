package core

import (
	"context"
	"slices"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
)

// EnableAuthenticator enables or disables an authenticator, by a caller with update on
// its webservice.
func (c *Core) EnableAuthenticator(ctx context.Context, caller Caller, account, suffix, name string, enabled bool) (Authenticator, error) {
	shown := "authn-" + suffix + "/" + name
	var a Authenticator
	var settings []sealedSetting
	err := noAuthenticator(account, shown)
	if t := authenticatorTypeOf(func(t *authenticatorType) bool { return t.suffix == suffix }); t != nil && (!t.single() || name == onlyName) {
		id := ident.New(account, "webservice", t.path(name))
		err = c.setSwitch(ctx, id, enabled, func(x *rbac.Resource) error {
			if x == nil {
				return noAuthenticator(account, shown)
			}
			r, err := c.role(caller)
			if err != nil {
				return err
			}
			if !c.graph.Allowed(r, "update", x) {
				return lacks(caller, "update", id)
			}
			a, settings = c.authenticator(r, t, name, x)
			return nil
		})
		a.Enabled = enabled
	}
	if err == nil {
		err = c.reveal(ctx, caller, &a, settings)
	}
	return a, c.operated(caller, operation{"authn-" + suffix, audit.Enable, "authn-" + suffix + " " + name, map[string]bool{"enabled": enabled}}, nil, err)
}

// SwitchAuthenticator is EnableAuthenticator as the first version of the protocol has
// it: by the name of the authenticator, such as authn-jwt, and the service in it, if
// any. What does not exist is Unauthenticated.
func (c *Core) SwitchAuthenticator(ctx context.Context, caller Caller, account, authenticator, service string, enabled bool) error {
	identifier := "conjur/" + authenticator
	if service != "" {
		identifier += "/" + service
	}
	id := ident.New(account, "webservice", identifier)
	err := c.setSwitch(ctx, id, enabled, func(x *rbac.Resource) error {
		_, known := c.graph.Account(account)
		switch {
		case !known:
			return refused("CONJ00008E Account '%s' is not defined in Conjur", account)
		case x == nil:
			return refused("CONJ00005E Webservice '%s' not found", identifier)
		case !isAuthenticator(identifier):
			return refused("CONJ00001E Authenticator '%s' is not implemented in Conjur", authenticator+"/"+service)
		}
		r, err := c.role(caller)
		if err != nil {
			return err
		}
		if !c.graph.Allowed(r, "update", x) {
			return lacks(caller, "update", id)
		}
		return nil
	})
	return c.decided(err, c.by(caller).AuthenticatorSwitch(authenticator, id, err))
}

// isAuthenticator tells whether a webservice has the form conjur/authn-TYPE or
// conjur/authn-TYPE/SERVICE.
func isAuthenticator(identifier string) bool {
	rest, ok := strings.CutPrefix(identifier, authenticatorPrefix)
	return ok && rest != "" && strings.Count(rest, "/") < 2 && !strings.HasSuffix(rest, "/status")
}

// setSwitch enables or disables a webservice, which may be missing, if decide lets it.
func (c *Core) setSwitch(ctx context.Context, id ident.ID, enabled bool, decide func(*rbac.Resource) error) error {
	return c.retry(func() error {
		defer c.rows.lock(id)()
		c.mu.RLock()
		x := c.graph.Resource(id)
		err := decide(x)
		op := row.Insert
		if err == nil && x.Switch != nil {
			op = row.Update
		}
		same := op == row.Update && x.Switch.Enabled == enabled
		c.mu.RUnlock()
		if err != nil || same {
			return err
		}
		set := &row.Set{}
		set.Add(op, row.Authenticator{Resource: id, Enabled: enabled})
		return c.commit(ctx, set)
	})
}

// installed are the authenticators that this program has.
var installed = []string{"authn"}

// AuthenticatorNames tells which authenticators there are, which have been set up in
// some account, and which of those are enabled, each sorted.
func (c *Core) AuthenticatorNames(context.Context) (have, configured, enabled []string) {
	configured, enabled = []string{"authn"}, []string{"authn"}
	c.mu.RLock()
	for _, account := range c.graph.Accounts() {
		c.graph.Ascend(string(ident.New(account.Name, "webservice", authenticatorPrefix)), func(x *rbac.Resource) bool {
			if identifier := x.ID.Identifier(); isAuthenticator(identifier) {
				name := strings.TrimPrefix(identifier, "conjur/")
				configured = append(configured, name)
				if x.Switch != nil && x.Switch.Enabled {
					enabled = append(enabled, name)
				}
			}
			return true
		})
	}
	c.mu.RUnlock()
	slices.Sort(configured)
	slices.Sort(enabled)
	return installed, slices.Compact(configured), slices.Compact(enabled)
}
