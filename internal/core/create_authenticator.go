package core

import (
	"context"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// NewAuthenticator is an authenticator to be made.
type NewAuthenticator struct {
	Type        string
	Name        string
	Enabled     bool
	Owner       *Subject       // nil: the policy that it is made in
	Data        map[string]any // as JSON has it; nil if there is none
	Annotations Annotations
}

// CreateAuthenticator makes an authenticator as a policy would: a policy in
// conjur/authn-TYPE, on which the caller needs create, with the webservice, its status,
// a group of operators and one of applications, and the settings.
func (c *Core) CreateAuthenticator(ctx context.Context, caller Caller, account string, asked NewAuthenticator) (Authenticator, error) {
	a, changes, err := c.createAuthenticator(ctx, caller, account, asked)
	body := map[string]any{"type": asked.Type, "name": asked.Name, "enabled": asked.Enabled}
	return a, c.operated(caller, operation{"authn-" + asked.Type, audit.Create, asked.Type + " " + asked.Name, body}, changes, err)
}

func (c *Core) createAuthenticator(ctx context.Context, caller Caller, account string, asked NewAuthenticator) (a Authenticator, changes []row.Change, err error) {
	t := authenticatorTypeOf(func(t *authenticatorType) bool { return t.name == asked.Type })
	if t == nil {
		return a, nil, fault.New(fault.Invalid, "'%s' authenticators are not supported.", asked.Type)
	}
	values, err := t.settings(asked.Data)
	if err != nil {
		return a, nil, err
	}
	if t.single() && asked.Name != onlyName {
		return a, nil, fault.New(fault.NotFound, "Webservice 'conjur/gcp/%s' not found in account '%s'", asked.Name, account)
	}
	var fresh []ident.ID // the variables of values
	changes, err = c.restructure(ctx, func(tx *rbac.Tx) error {
		parent := ident.New(account, "policy", authenticatorPrefix+t.suffix)
		if _, err := c.permitted(caller, "create", parent); err != nil {
			if fault.Is(err, fault.NotFound) {
				return fault.New(fault.NotFound, "%s not found in account %s", parent, account)
			}
			return err
		}
		owner := parent
		if asked.Owner != nil {
			owner = asked.Owner.in(account)
			if _, err := c.visibleRole(caller, owner); err != nil {
				if fault.Is(err, fault.NotFound) {
					return fault.New(fault.NotFound, "%s not found in account %s", owner, account)
				}
				return err
			}
		}
		p := plot{c: c, tx: tx, account: account, path: t.path(asked.Name), policy: parent}
		x, err := p.authenticator(t, owner, values, asked.Annotations)
		if err != nil {
			return err
		}
		fresh = p.variables
		a, _ = c.authenticator(c.graph.Role(x.Owner), t, asked.Name, x)
		a.Enabled, a.values = asked.Enabled, values
		return nil
	}, func(set *row.Set) error {
		set.Add(row.Insert, row.Authenticator{Resource: ident.New(account, "webservice", t.path(asked.Name)), Enabled: asked.Enabled})
		for _, id := range fresh {
			value := values[strings.TrimPrefix(id.Identifier(), t.path(asked.Name)+"/")]
			sealed, err := c.ring.Seal(value, aadSecret(id, 1))
			if err != nil {
				return err
			}
			set.Add(row.Insert, row.Secret{Resource: id, Version: 1, Sealed: sealed, CreatedAt: c.now()})
		}
		return nil
	})
	return a, changes, err
}

// plot is the place where an authenticator is being made.
type plot struct {
	c         *Core
	tx        *rbac.Tx
	account   string
	path      string
	policy    ident.ID // to which the rows belong
	variables []ident.ID
}

var errAuthenticatorExists = fault.New(fault.Conflict, "The authenticator already exists.")

// authenticator makes the records and returns the webservice.
func (p *plot) authenticator(t *authenticatorType, owner ident.ID, values map[string]secret.Bytes, annotations Annotations) (*rbac.Resource, error) {
	now := p.c.now()
	home := p.id("policy", "")
	if !t.single() {
		if p.taken(home) {
			return nil, errAuthenticatorExists
		}
		insertRecord(p.tx, home, owner, p.policy, now, nil)
	}
	web, status := p.id("webservice", ""), p.id("webservice", "/status")
	operators, apps := p.id("group", "/operators"), p.id("group", "/apps")
	for _, f := range t.all() {
		if _, ok := values[f.variable()]; ok {
			p.variables = append(p.variables, p.id("variable", "/"+f.variable()))
		}
	}
	for _, id := range append([]ident.ID{web, status, operators, apps}, p.variables...) {
		if p.taken(id) {
			return nil, errAuthenticatorExists
		}
	}
	insertRecord(p.tx, operators, home, p.policy, now, nil)
	insertRecord(p.tx, apps, home, p.policy, now, nil)
	x := insertResource(p.tx, web, home, p.policy, now, annotations)
	insertResource(p.tx, status, home, p.policy, now, nil)
	for _, id := range p.variables {
		insertResource(p.tx, id, home, p.policy, now, nil)
	}
	for _, permit := range []row.Permission{
		{Resource: web, Role: operators, Privilege: "read"}, {Resource: web, Role: apps, Privilege: "read"},
		{Resource: web, Role: apps, Privilege: "authenticate"}, {Resource: status, Role: operators, Privilege: "read"},
	} {
		permit.Policy = p.policy
		p.tx.InsertPermission(permit)
	}
	return x, nil
}

func (p *plot) id(kind, part string) ident.ID { return ident.New(p.account, kind, p.path+part) }

func (p *plot) taken(id ident.ID) bool {
	return p.c.graph.Role(id) != nil || p.c.graph.Resource(id) != nil
}
