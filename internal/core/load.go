package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"rekey/internal/ident"
	"rekey/internal/password"
	"rekey/internal/row"
	"rekey/internal/secret"
)

// finish adds to the structural changes what needs keys, randomness or the store. What
// was planned on top of others cannot read values: theirs are not in the store yet.
func (c *Core) finish(ctx context.Context, l *load, caller Caller, text []byte, onTop bool) error {
	l.set = &row.Set{Changes: append([]row.Change(nil), l.changes...)}
	l.loaded = Loaded{Warnings: l.resolved.Warnings}
	keyed := map[ident.ID]secret.Bytes{}
	for _, id := range l.planned.NewKeys {
		key, fresh, err := c.newKey(id, l.now)
		if err != nil {
			return err
		}
		keyed[id] = key
		l.set.Add(row.Insert, fresh)
	}
	for id, key := range l.keys {
		l.set.Require = append(l.set.Require, row.KeyIs{Role: id, Digest: key.Digest})
		l.set.Add(row.Delete, row.APIKey{Role: id})
	}
	for _, rec := range l.resolved.Records {
		key, has := keyed[rec.ID]
		if kind := rec.ID.Kind(); has || rec.Role && l.created[rec.ID] && (kind == "user" || kind == "host") {
			l.loaded.Created = append(l.loaded.Created, CreatedRole{rec.ID, key})
			delete(keyed, rec.ID)
			delete(l.created, rec.ID)
		}
	}
	for _, id := range l.planned.NewKeys { // of hosts that only an annotation was about
		if key, left := keyed[id]; left {
			l.loaded.Created = append(l.loaded.Created, CreatedRole{id, key})
		}
	}
	l.restrict()
	if err := c.publish(ctx, l, onTop); err != nil {
		return err
	}
	if err := c.presetPasswords(l); err != nil {
		return err
	}
	l.version(c.config.PolicyVersions, caller, text)
	return nil
}

func (l *load) restrict() {
	for _, r := range l.planned.Restrictions {
		restrict(l.set, r, l.networks[r.Role])
	}
}

// restrict adds to a set that a role has a restriction from now on; had says whether it
// has one already.
func restrict(set *row.Set, r row.Restriction, had bool) {
	switch {
	case len(r.Networks) > 0 && had:
		set.Add(row.Update, r)
	case len(r.Networks) > 0:
		set.Add(row.Insert, r)
	case had:
		set.Add(row.Delete, r)
	}
}

// publish stores the public keys of users; of several with one comment the last is
// the current one.
func (c *Core) publish(ctx context.Context, l *load, onTop bool) error {
	given := map[ident.ID][]string{}
	for _, k := range l.planned.PublicKeys {
		lines := given[k.Resource]
		if n := len(lines); n == 0 || lines[n-1] != k.Line {
			given[k.Resource] = append(lines, k.Line)
		}
	}
	for i, k := range l.planned.PublicKeys {
		lines, now := given[k.Resource], l.values[i]
		delete(given, k.Resource) // once for each resource
		if len(lines) > 0 && now.key.version > 0 {
			if onTop {
				return errAlone
			}
			current, err := c.open(ctx, k.Resource, now.key)
			if err != nil {
				return err
			}
			switch current.RevealString() {
			case lines[len(lines)-1]:
				continue
			case lines[0]:
				lines = lines[1:]
			}
		}
		if surplus := len(lines) - c.config.SecretVersions; surplus > 0 {
			lines = lines[surplus:] // they would not be kept
		}
		for n, line := range lines {
			version := now.key.version + 1 + n
			sealed, err := c.ring.Seal(secret.FromString(line), aadSecret(k.Resource, version))
			if err != nil {
				return err
			}
			l.set.Add(row.Insert, row.Secret{Resource: k.Resource, Version: version, Sealed: sealed, CreatedAt: l.now})
		}
		for _, v := range now.outdated(len(lines), c.config.SecretVersions) {
			l.set.Add(row.Delete, row.Secret{Resource: k.Resource, Version: v})
		}
	}
	return nil
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]`)

// presetPasswords gives declared users the passwords that the operator has set in
// the environment.
func (c *Core) presetPasswords(l *load) error {
	if len(c.config.Passwords) == 0 {
		return nil
	}
	for _, id := range l.planned.Users {
		preset, ok := c.config.Passwords[strings.ToUpper(notAlphanumeric.ReplaceAllString(id.Identifier(), "_"))]
		if !ok {
			continue
		}
		fresh := secret.FromString(preset)
		if err := password.Check(fresh); err != nil {
			return err
		}
		set, err := c.passwordSet(id, l.hashes[id], fresh, l.now)
		if err != nil {
			return err
		}
		if l.hashes[id] != nil {
			l.set.Require = append(l.set.Require, set.Require...)
		}
		l.set.Changes = append(l.set.Changes, set.Changes...)
	}
	return nil
}

// version records the load itself, unless the policy has deleted itself.
func (l *load) version(kept int, caller Caller, text []byte) {
	l.loaded.Version = 1
	if n := len(l.loads); n > 0 {
		l.loaded.Version = l.loads[n-1] + 1
	}
	if !l.stays {
		return
	}
	sum := sha256.Sum256(text)
	v := row.PolicyVersion{
		Policy: l.policy, Version: l.loaded.Version, Role: caller.Role,
		CreatedAt: l.now, FinishedAt: l.now,
		SHA256: hex.EncodeToString(sum[:]), Text: string(text),
	}
	if caller.IP.IsValid() {
		v.ClientIP = caller.IP.String()
	}
	l.set.Add(row.Insert, v)
	for i := 0; i <= len(l.loads)-max(1, kept); i++ {
		l.set.Add(row.Delete, row.PolicyVersion{Policy: l.policy, Version: l.loads[i]})
	}
}
