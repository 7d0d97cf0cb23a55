package core

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"time"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/token"
)

// longestTTL bounds the life of an access token.
const longestTTL = 5 * time.Hour

// passwordChecks is how many password checks, which are slow on purpose, may run at
// once: guessing must not take all cores from everybody else.
var passwordChecks = max(1, runtime.NumCPU()/2)

// passwordQueue is how many may wait for their turn: a guesser's crowd must not make
// everybody wait for minutes.
const passwordQueue = 64

// AuthenticateKey issues an access token, as JSON, to a role that shows its API key
// from a network where it may be. A staged key becomes the role's key before the token
// is issued. All refusals are the same Unauthenticated, but for a key that is right and
// too old: that is said.
func (c *Core) AuthenticateKey(ctx context.Context, o Origin, account, login string, key secret.Bytes) ([]byte, error) {
	account, login = claimed(account), claimed(login)
	id := ident.FromLogin(account, login)
	digest := apikey.Digest(key)
	c.mu.RLock()
	r := c.graph.Role(id)
	known := r != nil
	which := c.standing(r, digest)
	keyless := known && r.Key == nil
	var networks []netip.Prefix
	var unused, stale bool
	if known {
		networks = r.Networks
		unused = which == currentKey && c.unused(r)
		stale = which == currentKey && c.overdue(r)
	}
	c.mu.RUnlock()

	var err error
	switch {
	case !known:
		err = refused("CONJ00007E '%s' not found", id)
	case keyless:
		err = refused("CONJ00120E Role '%s' has no credentials", id)
	case which == noKey:
		err = c.wrongKey(o, id, key)
	case which == lapsedKey:
		err = c.refuseLapsed(ctx, o, id)
	case !within(networks, o.IP):
		err = refused("CONJ00003E User is not authorized to login from the current origin")
	case which == stagedKey:
		err = c.promote(ctx, o, id, key)
		unused = true
	case stale:
		err = c.complain(o, id)
	}
	if err == nil && unused {
		c.uses.note(id, c.clock())
	}
	var issued []byte
	if err == nil {
		issued, err = c.issue(id, account)
	}
	return answer(c, issued, err, c.from(o, knownRole(id, known)).Authenticate(id, "authn", webservice(account), err))
}

// longestLogin is more than any account or login name has, the kind in front included.
const longestLogin = policy.MaxIdentifier + 64

// claimed is the part of a name that is looked up and recorded: what is cut is nobody's
// name. Without a bound strangers could fill the disk of the audit.
func claimed(name string) string { return name[:min(len(name), longestLogin)] }

// issue signs an access token for a role.
func (c *Core) issue(id ident.ID, account string) ([]byte, error) {
	key, ok := (*c.signers.Load())[account]
	if !ok {
		return nil, refused("CONJ00008E Account '%s' is not defined in Conjur", account)
	}
	ttl := c.config.UserTokenTTL
	if id.Kind() == "host" {
		ttl = c.config.HostTokenTTL
	}
	return key.Issue(id.Login(), c.clock(), min(max(ttl, 0), longestTTL))
}

func refused(format string, args ...any) *fault.Error {
	return fault.New(fault.Unauthenticated, format, args...)
}

// wrongKey says in the log what costs people hours: a key that cannot be one.
func (c *Core) wrongKey(o Origin, id ident.ID, key secret.Bytes) error {
	if flaw := apikey.Flaw(key); flaw != "" {
		c.log.Warn("an API key was refused that cannot be one", "role", string(id), "hint", flaw, "ip", o.IP.String(), "request_id", o.RequestID)
	}
	return refused("CONJ00002E Invalid credentials")
}

func within(networks []netip.Prefix, ip netip.Addr) bool {
	if len(networks) == 0 {
		return true
	}
	ip = ip.Unmap()
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// Basic checks a login name with the role's password or an API key. A staged key becomes
// the role's key.
func (c *Core) Basic(ctx context.Context, o Origin, account, login string, proof secret.Bytes) (Caller, error) {
	account, login = claimed(account), claimed(login)
	id := ident.FromBasic(account, login)
	caller := Caller{Origin: o, Role: id}
	known, err := c.checkBasic(ctx, &caller, proof)
	return answer(c, caller, err, c.from(o, knownRole(id, known)).Login(id, "authn", webservice(account), err))
}

func (c *Core) checkBasic(ctx context.Context, caller *Caller, proof secret.Bytes) (known bool, err error) {
	digest := apikey.Digest(proof)
	c.mu.RLock()
	r := c.graph.Role(caller.Role)
	known = r != nil
	which := c.standing(r, digest)
	var keyless, unused bool
	var hash *row.Password
	if known {
		keyless, hash = r.Key == nil, r.Password
		unused = which == currentKey && c.unused(r)
	}
	c.mu.RUnlock()

	switch which {
	case lapsedKey:
		return known, c.refuseLapsed(ctx, caller.Origin, caller.Role)
	case stagedKey:
		if err := c.promote(ctx, caller.Origin, caller.Role, proof); err != nil {
			return known, err
		}
		unused = true
	}
	if which != noKey {
		if unused {
			c.uses.note(caller.Role, c.clock())
		}
		caller.proof, caller.keyDigest = byKey, digest
		return known, nil
	}
	// Only users have passwords, and no password looks like an API key. Whether the
	// user exists must not show in how long the answer takes.
	if caller.Role.Kind() == "user" && apikey.Flaw(proof) != "" {
		checked, err := c.checkPassword(ctx, hash, proof)
		if err == nil {
			caller.proof, caller.password = byPassword, checked
		}
		if !fault.Is(err, fault.Unauthenticated) {
			return known, err
		}
	}
	if known && keyless && hash == nil {
		return known, refused("CONJ00120E Role '%s' has no credentials", caller.Role)
	}
	return known, c.wrongKey(caller.Origin, caller.Role, proof)
}

// checkPassword compares a password with a sealed hash; nil is nobody's. It returns
// the sealed hash that is stored for the password now.
func (c *Core) checkPassword(ctx context.Context, hash *row.Password, proof secret.Bytes) ([]byte, error) {
	if c.queued.Add(1) > passwordQueue {
		c.queued.Add(-1)
		return nil, fault.New(fault.Unavailable, "too many passwords wait to be checked, try again later")
	}
	defer c.queued.Add(-1)
	select {
	case c.bcrypt <- struct{}{}:
		defer func() { <-c.bcrypt }()
	case <-ctx.Done():
		return nil, fault.Wrap(ctx.Err(), "the client has gone while its password waited to be checked")
	}
	if hash == nil {
		c.passwords.Burn(proof)
		return nil, refused("CONJ00002E Invalid credentials")
	}
	stored, err := c.ring.Open(hash.Sealed, aadPassword(hash.Role))
	if err != nil {
		return nil, err
	}
	ok, rehash := c.passwords.Verify(stored.RevealString(), proof)
	if !ok {
		return nil, refused("CONJ00002E Invalid credentials")
	}
	if rehash && !c.config.ReadOnly {
		return c.rehash(ctx, hash, proof), nil
	}
	return hash.Sealed, nil
}

// rehash replaces a hash of an older form, now that the password is known, and returns
// the sealed hash that is stored then. Failing to is no reason to refuse the login:
// the next one tries again.
func (c *Core) rehash(ctx context.Context, old *row.Password, proof secret.Bytes) []byte {
	set, err := c.passwordSet(old.Role, old, proof, old.ChangedAt)
	if err == nil {
		err = c.commit(ctx, set)
	}
	if err == nil {
		return set.Changes[0].Row.(row.Password).Sealed
	}
	if !errors.Is(err, store.ErrChanged) {
		c.log.Warn("a password could not be hashed anew", "role", string(old.Role), "error", err)
	}
	return old.Sealed
}

// Token verifies the access token of an Authorization header. present is false if
// there is none: no header, another scheme, or the JSON null.
func (c *Core) Token(o Origin, authorization string) (caller Caller, present bool, err error) {
	claims, err := c.verifier.Verify(authorization, c.clock(), o.IP)
	if err != nil {
		return Caller{}, !errors.Is(err, token.ErrMissing), err
	}
	return Caller{Origin: o, Role: claims.Role, IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt}, true, nil
}

// WhoAmI records that a caller asked who it is.
func (c *Core) WhoAmI(_ context.Context, caller Caller) error {
	c.mu.RLock()
	_, err := c.role(caller)
	c.mu.RUnlock()
	if err != nil {
		return err
	}
	return c.record(c.by(caller).Whoami())
}
