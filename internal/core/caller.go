package core

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/store"
)

// Origin is where a request comes from, for restrictions and for the audit.
type Origin struct {
	IP        netip.Addr // invalid for a local command
	RequestID string
	UserAgent string
	Path      string // of the request, where records name it; nothing secret is in it
}

// Caller is a role that has proved who it is, and how.
type Caller struct {
	Origin
	Role      ident.ID
	IssuedAt  time.Time // of the access token; zero if it says nothing, or for other proofs
	ExpiresAt time.Time // of the access token; zero for other proofs
	proof     proof
	keyDigest [32]byte // proof byKey, byFactoryToken: of what was shown
	password  []byte   // proof byPassword: the sealed hash that the password was checked against
	operator  bool
}

// proof is how a caller has proved who it is.
type proof int

const (
	byToken proof = iota
	byKey
	byPassword
	byFactoryToken // Role is the host factory
)

// proven is the condition that what the caller has shown is still what counts, for
// changes of its own credentials: nil for a token.
func (caller Caller) proven() []row.Condition {
	switch caller.proof {
	case byKey:
		return []row.Condition{row.KeyIs{Role: caller.Role, Digest: caller.keyDigest}}
	case byPassword:
		return []row.Condition{row.PasswordIs{Role: caller.Role, Sealed: caller.password}}
	}
	return nil
}

// stillProven refuses a caller whose key or password was replaced while its request
// was under way. Otherwise whoever has stolen one could win against its replacement by
// asking all the time. The caller of this holds the graph.
func (c *Core) stillProven(caller Caller) error {
	r := c.graph.Role(caller.Role)
	switch {
	case caller.proof == byKey && !c.accepted(r, caller.keyDigest):
		return refused("CONJ00002E Invalid credentials: the key was replaced while this request was under way")
	case caller.proof == byPassword && (r == nil || r.Password == nil || !bytes.Equal(r.Password.Sealed, caller.password)):
		return refused("CONJ00002E Invalid credentials: the password was replaced while this request was under way")
	}
	return nil
}

// mayChange is stillProven for changes of the caller's own credentials. A key that was
// replaced and goes on for a while makes none: whoever has it does not know the key
// that it would replace. The caller of this holds the graph.
func (c *Core) mayChange(caller Caller) error {
	if err := c.stillProven(caller); err != nil {
		return err
	}
	if caller.proof == byKey && c.standing(c.graph.Role(caller.Role), caller.keyDigest) == oldKey {
		e := refused("The API key was replaced. It still logs in for a while, but it changes no credentials")
		e.Public, e.Advice = true, "Log in with it to get the current key, and use that."
		return e
	}
	return nil
}

// Operator is the caller of local commands: whoever can open the data directory or
// its socket may do everything.
func Operator() Caller {
	return Caller{Role: "!:user:operator", operator: true}
}

// role finds the caller's role in the graph, which the caller of this holds. A token
// outlives its role by up to its lifetime; then it is worth nothing.
func (c *Core) role(caller Caller) (*rbac.Role, error) {
	// A token that is older than the role was given to another one of the same name.
	if r := c.graph.Role(caller.Role); r != nil && (caller.IssuedAt.IsZero() || !r.CreatedAt.Truncate(time.Second).After(caller.IssuedAt)) {
		return r, nil
	}
	return nil, &fault.Error{Kind: fault.Unauthenticated, Message: "CONJ00007E '" + string(caller.Role) + "' not found"}
}

// visible finds a resource that the caller sees. What it does not see does not exist.
func (c *Core) visible(caller Caller, id ident.ID) (*rbac.Role, *rbac.Resource, error) {
	r, err := c.role(caller)
	if err != nil {
		return nil, nil, err
	}
	x := c.graph.Resource(id)
	if x == nil {
		return r, nil, notFound(id)
	}
	if !c.graph.Visible(r, x) {
		hidden := notFound(id)
		hidden.Log = "it exists, but " + string(caller.Role) + " does not see it"
		return r, nil, hidden
	}
	return r, x, nil
}

// permitted finds a resource on which the caller has a privilege. An operator has all.
func (c *Core) permitted(caller Caller, privilege string, id ident.ID) (*rbac.Resource, error) {
	if caller.operator {
		if x := c.graph.Resource(id); x != nil {
			return x, nil
		}
		return nil, notFound(id)
	}
	r, x, err := c.visible(caller, id)
	if err != nil {
		return nil, err
	}
	if !c.graph.Allowed(r, privilege, x) {
		return x, lacks(caller, privilege, id)
	}
	return x, nil
}

// The faults that several use cases share. The messages of Forbidden and most of
// Unauthenticated are for the log: clients get a bare status.

func forbidden(format string, args ...any) *fault.Error {
	return fault.New(fault.Forbidden, format, args...)
}

func lacks(caller Caller, privilege string, id ident.ID) *fault.Error {
	return forbidden("CONJ00006E '%s' does not have '%s' privilege on %s", caller.Role, privilege, id)
}

func notFound(id ident.ID) *fault.Error {
	kind := id.Kind()
	shown := "Unknown kind"
	if kind != "" {
		shown = strings.ToUpper(kind[:1]) + strings.ToLower(kind[1:])
	}
	account := id.Account()
	if account == "" {
		account = "unknown account"
	}
	e := fault.New(fault.NotFound, "%s '%s' not found in account '%s'", shown, id.Identifier(), account)
	e.Target, e.ID = kind, string(id)
	return e
}

func noAccount(account string) *fault.Error {
	return notFound(ident.New(account, "user", "admin"))
}

// gone turns the store's "no such row" into what a request for a missing record says.
func (c *Core) gone(err error, missing *fault.Error, what string) error {
	if errors.Is(err, store.ErrNotFound) {
		return missing
	}
	return unavailable(err, what)
}

// unavailable is a store that does not answer.
func unavailable(err error, what string) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	return &fault.Error{Kind: fault.Unavailable, Message: "the store does not answer, try again later", Log: what + ": " + err.Error(), Cause: err}
}

// commit makes a set durable and applied. store.ErrChanged says that the caller has
// to look again.
func (c *Core) commit(ctx context.Context, set *row.Set) error {
	if err := c.writable(); err != nil {
		return err
	}
	if err := c.addNews(set); err != nil {
		return err
	}
	if err := c.committer.Submit(ctx, set); err != nil {
		if errors.Is(err, store.ErrChanged) {
			return err
		}
		return unavailable(err, "commit")
	}
	return nil
}

// attempts is how often a use case looks again when rows change under it.
const attempts = 8

// retryPatience is for how long it does where other nodes write the same rows, which it
// cannot lock.
const retryPatience = 5 * time.Second

// retry repeats a use case whose rows have changed since it read them.
func (c *Core) retry(once func() error) error {
	begun := time.Now()
	for n := 0; n < attempts || !c.alone && time.Since(begun) < retryPatience; n++ {
		if err := once(); !errors.Is(err, store.ErrChanged) {
			return err
		}
		if !c.alone && n > 1 { // so that not all nodes try again at the same moment
			time.Sleep(time.Duration(rand.IntN(min(n, 20))) * time.Millisecond)
		}
	}
	return errTooFast()
}

func errTooFast() error {
	return fault.New(fault.Conflict, "the record changes faster than this request can follow: try again")
}
