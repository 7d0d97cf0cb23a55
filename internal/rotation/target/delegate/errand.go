package delegate

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/secret"
)

// errand is a value that a program looks after.
type errand struct {
	program    Program
	recipe     password.Recipe
	issued     bool
	rand       io.Reader
	parameters map[string]string
	variables  map[string]secret.Bytes
	secrets    map[string]secret.Bytes
}

// Identity is part of target.Target.
func (e *errand) Identity() string {
	var out strings.Builder
	out.WriteString(e.program.Address())
	for _, name := range slices.Sorted(maps.Keys(e.variables)) {
		fmt.Fprintf(&out, " %s %s", name, shown(e.variables[name].RevealString()))
	}
	for _, name := range slices.Sorted(maps.Keys(e.parameters)) {
		fmt.Fprintf(&out, " %s %s", parameter+name, shown(e.parameters[name]))
	}
	return out.String()
}

// shown is a text in full, or by its digest if it is long.
func shown(text string) string {
	if len(text) <= 100 {
		return fmt.Sprintf("%q", text)
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Candidate is part of target.Target.
func (e *errand) Candidate(target.Credential) (target.Credential, error) {
	if e.issued {
		return nil, nil
	}
	made, err := e.recipe.Make(e.rand)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "no value could be made: %s", err)
	}
	return target.Credential{target.Main: made}, nil
}

// ask completes a question and reads what the answer means.
func (e *errand) ask(ctx context.Context, q Question) (Answer, error) {
	q.ID, q.Parameters, q.Variables, q.Secrets = rand.Text(), e.parameters, e.variables, e.secrets
	answer, err := e.program.Ask(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	return answer, answer.Err(e.program.Name(), q)
}

// Apply is part of target.Target.
func (e *errand) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	q := Question{Operation: Apply, Current: current[target.Main], Next: next[target.Main]}
	if err := e.whole(q.Next, e.issued); err != nil {
		return nil, err
	}
	answer, err := e.ask(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case q.Next.Len() > 0:
		return next, nil
	case answer.Value == "":
		return nil, q.Broken(e.program.Name(), "its answer has no value, which it has to make")
	}
	return target.Credential{target.Main: secret.FromString(answer.Value)}, nil
}

// Probe is part of target.Target.
func (e *errand) Probe(ctx context.Context, c target.Credential) error {
	if err := e.whole(c[target.Main], false); err != nil {
		return err
	}
	_, err := e.ask(ctx, Question{Operation: Probe, Value: c[target.Main]})
	return err
}

// Retire is part of target.Target.
func (e *errand) Retire(ctx context.Context, current, old target.Credential) error {
	if current.Equal(old) || old[target.Main].Len() == 0 {
		return nil
	}
	_, err := e.ask(ctx, Question{Operation: Retire, Current: current[target.Main], Old: old[target.Main]})
	return err
}

// whole refuses what cannot be passed on.
func (e *errand) whole(v secret.Bytes, optional bool) error {
	if v.Len() == 0 && !optional {
		return target.Errorf(target.Refused, nil, "there is no value: set the variable to one that works")
	}
	if slices.Contains(v.Reveal(), 0) {
		return password.BadValue(nil, "the value holds a NUL character")
	}
	return nil
}
