package core

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
)

// Enrolled is a host as its enrolment leaves it. Key is empty if the host does not
// authenticate with an API key.
type Enrolled struct {
	Host ResourceView
	Key  secret.Bytes
}

// FactoryCaller is the host factory that speaks through whoever holds one of its
// tokens. What is wrong with the token is for the audit only.
func (c *Core) FactoryCaller(_ context.Context, o Origin, token secret.Bytes) (Caller, error) {
	caller := Caller{Origin: o, proof: byFactoryToken, keyDigest: sha256.Sum256(token.Reveal())}
	c.mu.RLock()
	t, err := c.factoryToken(caller)
	if t != nil {
		caller.Role = t.Factory.ID
	}
	c.mu.RUnlock()
	if err != nil {
		return Caller{}, c.decided(err, c.by(caller).HostFactoryHost("", err))
	}
	return caller, nil
}

// factoryToken finds the token that a caller has shown, if it is good here and now.
// The caller of this holds the graph.
func (c *Core) factoryToken(caller Caller) (*rbac.FactoryToken, error) {
	t := c.graph.Token(caller.keyDigest)
	switch {
	case caller.proof != byFactoryToken || t == nil || t.Factory.Role == nil:
		return nil, refused("the host factory token is unknown")
	case !t.ExpiresAt.After(c.clock()):
		return t, refused("the host factory token has expired")
	case !within(t.Networks, caller.IP):
		return t, refused("CONJ00003E the host factory token is not good for the current origin")
	}
	return t, nil
}

// EnrolHost makes a host that belongs to the caller, which is a host factory, and to
// the layers that the factory is for. A host that the factory has made before gets a
// new API key and is left as it is otherwise. The id stands for itself: it is not
// beneath the factory's branch.
func (c *Core) EnrolHost(ctx context.Context, caller Caller, identifier string, annotations Annotations) (Enrolled, error) {
	host := ident.New(caller.Role.Account(), "host", identifier)
	var enrolled Enrolled
	var changes []row.Change
	err := checkHostID(identifier)
	if err == nil && len(annotations) > policy.MaxAnnotations {
		err = fault.New(fault.Argument, "Invalid value for parameter 'annotations': there are %d, at most %d are allowed", len(annotations), policy.MaxAnnotations)
	}
	for _, a := range annotations {
		if flaw := policy.AnnotationFlaw(a.Name, a.Value); flaw != "" && err == nil {
			err = fault.New(fault.Argument, "%s", flaw)
		}
	}
	if err == nil {
		err = c.retry(func() (once error) {
			if c.exists(host) {
				enrolled, once = c.reenrol(ctx, caller, host)
				return once
			}
			enrolled, changes, once = c.enrol(ctx, caller, host, annotations)
			return once
		})
	}
	records := []*audit.Record{c.by(caller).HostFactoryHost(host, err)}
	if err == nil {
		records = append(records, policyRecords(c.by(caller), "", 0, changes)...)
	}
	if failed := c.record(records...); failed != nil {
		return Enrolled{}, failed
	}
	return enrolled, err
}

func checkHostID(identifier string) error {
	switch {
	case strings.HasPrefix(identifier, "conjur/") || strings.HasPrefix(identifier, "/conjur/"):
		return fault.New(fault.Argument, "Invalid id: %s", identifier)
	case len(identifier) > policy.MaxIdentifier:
		return fault.New(fault.Argument, "Invalid id: it has %d bytes, at most %d are allowed", len(identifier), policy.MaxIdentifier)
	}
	return nil
}

func (c *Core) exists(id ident.ID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.graph.Role(id) != nil || c.graph.Resource(id) != nil
}

func (c *Core) enrol(ctx context.Context, caller Caller, host ident.ID, annotations Annotations) (Enrolled, []row.Change, error) {
	var login *string
	if i := slices.IndexFunc(annotations, func(a Annotation) bool { return a.Name == policy.APIKeyAnnotation }); i >= 0 {
		login = &annotations[i].Value
	}
	keyed, err := policy.HostGetsKey(login, c.config.APIKeyDefault)
	if err != nil {
		return Enrolled{}, nil, err
	}
	var enrolled Enrolled
	changes, err := c.restructure(ctx, func(tx *rbac.Tx) error {
		t, err := c.factoryToken(caller)
		if err != nil {
			return err
		}
		if c.graph.Role(host) != nil || c.graph.Resource(host) != nil {
			return store.ErrChanged
		}
		factory := t.Factory
		x := insertRecord(tx, host, factory.ID, "", c.now(), annotations)
		for _, layer := range c.view(factory.Role, factory).Layers {
			tx.InsertMembership(row.Membership{Role: layer, Member: host})
		}
		enrolled.Host = c.view(factory.Role, x)
		return nil
	}, func(set *row.Set) (err error) {
		if keyed {
			enrolled.Key, err = c.addKey(set, host)
		}
		return err
	})
	return enrolled, changes, err
}

// reenrol gives a host of the factory a new API key.
func (c *Core) reenrol(ctx context.Context, caller Caller, host ident.ID) (Enrolled, error) {
	enrolled, keyless, err := c.enrolledBy(caller, host)
	if err != nil {
		return Enrolled{}, err
	}
	if !keyless {
		done, err := c.rotateOnce(ctx, caller, host, succession{form: row.KeyImmediate})
		enrolled.Key = done.key
		return enrolled, err
	}
	var login *string
	if i := slices.IndexFunc(enrolled.Host.Annotations, func(a row.Annotation) bool { return a.Name == policy.APIKeyAnnotation }); i >= 0 {
		login = &enrolled.Host.Annotations[i].Value
	}
	if keyed, err := policy.HostGetsKey(login, c.config.APIKeyDefault); err != nil || !keyed {
		return enrolled, err
	}
	set := &row.Set{Require: []row.Condition{row.RoleExists{Role: host}}}
	if enrolled.Key, err = c.addKey(set, host); err != nil {
		return Enrolled{}, err
	}
	return enrolled, c.commit(ctx, set)
}

// addKey adds a first API key of a role to a set.
func (c *Core) addKey(set *row.Set, id ident.ID) (secret.Bytes, error) {
	key, fresh, err := c.newKey(id, c.now())
	if err == nil {
		set.Add(row.Insert, fresh)
	}
	return key, err
}

// enrolledBy finds a host that the factory has made.
func (c *Core) enrolledBy(caller Caller, host ident.ID) (enrolled Enrolled, keyless bool, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t, err := c.factoryToken(caller)
	if err != nil {
		return Enrolled{}, false, err
	}
	x := c.graph.Resource(host)
	if x == nil || x.Role == nil || x.Owner != t.Factory.ID {
		return Enrolled{}, false, forbidden("%s exists and was not made by %s", host, t.Factory.ID)
	}
	return Enrolled{Host: c.view(t.Factory.Role, x)}, x.Role.Key == nil, nil
}
