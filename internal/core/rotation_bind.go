package core

import (
	"context"
	"encoding/json"
	"strings"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// bind reads what the rotation of a variable needs, and makes its target. What the
// variable or its siblings lack is a problem of the rotation, not an error.
func (r *RotationRun) bind(ctx context.Context) error {
	c := r.c
	c.mu.RLock()
	x := c.graph.Resource(r.id)
	if x == nil || !rotates(x) {
		c.mu.RUnlock()
		return notRotated(r.id)
	}
	annotations := annotationsOf(x)
	r.run.Row, r.settings = c.rotationOf(x)
	c.mu.RUnlock()

	kind := c.targets.Kinds[r.settings.Rotator]
	switch {
	case kind == nil && r.settings.Rotator == "":
		r.problem = target.Errorf(target.Refused, nil, "the policy names no rotator any more, and the target may have a value that is not published: add rotation/rotator again and retry, or write the value that works and adopt it")
		return nil
	case kind == nil:
		r.problem = target.Errorf(target.Refused, nil, "this server has no rotator '%s'", r.settings.Rotator)
		return nil
	}
	siblings, err := contained(func() (target.Siblings, error) { return kind.Siblings(annotations), nil })
	if err != nil {
		r.problem = classified(err)
		return nil
	}
	r.names = map[string]ident.ID{target.Main: r.id}
	for _, name := range siblings.Writes {
		id, problem := r.sibling(name, "update")
		if r.problem = problem; problem != nil {
			return nil
		}
		r.names[name] = id
	}
	reads := map[string]ident.ID{}
	required := map[string]bool{}
	for _, name := range siblings.Reads {
		bare := strings.TrimSuffix(name, "?")
		id, problem := r.sibling(bare, "execute")
		if problem != nil && bare == name {
			r.problem = problem
			return nil
		}
		if problem == nil {
			reads[bare], required[bare] = id, bare == name
		}
	}
	if r.current, _, err = c.credentialOf(ctx, r.names); err != nil {
		return err
	}
	values, _, err := c.credentialOf(ctx, reads)
	if err != nil {
		return err
	}
	for name, id := range reads {
		if _, ok := values[name]; !ok && required[name] {
			r.problem = target.Errorf(target.Refused, nil, "variable '%s' has no value: write one", id.Identifier())
			return nil
		}
	}
	bound := target.Binding{Annotations: annotations, Values: values, Dial: c.targets.Dial, Rand: c.rand}
	r.target, err = contained(func() (target.Target, error) {
		t, err := kind.Bind(bound)
		if err == nil {
			r.identity = t.Identity()
			if resetter, ok := t.(target.Resetter); ok {
				r.resets = resetter.Resets()
			}
			r.surveyor, _ = t.(target.Surveyor)
		}
		return t, err
	})
	r.problem = classified(err)
	return nil
}

// sibling finds a variable that the rotation needs. One elsewhere in the account must be
// open to the owner of the rotated variable: otherwise whoever may declare a variable
// could have any secret sent to a target of their own.
func (r *RotationRun) sibling(name, privilege string) (ident.ID, *target.Error) {
	id, far := siblingID(r.id, name)
	r.c.mu.RLock()
	defer r.c.mu.RUnlock()
	x, rotated := r.c.graph.Resource(id), r.c.graph.Resource(r.id)
	if x == nil || rotated == nil {
		return id, target.Errorf(target.Refused, nil, "there is no variable '%s': declare it in the policy", id.Identifier())
	}
	if far && !r.c.graph.Allowed(rotated.OwnerNode, privilege, x) {
		return id, target.Errorf(target.Refused, nil, "%s, which owns the rotated variable, does not have '%s' on variable '%s'", rotated.Owner, privilege, id.Identifier())
	}
	return id, nil
}

// credentialOf reads the newest values of variables. What has no value is left out.
func (c *Core) credentialOf(ctx context.Context, names map[string]ident.ID) (target.Credential, map[string]latest, error) {
	versions := map[string]latest{}
	c.mu.RLock()
	for name, id := range names {
		if x := c.graph.Resource(id); x != nil {
			versions[name] = latestOf(x)
		}
	}
	c.mu.RUnlock()
	credential := target.Credential{}
	for name, at := range versions {
		if at.key.version == 0 {
			continue
		}
		value, err := c.open(ctx, names[name], at.key)
		if fault.Is(err, fault.NotFound) {
			continue // trimmed meanwhile; a newer one will make the commit fail
		}
		if err != nil {
			return nil, nil, err
		}
		credential[name] = value
	}
	return credential, versions, nil
}

// encodeCredential is the plaintext that is sealed.
func encodeCredential(credential target.Credential) secret.Bytes {
	plain := map[string][]byte{}
	for name, value := range credential {
		plain[name] = value.Reveal()
	}
	text, err := json.Marshal(plain)
	if err != nil {
		panic("a map of bytes cannot be written as JSON: " + err.Error()) // it always can
	}
	return secret.New(text)
}

func decodeCredential(text secret.Bytes) (target.Credential, error) {
	var plain map[string][]byte
	if err := json.Unmarshal(text.Reveal(), &plain); err != nil {
		return nil, fault.New(fault.Internal, "it is not what was sealed")
	}
	credential := target.Credential{}
	for name, value := range plain {
		credential[name] = secret.New(value)
	}
	return credential, nil
}
