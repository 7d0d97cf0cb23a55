package core

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// FactoryToken is a host factory token. Token is empty for those who may neither
// make nor revoke tokens of the factory.
type FactoryToken struct {
	ExpiresAt time.Time
	Networks  []netip.Prefix
	Token     secret.Bytes

	sealed row.HostFactoryToken // to be opened; nil Sealed: not to be shown
}

// FactoryTokens is what a client asks for when it wants host factory tokens, as text.
type FactoryTokens struct {
	Factory    ident.ID
	Expiration string   // ISO 8601
	Count      *string  // a positive integer; nil for one
	Networks   []string // addresses and CIDR ranges from which the tokens are good; nil for all
}

// MostFactoryTokens is how many tokens one request can make.
const MostFactoryTokens = 1000

func aadFactoryToken(factory ident.ID, digest [32]byte) string {
	return "host-factory-token\x00" + string(factory) + "\x00" + string(digest[:])
}

// CreateFactoryTokens makes tokens that let their holders enrol hosts, by a caller
// with execute on the factory. Tokens of the factory that have expired are forgotten
// on this occasion.
func (c *Core) CreateFactoryTokens(ctx context.Context, caller Caller, asked FactoryTokens) ([]FactoryToken, error) {
	tokens, err := c.createFactoryTokens(ctx, caller, asked)
	return tokens, c.decided(err, c.by(caller).HostFactoryTokens(asked.Factory, len(tokens), asked.Expiration, asked.Networks, err))
}

func (c *Core) createFactoryTokens(ctx context.Context, caller Caller, asked FactoryTokens) ([]FactoryToken, error) {
	if err := c.mayMakeTokens(caller, asked.Factory); err != nil {
		return nil, err
	}
	if strings.TrimSpace(asked.Expiration) == "" {
		return nil, fault.New(fault.Argument, "expiration")
	}
	count, err := parseCount(asked.Count)
	if err != nil {
		return nil, err
	}
	expires, err := c.parseExpiration(asked.Expiration)
	if err != nil {
		return nil, err
	}
	networks := make([]netip.Prefix, len(asked.Networks))
	for i, text := range asked.Networks {
		if networks[i], err = policy.ParseNetwork(text); err != nil {
			return nil, err
		}
	}
	tokens := make([]FactoryToken, count)
	made := make([]row.HostFactoryToken, count)
	for i := range made {
		t := FactoryToken{ExpiresAt: expires, Networks: networks}
		if t.Token, err = apikey.New(c.rand); err != nil {
			return nil, err
		}
		r := row.HostFactoryToken{Digest: sha256.Sum256(t.Token.Reveal()), Factory: asked.Factory, Networks: networks, ExpiresAt: expires}
		if r.Sealed, err = c.ring.Seal(t.Token, aadFactoryToken(r.Factory, r.Digest)); err != nil {
			return nil, err
		}
		tokens[i], made[i] = t, r
	}
	return tokens, c.retry(func() error {
		defer c.rows.lock(asked.Factory)()
		set := &row.Set{Require: []row.Condition{row.ResourceExists{Resource: asked.Factory}}}
		if err := c.pruneTokens(set, asked.Factory); err != nil {
			return err
		}
		for _, r := range made {
			set.Add(row.Insert, r)
		}
		return c.commit(ctx, set)
	})
}

// mayMakeTokens decides over the tokens of what must be a host factory.
func (c *Core) mayMakeTokens(caller Caller, factory ident.ID) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, x, err := c.visible(caller, factory)
	switch {
	case err != nil:
		return err
	case factory.Kind() != "host_factory":
		return fault.New(fault.Argument, "Invalid resource kind: %s", factory.Kind())
	case !c.graph.Allowed(r, "execute", x):
		return lacks(caller, "execute", factory)
	}
	return nil
}

// pruneTokens adds to a set the removal of a factory's tokens that have expired.
func (c *Core) pruneTokens(set *row.Set, factory ident.ID) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	x := c.graph.Resource(factory)
	if x == nil {
		return notFound(factory)
	}
	now := c.clock()
	for _, t := range x.Tokens {
		if !t.ExpiresAt.After(now) {
			set.Add(row.Delete, row.HostFactoryToken{Digest: t.Digest, Factory: factory})
		}
	}
	return nil
}

func parseCount(text *string) (int, error) {
	if text == nil {
		return 1, nil
	}
	n, err := strconv.Atoi(*text)
	if err != nil || n < 1 || n > MostFactoryTokens {
		bad := fault.New(fault.Argument, "Invalid value for parameter 'count': %s", *text)
		bad.Advice = "Ask for 1 to " + strconv.Itoa(MostFactoryTokens) + " tokens at a time."
		return 0, bad
	}
	return n, nil
}

// RevokeFactoryToken makes a token worthless at once, by a caller with update on its
// factory.
func (c *Core) RevokeFactoryToken(ctx context.Context, caller Caller, token secret.Bytes) error {
	var factory ident.ID
	err := c.retry(func() (err error) {
		var set *row.Set
		if factory, set, err = c.planRevoke(caller, token); err != nil {
			return err
		}
		return c.commit(ctx, set)
	})
	recorded := err
	if factory == "" && err != nil {
		recorded = errNoSuchToken // without the token, which may be good elsewhere
	}
	return c.decided(err, c.by(caller).HostFactoryRevoke(factory, recorded))
}

var errNoSuchToken = fault.New(fault.NotFound, "there is no such host factory token")

func (c *Core) planRevoke(caller Caller, token secret.Bytes) (ident.ID, *row.Set, error) {
	digest := sha256.Sum256(token.Reveal())
	c.mu.RLock()
	defer c.mu.RUnlock()
	if _, err := c.role(caller); err != nil {
		return "", nil, err
	}
	t := c.graph.Token(digest)
	if t == nil {
		// The wire makes the message from the id, the log does not show it.
		return "", nil, &fault.Error{Kind: fault.NotFound, Target: "host_factory_token",
			ID: "*:host_factory_token:" + token.RevealString(), Log: errNoSuchToken.Message}
	}
	factory := t.Factory.ID
	if _, err := c.permitted(caller, "update", factory); err != nil {
		return factory, nil, err
	}
	set := &row.Set{}
	set.Add(row.Delete, row.HostFactoryToken{Digest: digest, Factory: factory})
	return factory, set, nil
}

// factoryTokens copies the tokens of a factory, the next to expire first. The
// plaintext goes only to those who could make or revoke tokens themselves. The caller
// holds the graph.
func (c *Core) factoryTokens(viewer *rbac.Role, x *rbac.Resource) []FactoryToken {
	if len(x.Tokens) == 0 {
		return nil
	}
	trusted := c.graph.Allowed(viewer, "update", x) || c.graph.Allowed(viewer, "execute", x)
	sorted := slices.Clone(x.Tokens)
	slices.SortFunc(sorted, func(a, b *rbac.FactoryToken) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), bytes.Compare(a.Digest[:], b.Digest[:]))
	})
	tokens := make([]FactoryToken, len(sorted))
	for i, t := range sorted {
		tokens[i] = FactoryToken{ExpiresAt: t.ExpiresAt, Networks: t.Networks}
		if trusted {
			tokens[i].sealed = t.HostFactoryToken
		}
	}
	return tokens
}

func (c *Core) openToken(t *FactoryToken) (err error) {
	if t.sealed.Sealed != nil {
		t.Token, err = c.ring.Open(t.sealed.Sealed, aadFactoryToken(t.sealed.Factory, t.sealed.Digest))
	}
	return err
}
