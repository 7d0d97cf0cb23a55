package azure

import (
	"cmp"
	"context"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// password is a client secret as Graph tells it (resource type passwordCredential).
type password struct {
	KeyID       string `json:"keyId,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	SecretText  string `json:"secretText,omitempty"`
	End         string `json:"endDateTime,omitempty"`
}

// Apply is part of target.Target: it has a secret made. Handed one that was, it only sees
// whether that is still there.
func (a *application) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	if err := a.check(current); err != nil {
		return nil, err
	}
	token, err := a.authorize(ctx, current)
	if err != nil {
		return nil, err
	}
	passwords, err := a.list(ctx, token)
	if err != nil {
		return nil, err
	}
	if next[target.Main].Len() > 0 {
		for _, p := range passwords {
			if strings.EqualFold(p.KeyID, next[KeyID].RevealString()) {
				return next, nil
			}
		}
		return nil, target.Errorf(target.Refused, nil, "the client secret is gone, and cannot be brought back")
	}
	name := next[mark].RevealString()
	for _, p := range passwords {
		// Its answer was lost: only this rotation knows such a name.
		if name != "" && p.DisplayName == name {
			if err := a.remove(ctx, token, p.KeyID); err != nil {
				return nil, cloud.Unchanged(err) // the secret that works is another one
			}
		}
	}
	var made password
	request := struct {
		Credential password `json:"passwordCredential"`
	}{password{DisplayName: cmp.Or(name, cloud.Agent)}}
	if a.lifetime > 0 {
		request.Credential.End = time.Now().Add(a.lifetime).UTC().Format(time.RFC3339)
	}
	if err := a.ask(ctx, token, "POST", "/addPassword", request, &made); err != nil {
		return nil, err
	}
	if !uuids.MatchString(made.KeyID) || made.SecretText == "" {
		return nil, target.Errorf(target.Uncertain, nil, "%s answers without a client secret", cloud.Address(a.graph))
	}
	return target.Credential{target.Main: secret.FromString(made.SecretText), KeyID: secret.FromString(made.KeyID), cloud.Fresh: secret.FromString("yes")}, nil
}

// Rehearse is part of target.Rehearser: who makes secrets logs in and lists those that are
// there. Whether another may be made, Graph does not tell.
func (a *application) Rehearse(ctx context.Context, current target.Credential) (told bool, err error) {
	if err := a.check(current); err != nil {
		return false, err
	}
	token, err := a.authorize(ctx, current)
	if err == nil {
		_, err = a.list(ctx, token)
	}
	return false, err
}

// check refuses what cannot be rotated, since nobody could tell what to remove later.
func (a *application) check(current target.Credential) error {
	if id := current[KeyID]; !uuids.MatchString(id.RevealString()) {
		return target.Errorf(target.Refused, nil, "variable %s does not hold the id of the client secret: set it (the portal calls it Secret ID)", KeyID)
	}
	return nil
}

// authorize is a token with which secrets can be changed.
func (a *application) authorize(ctx context.Context, current target.Credential) (secret.Bytes, error) {
	if a.admin == nil {
		return a.token(ctx, a.id, current[target.Main])
	}
	token, err := a.token(ctx, a.admin.id, a.admin.secret)
	if err != nil && target.ClassOf(err) == target.AuthFailed {
		// The administrator's secret says nothing about the rotated one.
		err = target.Errorf(target.Refused, err, "the administrator %s cannot log in: correct the variables that %s and %s name", a.admin.id, adminID, adminSecret)
	}
	return token, err
}

// Probe is part of target.Target.
func (a *application) Probe(ctx context.Context, c target.Credential) error {
	return cloud.Settle(ctx, c, func() error {
		_, err := a.token(ctx, a.id, c[target.Main])
		return err
	})
}

// Retire is part of target.Target.
func (a *application) Retire(ctx context.Context, current, old target.Credential) error {
	id := old[KeyID].RevealString()
	if id == "" || strings.EqualFold(id, current[KeyID].RevealString()) {
		return nil
	}
	// A secret that is new itself may not be known yet everywhere.
	return cloud.Settle(ctx, current, func() error {
		token, err := a.authorize(ctx, current)
		if err != nil {
			return err
		}
		passwords, err := a.list(ctx, token)
		if err != nil {
			return err
		}
		for _, p := range passwords {
			if strings.EqualFold(p.KeyID, id) {
				return a.remove(ctx, token, p.KeyID)
			}
		}
		return nil
	})
}
