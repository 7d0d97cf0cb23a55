package ssh

import (
	"context"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target"
)

// Rehearse is part of target.Rehearser: the file is looked at, and whether it could be
// replaced.
func (k *keyring) Rehearse(ctx context.Context, current target.Credential) (told bool, err error) {
	var present ssh.PublicKey
	if k.admin == nil {
		signer, err := k.signer(current)
		if err != nil {
			return false, err
		}
		present = signer.PublicKey()
	}
	session, err := k.enter(ctx, current)
	if err != nil {
		return false, err
	}
	defer session.Close()
	look := *k
	look.only = " look"
	err = look.edit(ctx, session, func(f authorizedKeys) (authorizedKeys, error) {
		if present != nil && !f.has(present) {
			return f, k.elsewhere()
		}
		return f, nil
	})
	if err != nil && target.ClassOf(err) == target.Uncertain {
		return false, target.Errorf(target.Unreachable, err, "%s: the file of keys cannot be looked at", k.server.address)
	}
	return true, err
}
