package rotation_test

import (
	"slices"
	"time"

	"rekey/internal/rotation/target"
)

// outside is a target with exact semantics, for one account on it.
type outside struct {
	admin  bool // a privileged account does the work
	issues bool // it makes the keys itself, and any number of them work side by side

	password string    // of an in-place target
	keys     []*outKey // of one that issues keys
	serial   int
	backup   []string // passwords it once had, oldest first

	refusedLogins int // in a row
	crashes       int // since the last login that worked: each may have hidden a refusal
	accepted      map[string]bool
}

type outKey struct {
	value string
	at    time.Time
	used  bool
}

func (o *outside) accepts(value string) bool {
	if o.issues {
		return slices.ContainsFunc(o.keys, func(k *outKey) bool { return k.value == value })
	}
	return value != "" && o.password == value
}

func (o *outside) login(value string) *target.Error {
	if !o.accepts(value) {
		o.refusedLogins++
		return target.Errorf(target.AuthFailed, nil, "wrong password")
	}
	o.refusedLogins, o.crashes = 0, 0
	o.accepted[value] = true
	for _, k := range o.keys {
		k.used = k.used || k.value == value
	}
	return nil
}

// change is the effect of Apply. It is returned rather than made, so that it can come
// late, twice or not at all.
func (o *outside) change(now time.Time, current, next string) (effect func() string, err *target.Error) {
	if !o.admin {
		if err := o.login(current); err != nil {
			return nil, err
		}
	}
	if !o.issues {
		return func() string {
			if o.password != next {
				o.backup = append(o.backup, o.password)
				o.password = next
			}
			return next
		}, nil
	}
	return func() string {
		// Keys of ours that nobody has ever used, and that are not new, are orphans.
		o.keys = slices.DeleteFunc(o.keys, func(k *outKey) bool { return !k.used && now.Sub(k.at) > time.Hour })
		o.serial++
		k := &outKey{value: "issued-" + string(rune('a'+o.serial%26)) + time.Duration(o.serial).String(), at: now}
		o.keys = append(o.keys, k)
		return k.value
	}, nil
}

func (o *outside) retire(old string) {
	o.keys = slices.DeleteFunc(o.keys, func(k *outKey) bool { return k.value == old })
}
