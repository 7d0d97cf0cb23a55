package delegate

import (
	"maps"
	"slices"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/secret"
)

// The annotations that all these kinds know.
const (
	length    = "length"
	charset   = "charset"
	value     = "value"
	variables = "variables"
	secrets   = "secrets"
	parameter = "parameter/"
)

// Place is what a program is found by.
type Place struct {
	Settings map[string]string       // the kind's annotations, by what follows its prefix
	Values   map[string]secret.Bytes // as in target.Binding
	Dial     target.Dial
}

// Kind makes targets of one kind.
type Kind struct {
	Kind     string                                    // such as "exec"
	Settings map[string]func(string) error             // annotations beside the common ones; nil accepts any text
	Required []string                                  // those of them that must be there
	Reads    func(settings map[string]string) []string // variables that the kind needs itself; nil: none
	Open     func(Place) (Program, error)              // errors as those of target.Kind's Bind
}

var _ target.Kind = Kind{}

// Name is part of target.Kind.
func (k Kind) Name() string { return k.Kind }

func (k Kind) prefix() string { return "rotation/" + k.Kind + "/" }

// settings are the kind's own annotations, by what follows the prefix.
func (k Kind) settings(annotations map[string]string) map[string]string {
	own := map[string]string{}
	for name, text := range annotations {
		if short, ok := strings.CutPrefix(name, k.prefix()); ok {
			own[short] = text
		}
	}
	return own
}

// Check is part of target.Kind.
func (k Kind) Check(annotations map[string]string) []target.Problem {
	var problems []target.Problem
	settings := k.settings(annotations)
	report := func(name, message, advice string) {
		problems = append(problems, target.Problem{Annotation: k.prefix() + name, Message: message, Advice: advice})
	}
	known := slices.Concat([]string{length, charset, value, variables, secrets}, slices.Collect(maps.Keys(k.Settings)))
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if given, ok := strings.CutPrefix(name, parameter); ok && given != "" {
			continue
		} else if !slices.Contains(known, name) {
			report(name, "no such annotation", "there are "+strings.Join(known, ", ")+" and parameter/NAME")
		} else if check := k.Settings[name]; check != nil {
			if err := check(settings[name]); err != nil {
				report(name, err.Error(), "correct it")
			}
		}
	}
	for _, name := range k.Required {
		if _, ok := settings[name]; !ok {
			report(name, "it is missing", "add it")
		}
	}
	if _, err := password.ParseRecipe(settings[length], ""); err != nil {
		report(length, err.Error(), "leave it out for 20")
	}
	if _, err := password.ParseRecipe("", settings[charset]); err != nil {
		report(charset, err.Error(), "leave it out for base58")
	}
	if v, ok := settings[value]; ok && v != "generated" && v != "issued" {
		report(value, "it is neither generated nor issued", "leave it out for generated")
	}
	return problems
}

// Siblings is part of target.Kind.
func (k Kind) Siblings(annotations map[string]string) target.Siblings {
	settings := k.settings(annotations)
	all := slices.Concat(strings.Fields(settings[variables]), strings.Fields(settings[secrets]))
	if k.Reads != nil {
		all = append(all, k.Reads(settings)...)
	}
	slices.Sort(all)
	return target.Siblings{Reads: slices.Compact(all)}
}

// Bind is part of target.Kind.
func (k Kind) Bind(b target.Binding) (target.Target, error) {
	if problems := k.Check(b.Annotations); len(problems) > 0 {
		p := problems[0]
		return nil, target.Errorf(target.Refused, nil, "annotation %s: %s: %s", p.Annotation, p.Message, p.Advice)
	}
	for _, name := range k.Siblings(b.Annotations).Reads {
		if b.Values[name].Len() == 0 {
			return nil, target.Errorf(target.Refused, nil, "variable %s has no value: set it", name)
		}
	}
	settings := k.settings(b.Annotations)
	recipe, err := password.ParseRecipe(settings[length], settings[charset])
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "%s", err)
	}
	program, err := k.Open(Place{Settings: settings, Values: b.Values, Dial: b.Dial})
	if err != nil {
		return nil, err
	}
	e := &errand{program: program, recipe: recipe, issued: settings[value] == "issued", rand: b.Rand,
		parameters: map[string]string{}, variables: map[string]secret.Bytes{}, secrets: map[string]secret.Bytes{}}
	for name, text := range settings {
		if name, ok := strings.CutPrefix(name, parameter); ok {
			e.parameters[name] = text
		}
	}
	for _, name := range strings.Fields(settings[variables]) {
		e.variables[name] = b.Values[name]
	}
	for _, name := range strings.Fields(settings[secrets]) {
		e.secrets[name] = b.Values[name]
		delete(e.variables, name)
	}
	return e, nil
}
