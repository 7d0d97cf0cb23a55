package engine_test

import (
	"context"
	"maps"
	"sync"

	"rekey/internal/rotation/target"
	"rekey/internal/row"
	"rekey/internal/store"
)

// exposed is a kind with failpoints around the calls of its targets. It remembers what the engine's probes have logged in with.
type exposed struct {
	target.Kind
	f      *failpoints
	proofs *proofs
	many   bool // a call is many requests, and ends with its context
}

// proofs are the values that had worked, and those of them when one was published.
type proofs struct {
	mu                sync.Mutex
	worked, published map[string]bool
}

func (k exposed) Bind(b target.Binding) (target.Target, error) {
	made, err := k.Kind.Bind(b)
	if err != nil {
		return nil, err
	}
	if looks, ok := made.(target.Surveyor); ok {
		return exposedSurveyor{exposedTarget{made, k}, looks}, nil
	}
	return exposedTarget{made, k}, nil
}

func (k exposed) Lasts() bool {
	kind, ok := k.Kind.(target.Lasting)
	return ok && kind.Lasts()
}

type exposedTarget struct {
	target.Target
	kind exposed
}

func (t exposedTarget) Resets() bool {
	resetter, ok := t.Target.(target.Resetter)
	return ok && resetter.Resets()
}

// call makes a call between its failpoints.
func (t exposedTarget) call(ctx context.Context, call string, do func(context.Context) error) error {
	defer t.kind.f.enter()()
	err := t.kind.f.meet("before " + call)
	if ctx.Err() != nil && !t.kind.many { // it has hung, and arrives when nobody waits for it any more
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		ctx = late
	}
	if err == errTwice {
		err = do(ctx)
	}
	if err != nil {
		return err
	}
	if err = do(ctx); err != nil {
		return err
	}
	return t.kind.f.meet("after " + call)
}

func (t exposedTarget) Apply(ctx context.Context, current, next target.Credential) (made target.Credential, err error) {
	err = t.call(ctx, "apply", func(ctx context.Context) (err error) {
		made, err = t.Target.Apply(ctx, current, next)
		return err
	})
	return made, err
}

func (t exposedTarget) Probe(ctx context.Context, c target.Credential) error {
	return t.call(ctx, "probe", func(ctx context.Context) error {
		err := t.Target.Probe(ctx, c)
		if err == nil {
			t.kind.proofs.mu.Lock()
			defer t.kind.proofs.mu.Unlock()
			t.kind.proofs.worked[c[target.Main].RevealString()] = true
		}
		return err
	})
}

func (t exposedTarget) Retire(ctx context.Context, current, old target.Credential) error {
	return t.call(ctx, "retire", func(ctx context.Context) error { return t.Target.Retire(ctx, current, old) })
}

type exposedSurveyor struct {
	exposedTarget
	looks target.Surveyor
}

func (t exposedSurveyor) Survey(ctx context.Context, current target.Credential) (intent target.Credential, err error) {
	err = t.call(ctx, "survey", func(ctx context.Context) (err error) {
		intent, err = t.looks.Survey(ctx, current)
		return err
	})
	return intent, err
}

// publishing is a store that notes what had worked when a value is published.
type publishing struct {
	store.Store
	proofs *proofs
}

func (s publishing) Commit(ctx context.Context, sets []*row.Set) ([]error, error) {
	for _, set := range sets {
		for _, change := range set.Changes {
			if _, ok := change.Row.(row.Secret); ok {
				s.proofs.mu.Lock()
				s.proofs.published = maps.Clone(s.proofs.worked)
				s.proofs.mu.Unlock()
			}
		}
	}
	return s.Store.Commit(ctx, sets)
}
