package engine_test

import (
	"context"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

// model is a kind of target with exact semantics, in this process: accounts by name,
// each with its password or, where the target issues keys, with several.
type model struct {
	mu       sync.Mutex
	accounts map[string]*modelAccount
	gate     func(call, account string) error // before each call, outside of the lock; may hang or panic
	after    func(call, account string) error // after its effect
	applied  int
	read     map[string]bool // values of siblings
}

type modelAccount struct {
	keys     map[string]bool // that work; at most one unless the target issues them
	logins   map[string]bool // that have worked once
	refusals int             // of logins, in a row
	applies  int
}

func newModel() *model { return &model{accounts: map[string]*modelAccount{}, read: map[string]bool{}} }

func (m *model) account(name string) *modelAccount {
	if m.accounts[name] == nil {
		m.accounts[name] = &modelAccount{keys: map[string]bool{}, logins: map[string]bool{}}
	}
	return m.accounts[name]
}

// set makes a password the one that works, as somebody at the target does.
func (m *model) set(name, password string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.account(name)
	a.keys, a.refusals = map[string]bool{password: true}, 0
}

func (m *model) works(name, password string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.account(name).keys[password]
}

// applies is how often an account got a new password.
func (m *model) applies(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.account(name).applies
}

func (m *model) Name() string { return "model/password" }

func (m *model) Check(annotations map[string]string) []target.Problem {
	if length, ok := annotations["rotation/model/length"]; ok && length != "20" {
		return []target.Problem{{Annotation: "rotation/model/length", Message: "it is not 20", Advice: "Write 20."}}
	}
	return nil
}

func (m *model) Siblings(annotations map[string]string) target.Siblings {
	if annotations["rotation/model/poison"] == "siblings panic" {
		panic("poison")
	}
	reads := []string{"username?"}
	if more := annotations["rotation/model/reads"]; more != "" {
		reads = append(reads, more)
	}
	var writes []string
	if name := annotations["rotation/model/writes"]; name != "" {
		writes = append(writes, name)
	}
	return target.Siblings{Reads: reads, Writes: writes}
}

func (m *model) Bind(b target.Binding) (target.Target, error) {
	t := &modelTarget{m: m, name: b.Annotations["rotation/model/account"], poison: b.Annotations["rotation/model/poison"], mode: b.Annotations["rotation/model/mode"], writes: b.Annotations["rotation/model/writes"], rand: b.Rand}
	m.mu.Lock()
	for _, value := range b.Values {
		m.read[value.RevealString()] = true
	}
	m.mu.Unlock()
	switch t.poison {
	case "bind panics":
		panic("poison")
	case "bind refuses":
		return nil, target.Errorf(target.Refused, nil, "the url is malformed")
	}
	switch t.mode {
	case "survey":
		return surveyed{t}, nil
	case "mark":
		return marked{t}, nil
	}
	return t, nil
}

// surveyed issues keys, and finds those whose answer was lost by what was there before.
type surveyed struct{ *modelTarget }

func (t surveyed) Survey(ctx context.Context, current target.Credential) (intent target.Credential, err error) {
	err = t.call(ctx, "survey", func(a *modelAccount) error {
		if err := a.login(current); err != nil {
			return err
		}
		intent = target.Credential{"before": secret.FromString(strings.Join(slices.Sorted(maps.Keys(a.keys)), " "))}
		return nil
	})
	return intent, err
}

func (t surveyed) Apply(ctx context.Context, current, intent target.Credential) (made target.Credential, err error) {
	before := strings.Fields(intent["before"].RevealString())
	if len(before) == 0 {
		return nil, target.Errorf(target.Refused, nil, "applied without an intent")
	}
	lost := t.keys(func(key string) bool { return !slices.Contains(before, key) })
	err = t.call(ctx, "apply", func(a *modelAccount) error {
		if err := a.login(current); err != nil {
			return err
		}
		for _, key := range lost {
			delete(a.keys, key)
		}
		value, err := t.draw()
		a.keys[value] = true
		made = target.Credential{target.Main: secret.FromString(value)}
		return err
	})
	return made, err
}

// keys lists some of the account's keys. A target lists them in a request of its own, and
// deletes them by name: what it does late harms no key that was made meanwhile.
func (t *modelTarget) keys(which func(key string) bool) []string {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	listed := slices.Sorted(maps.Keys(t.m.account(t.name).keys))
	return slices.DeleteFunc(listed, func(key string) bool { return !which(key) })
}

// marked issues keys that begin with the mark of an intent.
type marked struct{ *modelTarget }

func (t marked) Candidate(target.Credential) (target.Credential, error) {
	value, err := t.draw()
	return target.Credential{"mark": secret.FromString(value)}, err
}

func (t marked) Apply(ctx context.Context, current, intent target.Credential) (made target.Credential, err error) {
	mark := intent["mark"].RevealString()
	if mark == "" {
		return nil, target.Errorf(target.Refused, nil, "applied without an intent")
	}
	lost := t.keys(func(key string) bool { return strings.HasPrefix(key, mark) })
	err = t.call(ctx, "apply", func(a *modelAccount) error {
		if err := a.login(current); err != nil {
			return err
		}
		for _, key := range lost {
			delete(a.keys, key)
		}
		value, err := t.draw()
		a.keys[mark+value] = true
		made = target.Credential{target.Main: secret.FromString(mark + value)}
		return err
	})
	return made, err
}

type modelTarget struct {
	m                  *model
	name, poison, mode string
	writes             string // a variable that changes together with the rotated one
	rand               io.Reader
}

func (t *modelTarget) Identity() string {
	if t.poison != "" {
		return "poisoned.example:" + strings.ReplaceAll(t.poison, " ", "-") + " user " + t.name
	}
	return "model.example:1 user " + t.name
}

func (t *modelTarget) Resets() bool { return t.mode == "admin" }

func (t *modelTarget) Candidate(target.Credential) (target.Credential, error) {
	if t.poison == "candidate panics" {
		panic("poison")
	}
	if t.mode == "issue" {
		return nil, nil
	}
	value, err := t.draw()
	made := target.Credential{target.Main: secret.FromString(value)}
	if t.writes != "" {
		made[t.writes] = secret.FromString("id-of-" + value)
	}
	return made, err
}

func (t *modelTarget) draw() (string, error) {
	b := make([]byte, 10)
	_, err := io.ReadFull(t.rand, b)
	return hex.EncodeToString(b), err
}

func (t *modelTarget) call(ctx context.Context, call string, effect func(*modelAccount) error) error {
	if err := t.poisoned(ctx, call); err != nil {
		return err
	}
	do := func() error {
		t.m.mu.Lock()
		defer t.m.mu.Unlock()
		return effect(t.m.account(t.name))
	}
	if t.m.gate != nil {
		if err := t.m.gate(call, t.name); err != nil {
			return err
		}
	}
	err := do()
	if err == nil && t.m.after != nil {
		err = t.m.after(call, t.name)
	}
	return err
}

func (t *modelTarget) poisoned(ctx context.Context, call string) error {
	if !strings.HasPrefix(t.poison, call+" ") {
		return nil
	}
	switch strings.TrimPrefix(t.poison, call+" ") {
	case "panics":
		panic("poison")
	case "hangs":
		<-ctx.Done()
		return ctx.Err()
	case "hangs for ever":
		select {}
	case "refuses":
		return target.Errorf(target.Refused, nil, "no")
	case "refuses the value":
		e := target.Errorf(target.Refused, nil, "too weak")
		e.BadValue = true
		return e
	case "is unreachable":
		return target.Errorf(target.Unreachable, nil, "connection refused")
	case "fails to log in":
		return target.Errorf(target.AuthFailed, nil, "wrong password")
	}
	return io.ErrUnexpectedEOF
}

func (a *modelAccount) login(c target.Credential) error {
	value := c[target.Main].RevealString()
	if !a.keys[value] {
		a.refusals++
		return target.Errorf(target.AuthFailed, nil, "wrong password")
	}
	a.refusals, a.logins[value] = 0, true
	return nil
}

func (t *modelTarget) Apply(ctx context.Context, current, next target.Credential) (made target.Credential, err error) {
	err = t.call(ctx, "apply", func(a *modelAccount) error {
		if t.mode != "admin" {
			if err := a.login(current); err != nil {
				return err
			}
		}
		a.applies++
		t.m.applied++
		if t.mode == "issue" {
			value, err := t.draw()
			a.keys[value] = true
			made = target.Credential{target.Main: secret.FromString(value)}
			return err
		}
		a.keys = map[string]bool{next[target.Main].RevealString(): true}
		made = next
		return nil
	})
	return made, err
}

func (t *modelTarget) Probe(ctx context.Context, c target.Credential) error {
	return t.call(ctx, "probe", func(a *modelAccount) error { return a.login(c) })
}

func (t *modelTarget) Retire(ctx context.Context, current, old target.Credential) error {
	return t.call(ctx, "retire", func(a *modelAccount) error {
		if t.mode == "issue" {
			if err := a.login(current); err != nil {
				return err
			}
		}
		if t.mode == "issue" || t.mode == "survey" || t.mode == "mark" {
			delete(a.keys, old[target.Main].RevealString())
		}
		return nil
	})
}

// models are the stands of the model, one for each way in which a kind can go about it.
func models(t *testing.T) (all []stand) {
	m := newModel()
	for _, mode := range []string{"self", "admin", "issue", "survey", "mark"} {
		all = append(all, stand{kind: m, mode: mode, step: 60 * time.Millisecond, fresh: true, open: func(t *testing.T, user string) account {
			user = mode + user
			m.set(user, firstPassword)
			return account{
				Account: targettest.Account{Annotations: map[string]string{"rotation/model/mode": mode, "rotation/model/account": user}},
				current: target.Credential{target.Main: secret.FromString(firstPassword)},
				holds:   func(c target.Credential) bool { return m.works(user, c[target.Main].RevealString()) },
				tidy: func(how string) {
					m.mu.Lock()
					defer m.mu.Unlock()
					// What happens late or twice is beyond what an intent can tell.
					if left := len(m.account(user).keys); (mode == "survey" || mode == "mark") && how != "twice" && how != "hang" && left > 1 {
						t.Errorf("%d keys are left, and only one is known", left)
					}
				},
			}
		}})
	}
	return all
}
