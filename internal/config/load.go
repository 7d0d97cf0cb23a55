package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"rekey/internal/secret"
)

// Sources are what a configuration is read from. Flags win over the environment,
// the environment wins over the file, the file wins over the defaults. A blank text
// counts as not given in all of them.
type Sources struct {
	Flags   map[string]string // by name, only those that were given
	Environ []string          // NAME=value, as os.Environ gives it
	File    string            // path of the YAML file; if empty, that of REKEY_CONFIG or CONJUR_CONF
}

// Loaded is a configuration and the story of each of its values.
type Loaded struct {
	Config
	Values   []Value
	Warnings []string // settings that have no effect
}

// Problem is one thing that is wrong, where, and how to mend it.
type Problem struct {
	Setting string // key; empty for a problem of the file as a whole
	Source  string // as in Value
	Message string
	Remedy  string
}

func (p Problem) Error() string {
	text := p.Message + ": " + p.Remedy
	switch {
	case p.Setting == "":
		return p.Source + " " + text
	case p.Source == "":
		return p.Setting + " " + text
	}
	return p.Setting + " (" + p.Source + ") " + text
}

// given is a text that some source has for a setting.
type given struct{ text, source string }

// Load reads all settings. Its error joins all Problems there are (errors.Join).
func Load(src Sources) (*Loaded, error) { return load(src, false) }

// LoadLocal reads the settings that matter to a command that works on the data
// directory; those for the server only keep their zero values, right or wrong.
func LoadLocal(src Sources) (*Loaded, error) { return load(src, true) }

func load(src Sources, local bool) (*Loaded, error) {
	settings := table()
	env := environment(src.Environ)
	if src.File == "" {
		src.File = firstSet(env, "REKEY_CONFIG", "CONJUR_CONF").text
	}
	loaded := &Loaded{}
	file, problems := readFile(src.File, settings, &loaded.Warnings)
	for _, s := range settings {
		if local && s.ServerOnly {
			continue
		}
		got := given{s.Default, "default"}
		if text, ok := file[s.Key]; ok {
			got = text
		}
		if text := firstSet(env, s.Env...); text.source != "" {
			got = text
		}
		if text := src.Flags[s.Flag]; strings.TrimSpace(text) != "" {
			got = given{text, "flag --" + s.Flag}
		}
		if err := s.read(&loaded.Config, got.text); err != nil {
			problems = append(problems, Problem{s.Key, got.source, "cannot be used: " + err.Error(), "expected " + s.Type})
		}
		loaded.Values = append(loaded.Values, Value{Setting: s, Source: got.source})
	}
	loaded.Passwords = passwords(env)
	problems = append(problems, loaded.finish(local)...)
	loaded.Warnings = append(loaded.Warnings, unusedEnvironment(env, settings)...)
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
		}
		return nil, errors.Join(errs...)
	}
	return loaded, nil
}

// read sets the field of one setting; a blank text leaves it at its zero value.
func (s *Setting) read(c *Config, text string) error {
	if strings.TrimSpace(text) != "" {
		if err := parse(s.field(c), text); err != nil {
			return err
		}
	}
	if s.check != nil {
		return s.check(c)
	}
	return nil
}

// finish fills in what depends on other settings, and checks them together.
func (l *Loaded) finish(local bool) (problems []Problem) {
	if l.DataKeyFile == "" {
		l.DataKeyFile = filepath.Join(l.DataDir, "root.key")
	}
	sources := map[string]string{}
	for i := range l.Values {
		v := &l.Values[i]
		sources[v.Key] = v.Source
		switch p := v.Plain(&l.Config).(type) {
		case []string:
			v.Text = strings.Join(p, ",")
		default:
			v.Text = fmt.Sprint(p)
		}
	}
	l.DataKeyName = "file " + l.DataKeyFile
	if l.DataKey.Len() > 0 {
		l.DataKeyName = sources["data_key"]
	}
	if local {
		return nil
	}
	for _, p := range l.conflicts() {
		p.Source = sources[p.Setting]
		problems = append(problems, p)
	}
	return problems
}

// Source tells where the value of a setting comes from, as in Value.
func (l *Loaded) Source(key string) string {
	for _, v := range l.Values {
		if v.Key == key {
			return v.Source
		}
	}
	return ""
}

// Plain is the setting's value in c as a string, bool, number or list of strings;
// a secret is masked.
func (s *Setting) Plain(c *Config) any { return plain(s.field(c)) }

func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(value) != "" {
			env[name] = value
		}
	}
	return env
}

func firstSet(env map[string]string, names ...string) given {
	for _, name := range names {
		if text, ok := env[name]; ok {
			return given{text, "environment " + name}
		}
	}
	return given{}
}

// passwords are those for users that policies declare: CONJUR_PASSWORD_ALICE=...
func passwords(env map[string]string) map[string]secret.Bytes {
	found := map[string]secret.Bytes{}
	for name, value := range env {
		if id, ok := strings.CutPrefix(name, "CONJUR_PASSWORD_"); ok {
			found[id] = secret.FromString(value)
		}
	}
	return found
}

// unusedEnvironment finds variables that look like settings and are none.
func unusedEnvironment(env map[string]string, settings []*Setting) (warnings []string) {
	known := []string{"REKEY_CONFIG"}
	for _, s := range settings {
		known = append(known, s.Env...)
	}
	for name := range env {
		if strings.HasPrefix(name, "REKEY_") && !slices.Contains(known, name) {
			warnings = append(warnings, "environment "+name+" is not a setting and has no effect: `rekey config show` lists the settings")
		}
		if key, ok := strings.CutPrefix(name, "CONJUR_"); ok && slices.Contains(foreign, strings.ToLower(key)) {
			warnings = append(warnings, "environment "+name+" has no effect here")
		}
	}
	slices.Sort(warnings)
	return warnings
}
