package rotation_test

import (
	"fmt"
	"slices"
	"time"

	"rekey/internal/rotation/target"
)

// outside is a target with exact semantics, for one account on it.
type outside struct {
	admin  bool // a privileged account does the work
	issues bool // it makes the keys itself, and any number of them work side by side
	survey bool // the same, and what is there is looked at before

	intents map[string][]string // what was there, by intent

	password string    // of an in-place target
	keys     []*outKey // of one that issues keys
	serial   int
	backup   []string // passwords it once had, oldest first

	refusedLogins int // in a row
	crashes       int // since the last login that worked: each may have hidden a refusal
	accepted      map[string]bool
}

type outKey struct {
	value  string
	at     time.Time
	used   bool
	byHand bool
}

func (o *outside) accepts(value string) bool {
	if o.issues {
		return slices.ContainsFunc(o.keys, func(k *outKey) bool { return k.value == value })
	}
	return value != "" && o.password == value
}

func (o *outside) login(value string) *target.Error {
	if o.intents[value] != nil {
		return target.Errorf(target.AuthFailed, nil, "nothing was issued")
	}
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
	if o.survey {
		before := o.intents[next]
		if before == nil { // it was issued before
			return func() string { return next }, nil
		}
		var lost []*outKey // as they are listed now; what follows may come late
		for _, k := range o.keys {
			if !slices.Contains(before, k.value) && k.value != current && !k.byHand {
				lost = append(lost, k)
			}
		}
		return func() string {
			o.keys = slices.DeleteFunc(o.keys, func(k *outKey) bool { return slices.Contains(lost, k) })
			return o.issue(now)
		}, nil
	}
	return func() string {
		// Keys of ours that nobody has ever used, and that are not new, are orphans.
		o.keys = slices.DeleteFunc(o.keys, func(k *outKey) bool { return !k.used && now.Sub(k.at) > time.Hour })
		return o.issue(now)
	}, nil
}

func (o *outside) issue(now time.Time) string {
	o.serial++
	k := &outKey{value: "issued-" + string(rune('a'+o.serial%26)) + time.Duration(o.serial).String(), at: now}
	o.keys = append(o.keys, k)
	return k.value
}

// look is the effect of a survey.
func (o *outside) look(current string) (string, *target.Error) {
	if err := o.login(current); err != nil {
		return "", err
	}
	o.serial++
	intent := fmt.Sprintf("intent-%d", o.serial)
	o.intents[intent] = []string{current}
	for _, k := range o.keys {
		o.intents[intent] = append(o.intents[intent], k.value)
	}
	return intent, nil
}

func (o *outside) retire(old string) {
	o.keys = slices.DeleteFunc(o.keys, func(k *outKey) bool { return k.value == old })
}
