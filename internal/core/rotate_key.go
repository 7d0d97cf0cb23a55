package core

import (
	"context"
	"crypto/sha256"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/period"
	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
)

// Rotation says how an API key is replaced. The zero value replaces it at once.
type Rotation struct {
	// Staged hands out a key that becomes the caller's own at its first use. Until then
	// the present one goes on.
	Staged bool
	// Lapse is how long a staged key waits for its first use: an ISO 8601 duration or a
	// number of seconds, from one second to seven days. "" is an hour.
	Lapse string
	// OldKey is how long the key that is replaced goes on: an ISO 8601 duration or, but
	// for a staged key, a moment by RFC 3339; at most 30 days. "" is not at all.
	OldKey string
	// Request names this rotation, so that asking again with the same name gives the same
	// key: 1 to 128 visible ASCII characters. "" for none.
	Request string
}

const (
	usualLapse     = time.Hour
	longestLapse   = 7 * period.Day
	longestGrace   = 30 * period.Day
	longestRequest = 128
)

// succession is a rotation as it was understood.
type succession struct {
	form    row.KeyForm
	lapse   time.Duration // staged
	grace   time.Duration // staged: how long the replaced key goes on from the first use of the new one
	until   time.Time     // not staged: how long it goes on; zero: not at all
	request [32]byte
}

// rotated is how a rotation ended.
type rotated struct {
	key    secret.Bytes
	lapses time.Time // of a staged key
	lapsed bool      // an earlier staged key was found unused
	again  bool      // it is the key of an earlier request of the same name
}

// RotateKey replaces an API key; the old one is dead when this returns. It is Rotate in
// the simplest form.
func (c *Core) RotateKey(ctx context.Context, caller Caller, account, role string) (secret.Bytes, error) {
	return c.Rotate(ctx, caller, account, role, Rotation{})
}

// Rotate replaces an API key, or stages one. role is a short or full id, or empty for
// the caller itself. Oneself is rotated by Basic credentials only, so that a stolen
// token does not become a lasting credential; others by a token whose role has update
// on them.
//
// What a caller that gets a key may rely on:
//   - not staged: it is the key, until somebody who may rotates it again. Of several
//     callers that show the same key at the same time, one gets a new key and the others
//     are refused.
//   - staged: the key that it has shown goes on, until a staged key is used for the
//     first time or somebody rotates at once. The last key that was staged is the one
//     that counts; callers that share a role get the same one by asking with the same
//     request name.
//   - with a request name: asking again with it, by whatever key is good, gives the same
//     key as long as that is staged or current, and changes nothing.
func (c *Core) Rotate(ctx context.Context, caller Caller, account, role string, how Rotation) (secret.Bytes, error) {
	target, err := c.keyTarget(caller, account, role)
	var plan succession
	if err == nil {
		plan, err = c.understand(caller, target, how)
	}
	var done rotated
	if err == nil {
		err = c.retry(func() (once error) {
			if plan.form == row.KeyStaged {
				done, once = c.stageOnce(ctx, caller, target, plan)
			} else {
				done, once = c.rotateOnce(ctx, caller, target, plan)
			}
			return once
		})
	}
	var records []*audit.Record
	if done.lapsed {
		records = append(records, c.by(caller).APIKeyLapse(target))
	}
	switch {
	case done.again && done.lapses.IsZero():
		records = append(records, c.by(caller).APIKeyRepeat(target, err))
	case how.Staged:
		records = append(records, c.by(caller).APIKeyStage(target, done.lapses, err))
	default:
		records = append(records, c.by(caller).APIKeyRotate(target, plan.until, err))
	}
	if failed := c.record(records...); failed != nil {
		return secret.Bytes{}, failed
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return done.key, nil
}

// understand checks what was asked for.
func (c *Core) understand(caller Caller, target ident.ID, how Rotation) (succession, error) {
	plan := succession{form: row.KeyImmediate}
	if how.Request != "" {
		if err := checkRequest(how.Request); err != nil {
			return plan, err
		}
		plan.request = requestDigest(caller.Role, how.Request)
	}
	self := target == caller.Role
	switch {
	case how.Staged && !self:
		return plan, advised(fault.New(fault.Argument, "Only one's own API key is staged, not that of %s", target),
			"To let the present key of another role go on for a while, give old_key instead of staged.")
	case how.Staged:
		return plan, plan.stage(how)
	case how.Lapse != "":
		return plan, advised(fault.New(fault.Argument, "The parameter lapse belongs to staged keys"), "Add staged, or leave out lapse.")
	case how.OldKey == "":
		return plan, nil
	case self:
		return plan, advised(fault.New(fault.Argument, "One's own old key goes on only if the new one is staged"), "Add staged.")
	}
	now := c.now()
	grace, err := period.Parse(how.OldKey)
	if err != nil {
		until, notMoment := time.Parse(time.RFC3339, how.OldKey)
		if notMoment != nil {
			return plan, advised(fault.New(fault.Argument, "The parameter old_key is neither a duration nor a moment: %s", clip(how.OldKey)),
				"Write it like PT15M (ISO 8601) or 2030-12-31T23:59:59Z (RFC 3339).")
		}
		if grace = until.Sub(now); grace <= 0 {
			return plan, advised(fault.New(fault.Argument, "The parameter old_key must be in the future: %s", clip(how.OldKey)),
				"To end the old key at once, leave out old_key.")
		}
	}
	if grace > longestGrace {
		return plan, tooLong("old_key", "30 days")
	}
	if grace = grace.Truncate(time.Millisecond); grace > 0 {
		plan.form, plan.until = row.KeyGrace, now.Add(grace)
	}
	return plan, nil
}

// stage understands what concerns staged keys.
func (plan *succession) stage(how Rotation) (err error) {
	plan.form, plan.lapse = row.KeyStaged, usualLapse
	if how.Lapse != "" {
		if plan.lapse, err = period.ParseOrSeconds(how.Lapse); err != nil {
			return advised(fault.New(fault.Argument, "The parameter lapse cannot be read: %s", clip(how.Lapse)),
				"Write an ISO 8601 duration such as PT1H, or a number of seconds.")
		}
	}
	switch {
	case plan.lapse < time.Second:
		return advised(fault.New(fault.Argument, "The parameter lapse is shorter than a second: nobody could use the key in time"), "Give at least PT1S.")
	case plan.lapse > longestLapse:
		return tooLong("lapse", "7 days")
	}
	if how.OldKey != "" {
		if plan.grace, err = period.Parse(how.OldKey); err != nil {
			return advised(fault.New(fault.Argument, "The parameter old_key of a staged key is not a duration: %s", clip(how.OldKey)),
				"Write it like PT15M (ISO 8601): it begins when the new key is used for the first time.")
		}
		if plan.grace > longestGrace {
			return tooLong("old_key", "30 days")
		}
		plan.grace = plan.grace.Truncate(time.Millisecond)
	}
	return nil
}

func tooLong(parameter, most string) error {
	return advised(fault.New(fault.Argument, "The parameter %s is longer than %s, which is the most", parameter, most), "Give a shorter time.")
}

func advised(e *fault.Error, advice string) *fault.Error {
	e.Advice = advice
	return e
}

// clip keeps a parameter short enough for a message.
func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "..."
	}
	return text
}

func checkRequest(name string) error {
	ok := len(name) <= longestRequest
	for i := 0; i < len(name) && ok; i++ {
		ok = name[i] > ' ' && name[i] <= '~'
	}
	if !ok {
		return advised(fault.New(fault.Argument, "The parameter request must have 1 to %d visible ASCII characters, without blanks", longestRequest),
			"Draw one for each rotation, such as a UUID.")
	}
	return nil
}

// requestDigest binds the name of a request to who asks: whoever else guesses the name
// learns nothing by it.
func requestDigest(role ident.ID, name string) [32]byte {
	return sha256.Sum256([]byte("rekey key request\x00" + string(role) + "\x00" + name))
}

// rotateOnce replaces the key that is current now. A caller that rotates its own key
// loses the race against another rotation that was proved by the same key: of two
// callers that share it, only one is told that it has succeeded.
func (c *Core) rotateOnce(ctx context.Context, caller Caller, target ident.ID, plan succession) (rotated, error) {
	defer c.rows.lock(target)()
	held, again, err := c.heldBy(ctx, caller, target, plan)
	if err != nil || again.again {
		return again, err
	}
	key, fresh, err := c.newKey(target, c.now())
	if err != nil {
		return rotated{}, err
	}
	fresh.Form, fresh.Request = plan.form, plan.request
	set := &row.Set{Require: caller.proven()}
	held.succeed(set, fresh, plan.until)
	if err := c.commit(ctx, set); err != nil {
		return rotated{}, err
	}
	return rotated{key: key, lapsed: c.lapsed(held.staged)}, nil
}

// heldBy reads what a rotation begins with. If the current key is the one that an
// earlier request of the same name has made, it is shown, and that is all.
func (c *Core) heldBy(ctx context.Context, caller Caller, target ident.ID, plan succession) (keys, rotated, error) {
	c.mu.RLock()
	held := keysOf(c.graph.Role(target))
	err := c.stillProven(caller)
	forbidden := c.mayChange(caller)
	c.mu.RUnlock()
	switch {
	case err != nil:
		return held, rotated{}, err
	case held.current == nil:
		return held, rotated{}, notApplicable(target)
	case plan.request != [32]byte{} && held.current.Request == plan.request:
		key, err := c.showKey(ctx, target, func() error {
			if now := keysOf(c.graph.Role(target)).current; now == nil || now.Request != plan.request {
				return store.ErrChanged
			}
			return c.stillProven(caller)
		})
		return held, rotated{key: key, again: true}, err
	}
	return held, rotated{}, forbidden
}

func (c *Core) lapsed(staged *row.StagedKey) bool {
	return staged != nil && !c.clock().Before(staged.LapsesAt)
}
