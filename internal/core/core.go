// Package core has the use cases: authorize -> plan -> commit -> audit. HTTP, the
// UI, rotation and local commands all go through here; nothing else decides who may
// do what.
//
// It promises: a change that was answered with success is durable; an answer reflects
// every change that was acknowledged before the request began; no secret leaves
// before its audit record has been written; a refused request changes nothing. It
// keeps the graph equal to the store: every change is a set that is committed first
// and applied then. It imports backup, policy, rbac, rotation, store, audit, seal, token,
// metrics and the rooms below.
package core

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/metrics"
	"rekey/internal/password"
	"rekey/internal/rbac"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
	"rekey/internal/token"
)

// Config is what an operator may set of the use cases' behaviour.
type Config struct {
	UserTokenTTL    time.Duration     // at most 5 h
	HostTokenTTL    time.Duration     // at most 5 h
	APIKeyDefault   bool              // hosts without annotation authn/api-key get a key; else they are refused
	EnforceKeyAge   bool              // keys older than annotation authn/api-key-max-age get no access tokens
	SecretVersions  int               // versions kept of a value
	PolicyVersions  int               // versions kept of a policy
	EffectiveDepth  int               // most levels of an effective policy
	EffectiveLimit  int               // most resources, annotations and permissions of an effective policy
	UsersInRootOnly bool              // users may only be created in the root policy
	Passwords       map[string]string // by user id: set whenever a policy that declares the user is loaded
	PasswordCost    int               // of bcrypt
	CacheBytes      int               // most memory for sealed values; 0 for the default
	Staleness       time.Duration     // how old answers may be where several nodes share a store; 0: not at all
	ReadOnly        bool              // nothing is changed; the store may be a replica
	Leader          string            // URL of a node that changes things, for the errors of one that does not; may be empty
}

// Default is what holds where the operator says nothing.
func Default() Config {
	return Config{
		UserTokenTTL:   8 * time.Minute,
		HostTokenTTL:   8 * time.Minute,
		APIKeyDefault:  true,
		SecretVersions: 20,
		PolicyVersions: 20,
		EffectiveDepth: 64,
		EffectiveLimit: 100_000,
		PasswordCost:   password.Cost,
		CacheBytes:     64 << 20,
	}
}

// Options are the dependencies of a Core. All are required.
type Options struct {
	Store   store.Store
	Audit   *audit.Log
	RootKey *seal.Root
	Config  Config
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	// Metrics may be nil: then nothing is counted.
	Metrics *metrics.Metrics
	// Targets may be nil: then no value rotates, and annotations about it are not checked.
	Targets *Targets
	// Hooks are told of rotations. Their names are distinct.
	Hooks []Hook
}

// Core is the one value behind all doors. It is safe for concurrent use.
type Core struct {
	store     store.Store
	committer *store.Committer
	root      *seal.Root
	ring      *seal.Keyring
	audit     *audit.Log
	config    Config
	passwords password.Hasher
	clock     func() time.Time
	rand      io.Reader
	log       *slog.Logger

	mu      sync.RWMutex // guards graph, line
	graph   *rbac.Graph
	line    []*flight // changes of the structure that are on their way, in their order
	reached int64     // number of the newest change of a shared store that the graph has; guarded by mu
	base    int64     // what reached was at the newest plan; guarded by the gate

	structure gate  // at most one planner of roles, resources and edges
	rows      locks // at most one writer of a secret or a credential

	targets *Targets
	alone   bool    // no other process has the store
	due     dueList // guarded by mu
	changes *changes
	metrics *metrics.Metrics

	hooks  []Hook
	hooked map[string]chan struct{} // by name: there is something new for it

	values    *values
	tokenKeys *token.Keys
	verifier  *token.Verifier
	signers   atomic.Pointer[map[string]*token.Key] // by account
	parsing   chan struct{}                         // bounds the policies that are parsed at once
	queued    atomic.Int64                          // password checks that run or wait
	bcrypt    chan struct{}                         // bounds the cores that password checks may take
	uses      *uses
	reminded  reminded

	background sync.WaitGroup
	ended      chan struct{} // closed by Close
}

// parses is how many policies may be parsed at once.
const parses = 2

// Open loads everything that the store has. A root key that is not the one by which
// the store was sealed is refused, by name.
func Open(ctx context.Context, o Options) (*Core, error) {
	values, err := newValues(o.Config.CacheBytes)
	if err != nil {
		return nil, err
	}
	c := &Core{
		store: o.Store, audit: o.Audit, config: o.Config, passwords: password.Hasher{Cost: o.Config.PasswordCost}, root: o.RootKey, clock: o.Now, rand: o.Rand, log: o.Log,
		graph:     rbac.New(),
		targets:   o.Targets,
		metrics:   o.Metrics,
		due:       newDueList(),
		changes:   newChanges(o.Now()),
		hooks:     o.Hooks,
		hooked:    map[string]chan struct{}{},
		structure: newGate(),
		values:    values,
		parsing:   make(chan struct{}, parses),
		bcrypt:    make(chan struct{}, passwordChecks),
		uses:      newUses(),
		ended:     make(chan struct{}),
	}
	_, c.alone = o.Store.(store.Exclusive)
	for _, hook := range o.Hooks {
		c.hooked[hook.Name] = make(chan struct{}, 1)
	}
	if err := c.loadStore(ctx); err != nil {
		return nil, fault.Wrap(err, "the store cannot be loaded")
	}
	c.committer.Observe(o.Metrics.Commit)
	if c.ring, err = openRing(ctx, o); err != nil {
		return nil, err
	}
	c.tokenKeys = &token.Keys{}
	c.verifier = token.NewVerifier(c.tokenKeys)
	if err := c.refreshSigners(); err != nil {
		return nil, err
	}
	if err := c.committer.CatchUp(ctx); err != nil { // loading takes its time
		return nil, err
	}
	c.RescheduleRotations()
	o.Metrics.Observe(c.census)
	c.background.Go(c.buildSearch)
	c.background.Go(c.writeUses)
	c.background.Go(c.follow)
	c.background.Go(c.beat)
	return c, nil
}

// Close ends all listeners and waits for running commits. The store stays open: it is the caller's.
func (c *Core) Close() error {
	c.changes.end()
	close(c.uses.ended)
	close(c.ended)
	c.background.Wait()
	c.committer.Close()
	return nil
}

// now is the time as rows keep it.
func (c *Core) now() time.Time { return c.clock().UTC().Truncate(time.Millisecond) }

// apply takes sets that have become durable into memory, before anybody is told.
func (c *Core) apply(sets []*row.Set) { c.take(store.Entry{Sets: sets}) }

// take is apply for what any process has stored.
func (c *Core) take(e store.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached = e.At.Number
	if e.At.Number > 0 {
		c.changes.reach(e.At)
	}
	signing, now := false, c.now()
	for _, set := range e.Sets {
		before := c.goodbyes(set, now)
		if err := c.graph.Apply(set); err != nil {
			// Answers from this graph would no longer be what is durable.
			panic("rekey: " + err.Error())
		}
		c.arrived(set)
		for _, change := range set.Changes {
			switch r := change.Row.(type) {
			case row.SigningKey, row.Account:
				signing = true
			case row.DataKey:
				if err := learn(c.root, c.ring, change.Op, r); err != nil {
					c.log.Error("a data key that another node has stored cannot be used", "id", r.ID, "error", err)
				}
			}
		}
		c.scheduleSet(set, now)
		c.tell(set, before, now)
		c.wakeHooks(set)
	}
	if signing {
		if err := c.refreshSigners(); err != nil {
			panic("rekey: " + err.Error())
		}
	}
}

// buildSearch makes the search index, beside the first requests. It is built from a
// graph that is only read; a change that slips in between makes it start again.
func (c *Core) buildSearch() {
	for {
		c.mu.RLock()
		graph := c.graph
		built := graph.NewSearch()
		c.mu.RUnlock()
		c.mu.Lock()
		done := c.graph == graph && graph.UseSearch(built)
		c.mu.Unlock()
		if done {
			return
		}
	}
}
