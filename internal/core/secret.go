package core

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rbac"
	"rekey/internal/rotation"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// Value is a secret's value as it is handed out.
type Value struct {
	Value    secret.Bytes
	MimeType string // of annotation conjur/mime_type, else application/octet-stream
	Version  int
	Tag      string    // names this version among all that there ever were; tells nothing of the value
	Held     bool      // the caller has it already, so Value is empty
	Rotation *Rotating // nil if the variable does not rotate
}

// Rotating is what a reader of a value is told of its rotation.
type Rotating struct {
	LastSuccess time.Time // when the value was rotated; zero: never
	Next        time.Time // when it will be; zero: not before something changes
	Now         bool      // it is being replaced: it may be another one soon
	Awaited     bool      // it is the newest, and the old one waits for the reader to acknowledge it here
}

// LongestValue is the most bytes that a value may have.
const LongestValue = 20 << 20

func emptyVariable(id ident.ID) *fault.Error {
	return fault.New(fault.NotFound, "CONJ00076E Variable %s is empty or not found.", id)
}

// Secret reads a version of a value; 0 is the newest. What the caller does not see,
// and what has no value, is the same NotFound.
func (c *Core) Secret(ctx context.Context, caller Caller, id ident.ID, version int) (Value, error) {
	return c.SecretUnless(ctx, caller, id, version, nil)
}

// SecretUnless is Secret, but for a caller that has the value already, as held tells by
// the tags of what would be read. It is decided as every read. But as no secret leaves,
// only a refusal is audited.
func (c *Core) SecretUnless(ctx context.Context, caller Caller, id ident.ID, version int, held func(tags ...string) bool) (Value, error) {
	v, err := c.secret(ctx, caller, id, version, held)
	if err == nil && v.Held {
		return v, nil
	}
	return answer(c, v, err, c.by(caller).Fetch(id, version, err))
}

func (c *Core) secret(ctx context.Context, caller Caller, id ident.ID, version int, held func(tags ...string) bool) (Value, error) {
	c.mu.RLock()
	v, key, err := c.readable(caller, id, version)
	c.mu.RUnlock()
	if err != nil {
		return Value{}, err
	}
	sealed, err := c.sealed(ctx, id, key)
	if err != nil {
		return Value{}, err
	}
	if v.Tag = key.tag(sealed); held != nil && held(v.Tag) {
		v.Held = true
		return v, nil
	}
	v.Value, err = c.ring.Open(sealed, aadSecret(id, key.version))
	return v, err
}

// readable decides whether the caller may read a version, and which one that is. The
// caller of this holds the graph.
func (c *Core) readable(caller Caller, id ident.ID, version int) (Value, valueKey, error) {
	r, x, err := c.visible(caller, id)
	if fault.Is(err, fault.NotFound) {
		missing := emptyVariable(id)
		if x != nil {
			missing.Log = "it exists, but " + string(caller.Role) + " does not see it"
		}
		return Value{}, valueKey{}, missing
	}
	if err != nil {
		return Value{}, valueKey{}, err
	}
	if !c.graph.Allowed(r, "execute", x) {
		return Value{}, valueKey{}, lacks(caller, "execute", id)
	}
	if version == 0 {
		version = x.Latest()
	}
	if version == 0 || !x.HasVersion(version) {
		return Value{}, valueKey{}, emptyVariable(id)
	}
	mime := "application/octet-stream"
	if a := x.Annotation("conjur/mime_type"); a != nil {
		mime = a.Value
	}
	told := c.rotating(x, caller.Role)
	if told != nil {
		told.Awaited = told.Awaited && version == x.Latest()
	}
	return Value{MimeType: mime, Version: version, Rotation: told}, valueKey{x.Serial, version}, nil
}

// rotating is what a reader is told of a variable's rotation. The caller holds the graph.
func (c *Core) rotating(x *rbac.Resource, reader ident.ID) *Rotating {
	if c.targets == nil || !rotates(x) {
		return nil
	}
	w, settings := c.rotationOf(x)
	told := &Rotating{LastSuccess: w.LastSuccess, Now: rotation.Open(&w), Awaited: w.Awaited != "" && !c.config.ReadOnly && slices.Contains(settings.Unacknowledged(&w), reader.Login())}
	if !told.Now {
		w.Holder, w.RetireAt = "", time.Time{} // what is done about the old value is not news to readers
		version, expires := newest(x)
		told.Next = rotation.Due(&w, &settings, version, expires, c.now())
	}
	return told
}

// Secrets reads the newest values of several variables, in the order asked, as they
// are at one moment: all of them or none. If the caller holds all of them already, as
// held tells by their tags, none has its Value. TooLarge if they are too many bytes
// together.
func (c *Core) Secrets(ctx context.Context, caller Caller, ids []ident.ID, held func(tags ...string) bool) ([]Value, error) {
	values, keys, refused, err := c.allReadable(caller, ids)
	if err != nil {
		return nil, c.decided(err, c.by(caller).Fetch(refused, 0, err))
	}
	sealed, tags := make([][]byte, len(ids)), make([]string, len(ids))
	total := 0
	for i, id := range ids {
		if sealed[i], err = c.sealed(ctx, id, keys[i]); err == nil {
			total += len(sealed[i])
			err = together(total)
		}
		if err != nil {
			return nil, c.decided(err, c.by(caller).Fetch(id, 0, err))
		}
		tags[i] = keys[i].tag(sealed[i])
		values[i].Tag = tags[i]
	}
	if held != nil && held(tags...) {
		for i := range values {
			values[i].Held = true
		}
		return values, nil
	}
	records := make([]*audit.Record, len(ids))
	for i, id := range ids {
		if values[i].Value, err = c.ring.Open(sealed[i], aadSecret(id, keys[i].version)); err != nil {
			return nil, c.decided(err, c.by(caller).Fetch(id, 0, err))
		}
		records[i] = c.by(caller).Fetch(id, 0, nil)
	}
	if err := c.record(records...); err != nil {
		return nil, err
	}
	return values, nil
}

// allReadable decides over a batch. A variable that is seen but may not be read weighs
// more than one that is missing; refused is the first of the weightier ones.
func (c *Core) allReadable(caller Caller, ids []ident.ID) (values []Value, keys []valueKey, refused ident.ID, err error) {
	values, keys = make([]Value, len(ids)), make([]valueKey, len(ids))
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, id := range ids {
		var failed error
		values[i], keys[i], failed = c.readable(caller, id, 0)
		switch {
		case failed == nil:
		case !fault.Is(failed, fault.NotFound):
			return nil, nil, id, failed
		case err == nil:
			refused, err = id, failed
		}
	}
	return values, keys, refused, err
}

// publicKey is the form of an SSH public key: algorithm, base64, then anything, on
// one line.
var publicKey = regexp.MustCompile(`\A(ssh-rsa|ssh-ed25519|(ssh-)?ecdsa-[a-z0-9-]+|sk-[a-z0-9-]+@openssh\.com) [A-Za-z0-9+/][^\n\r]*\z`)

// MaySetSecret decides, before a value is read from the network, whether SetSecret
// would be refused to the caller anyway. A refusal is audited as the write's.
func (c *Core) MaySetSecret(caller Caller, id ident.ID) error {
	if _, err := c.latest(caller, id); err != nil {
		return c.decided(err, c.by(caller).Update(id, err))
	}
	return nil
}

// SetSecret stores a new version of a value. The value that it has already makes no
// new version.
func (c *Core) SetSecret(ctx context.Context, caller Caller, id ident.ID, value secret.Bytes) error {
	err := c.setSecret(ctx, caller, id, value)
	return c.decided(err, c.by(caller).Update(id, err))
}

func (c *Core) setSecret(ctx context.Context, caller Caller, id ident.ID, value secret.Bytes) error {
	if _, err := c.latest(caller, id); err != nil {
		return err
	}
	switch {
	case id.Kind() == "public_key" && !publicKey.Match(value.Reveal()):
		return fault.New(fault.Argument, "Invalid public key format")
	case len(bytes.TrimSpace(value.Reveal())) == 0:
		return fault.New(fault.Argument, "'value' may not be empty")
	case value.Len() > LongestValue:
		return fault.New(fault.TooLarge, "the value has %d bytes, at most %d are stored", value.Len(), LongestValue)
	}
	return c.retry(func() error {
		defer c.rows.lock(id)()
		now, err := c.latest(caller, id)
		if err != nil {
			return err
		}
		set, key, err := c.secretSet(ctx, id, now, value)
		if err != nil || set == nil {
			return err
		}
		if err := c.commit(ctx, set); err != nil {
			return err
		}
		c.values.cache.Set(key, set.Changes[0].Row.(row.Secret).Sealed)
		return nil
	})
}

// latest is what a write of a value builds on.
type latest struct {
	key  valueKey // of the newest version; version 0 if there is none
	kept []int    // versions, oldest first
}

func (c *Core) latest(caller Caller, id ident.ID) (latest, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	x, err := c.permitted(caller, "update", id)
	if err != nil {
		return latest{}, err
	}
	return latestOf(x), nil
}

func latestOf(x *rbac.Resource) latest {
	l := latest{key: valueKey{x.Serial, x.Latest()}, kept: make([]int, len(x.Secrets))}
	for i, s := range x.Secrets {
		l.kept[i] = s.Version
	}
	return l
}

// outdated are the versions that make room for some more.
func (l latest) outdated(more, limit int) []int {
	return l.kept[:min(len(l.kept), max(0, len(l.kept)+more-limit))]
}

// secretSet adds a version to a value; nil if the value is that already.
func (c *Core) secretSet(ctx context.Context, id ident.ID, now latest, value secret.Bytes) (*row.Set, valueKey, error) {
	if now.key.version > 0 {
		current, err := c.open(ctx, id, now.key)
		if err != nil {
			return nil, valueKey{}, err
		}
		if current.Equal(value) {
			return nil, valueKey{}, nil
		}
	}
	next := now.key.version + 1
	sealed, err := c.ring.Seal(value, aadSecret(id, next))
	if err != nil {
		return nil, valueKey{}, err
	}
	set := &row.Set{Require: []row.Condition{row.LatestVersion{Resource: id, Version: now.key.version}}}
	set.Add(row.Insert, row.Secret{Resource: id, Version: next, Sealed: sealed, CreatedAt: c.now()})
	for _, v := range now.outdated(1, c.config.SecretVersions) {
		set.Add(row.Delete, row.Secret{Resource: id, Version: v})
	}
	return set, valueKey{now.key.serial, next}, nil
}

// ExpireSecret clears the expiry of all versions of a variable, so that a rotation
// that is set up for it is due at once.
func (c *Core) ExpireSecret(ctx context.Context, caller Caller, id ident.ID) error {
	err := c.expireSecret(ctx, caller, id)
	return c.decided(err, c.by(caller).Expire(id, err))
}

func (c *Core) expireSecret(ctx context.Context, caller Caller, id ident.ID) error {
	return c.retry(func() error {
		defer c.rows.lock(id)()
		c.mu.RLock()
		x, err := c.permitted(caller, "update", id)
		var expiring []int
		if err == nil {
			for _, s := range x.Secrets {
				if s.ExpiresAt != 0 {
					expiring = append(expiring, s.Version)
				}
			}
		}
		c.mu.RUnlock()
		if err != nil {
			return err
		}
		set := c.request(caller, id)
		if set == nil && len(expiring) == 0 {
			return nil
		}
		if set == nil {
			set = &row.Set{}
		}
		set.Require = append(set.Require, row.ResourceExists{Resource: id})
		for _, version := range expiring {
			sealed, err := c.store.Secret(ctx, id, version)
			if err != nil {
				return c.gone(err, notFound(id), "secret "+string(id))
			}
			set.Add(row.Update, row.Secret{Resource: id, Version: version, Sealed: sealed, CreatedAt: c.now()})
		}
		return c.commit(ctx, set)
	})
}

// PublicKeys returns the newest value of every public key of a user (or other role),
// in the order of their ids, trimmed. Anybody may read them.
func (c *Core) PublicKeys(ctx context.Context, account, kind, identifier string) ([][]byte, error) {
	type found struct {
		id  ident.ID
		key valueKey
	}
	var keys []found
	c.mu.RLock()
	c.graph.Ascend(string(ident.New(account, "public_key", kind+"/"+identifier+"/")), func(x *rbac.Resource) bool {
		if x.Latest() > 0 {
			keys = append(keys, found{x.ID, valueKey{x.Serial, x.Latest()}})
		}
		return true
	})
	c.mu.RUnlock()
	var lines [][]byte
	for _, k := range keys {
		line, err := c.open(ctx, k.id, k.key)
		if fault.Is(err, fault.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		lines = append(lines, bytes.TrimSpace(line.Reveal()))
	}
	return lines, nil
}
