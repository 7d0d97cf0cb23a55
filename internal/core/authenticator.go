package core

import (
	"context"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/secret"
)

// Authenticator is a way to log in other than by API key, as an account has set it up.
type Authenticator struct {
	Type        string // jwt, oidc, ...
	Branch      string // path of the policy that it is in
	Name        string
	Enabled     bool
	Owner       ident.ID
	Annotations Annotations

	kind   *authenticatorType
	values map[string]secret.Bytes // by variable
}

// Data reveals the settings that its viewer may read, in the form of JSON; nil if the
// type has none.
func (a Authenticator) Data() map[string]any { return a.kind.data(a.values) }

const authenticatorPrefix = "conjur/authn-"

// parseAuthenticator reads the identifier of a webservice.
func parseAuthenticator(identifier string) (t *authenticatorType, name string) {
	rest, ok := strings.CutPrefix(identifier, authenticatorPrefix)
	suffix, name, named := strings.Cut(rest, "/")
	if !ok {
		return nil, ""
	}
	t = authenticatorTypeOf(func(t *authenticatorType) bool { return t.suffix == suffix })
	switch {
	case t == nil || t.single() == named || strings.Contains(name, "/"):
		return nil, ""
	case t.single():
		name = onlyName
	}
	return t, name
}

// sealedSetting is a setting whose value is still sealed.
type sealedSetting struct {
	id  ident.ID
	key valueKey
}

// authenticator copies what a role may know of an authenticator. The caller holds the
// graph.
func (c *Core) authenticator(viewer *rbac.Role, t *authenticatorType, name string, x *rbac.Resource) (Authenticator, []sealedSetting) {
	a := Authenticator{Type: t.name, Branch: authenticatorPrefix + t.suffix, Name: name, Owner: x.Owner,
		Enabled: x.Switch != nil && x.Switch.Enabled, Annotations: branchOf(x).Annotations, kind: t, values: map[string]secret.Bytes{}}
	var settings []sealedSetting
	for _, f := range t.all() {
		id := ident.New(x.ID.Account(), "variable", x.ID.Identifier()+"/"+f.variable())
		v := c.graph.Resource(id)
		if v == nil || !c.graph.Allowed(viewer, "execute", v) {
			continue
		}
		if a.values[f.variable()] = (secret.Bytes{}); v.Latest() > 0 {
			settings = append(settings, sealedSetting{id, valueKey{v.Serial, v.Latest()}})
		}
	}
	return a, settings
}

// reveal opens the settings of an authenticator, each of which is a secret that is
// fetched.
func (c *Core) reveal(ctx context.Context, caller Caller, a *Authenticator, settings []sealedSetting) error {
	var records []*audit.Record
	for _, s := range settings {
		value, err := c.open(ctx, s.id, s.key)
		if err != nil {
			return err
		}
		prefix := a.kind.path(a.Name) + "/"
		a.values[strings.TrimPrefix(s.id.Identifier(), prefix)] = value
		records = append(records, c.by(caller).Fetch(s.id, 0, nil))
	}
	if len(records) == 0 {
		return nil
	}
	return c.record(records...)
}

func noAuthenticator(account, name string) error {
	return fault.New(fault.NotFound, "Authenticator: %s not found in account '%s'", name, account)
}

// Authenticator shows an authenticator to a caller that sees its webservice. The type
// is the one of its id: iam, not aws.
func (c *Core) Authenticator(ctx context.Context, caller Caller, account, suffix, name string) (Authenticator, error) {
	a, settings, err := c.visibleAuthenticator(caller, account, suffix, name)
	if err == nil {
		err = c.reveal(ctx, caller, &a, settings)
	}
	return a, c.operated(caller, operation{"authn-" + suffix, audit.Get, "authn-" + suffix + " " + name, nil}, nil, err)
}

func (c *Core) visibleAuthenticator(caller Caller, account, suffix, name string) (Authenticator, []sealedSetting, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t := authenticatorTypeOf(func(t *authenticatorType) bool { return t.suffix == suffix })
	if t == nil || t.single() && name != onlyName || strings.Contains(name, "/") {
		return Authenticator{}, nil, noAuthenticator(account, name)
	}
	r, x, err := c.visible(caller, ident.New(account, "webservice", t.path(name)))
	if fault.Is(err, fault.NotFound) {
		return Authenticator{}, nil, noAuthenticator(account, name)
	}
	if err != nil {
		return Authenticator{}, nil, err
	}
	a, settings := c.authenticator(r, t, name, x)
	return a, settings, nil
}

// Authenticators lists the authenticators of an account that a caller sees, in the
// order of their ids, and counts them all. The type is that of ids; "" for all. Limit
// 0 is none.
func (c *Core) Authenticators(ctx context.Context, caller Caller, account, suffix string, offset, limit int) (page []Authenticator, count int, err error) {
	page, sealed, count, err := c.authenticators(caller, account, suffix, offset, limit)
	for i := range page {
		if err == nil {
			err = c.reveal(ctx, caller, &page[i], sealed[i])
		}
	}
	return page, count, c.operated(caller, operation{"authenticators", audit.List, "authenticators", nil}, nil, err)
}

func (c *Core) authenticators(caller Caller, account, suffix string, offset, limit int) (page []Authenticator, sealed [][]sealedSetting, count int, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, err := c.role(caller)
	if err != nil {
		return nil, nil, 0, err
	}
	c.graph.Ascend(string(ident.New(account, "webservice", authenticatorPrefix)), func(x *rbac.Resource) bool {
		t, name := parseAuthenticator(x.ID.Identifier())
		if t == nil || suffix != "" && t.suffix != suffix || !c.graph.Visible(r, x) {
			return true
		}
		if count >= offset && (limit == 0 || len(page) < limit) {
			a, settings := c.authenticator(r, t, name, x)
			page, sealed = append(page, a), append(sealed, settings)
		}
		count++
		return true
	})
	return page, sealed, count, nil
}
