// Package password is what the kinds of targets share whose credential is the password
// of a user: how passwords are made, and who changes them. A kind adds how to log in
// and how to set a password (System and Session), no more.
//
// The annotations, below the kind's own prefix, such as rotation/redis/password/length:
//
//	length          characters of a generated password, 8 to 128; 20 if not given
//	charset         "base58" (the default), or classes that must each occur:
//	                some of "lower upper digit symbol"
//	admin-username  names of variables that hold the user name and the password of an
//	admin-password  administrator, who then sets the password; without them the user
//	                does it, logged in with the current password
//	users           two user names with a comma between: they take turns, so that the
//	                previous password works until the next turn. An administrator is
//	                needed, and variable username is written with the password
//
// A variable is named by its name in the folder of the password, or by its identifier
// after a slash.
//
// It imports target and secret only.
package password

import (
	"maps"
	"slices"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// Username is the variable beside the password that holds the name of its user.
const Username = "username"

// The annotations that all these kinds know.
const (
	length        = "length"
	charset       = "charset"
	adminUsername = "admin-username"
	adminPassword = "admin-password"
	users         = "users"
)

// grace is an annotation of the engine's.
const grace = "rotation/grace"

// Place is what a system is opened from.
type Place struct {
	Settings map[string]string       // the kind's annotations, by what follows its prefix
	Values   map[string]secret.Bytes // as in target.Binding
	Dial     target.Dial
	// Grace: one user has one password after the other, and the old one is to go on for a
	// while, if the system can keep two.
	Grace bool
}

// Kind makes targets of one kind.
type Kind struct {
	Kind     string                                    // such as "redis/password"
	Settings map[string]func(string) error             // annotations beside the common ones; nil accepts any text
	Reads    func(settings map[string]string) []string // variables beside username and the administrator's
	Open     func(Place) (System, error)               // errors as those of target.Kind's Bind
	Valid    func(user string, p secret.Bytes) error   // refuses what the system cannot hold; nil: anything goes
	Both     bool                                      // one user can have two passwords, at least on some servers: Open may return a Keeper
}

var (
	_ target.Kind    = Kind{}
	_ target.Keeping = Kind{}
)

// Name is part of target.Kind.
func (k Kind) Name() string { return k.Kind }

func (k Kind) prefix() string { return "rotation/" + k.Kind + "/" }

// settings are the kind's own annotations, by what follows the prefix.
func (k Kind) settings(annotations map[string]string) map[string]string {
	own := map[string]string{}
	for name, value := range annotations {
		if short, ok := strings.CutPrefix(name, k.prefix()); ok {
			own[short] = value
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
	known := slices.Concat([]string{length, charset, adminUsername, adminPassword, users}, slices.Collect(maps.Keys(k.Settings)))
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(known, name) {
			report(name, "no such annotation", "there are "+strings.Join(known, ", "))
		} else if check := k.Settings[name]; check != nil {
			if err := check(settings[name]); err != nil {
				report(name, err.Error(), "correct it or leave it out")
			}
		}
	}
	if _, err := ParseRecipe(settings[length], ""); err != nil {
		report(length, err.Error(), "leave it out for 20")
	}
	if _, err := ParseRecipe("", settings[charset]); err != nil {
		report(charset, err.Error(), "leave it out for base58")
	}
	if (settings[adminUsername] == "") != (settings[adminPassword] == "") {
		report(adminUsername, "an administrator has a user name and a password, and only one of the two is named", "name both variables, or none")
	}
	if list, ok := settings[users]; ok {
		if _, err := parseUsers(list); err != nil {
			report(users, err.Error(), "name two users, such as app_a,app_b")
		}
		if settings[adminUsername] == "" {
			report(users, "users who take turns need an administrator", "name the variables of one by admin-username and admin-password")
		}
	}
	return problems
}

// Keeps is part of target.Keeping: the old password of a single user mostly ends in the
// moment in which the new one is set.
func (k Kind) Keeps(annotations map[string]string) bool {
	return k.Both || k.settings(annotations)[users] != ""
}

// Siblings is part of target.Kind.
func (k Kind) Siblings(annotations map[string]string) target.Siblings {
	settings := k.settings(annotations)
	var s target.Siblings
	if settings[users] == "" {
		s.Reads = append(s.Reads, Username)
	} else {
		s.Writes = append(s.Writes, Username)
	}
	for _, name := range []string{settings[adminUsername], settings[adminPassword]} {
		if name != "" {
			s.Reads = append(s.Reads, name)
		}
	}
	if k.Reads != nil {
		s.Reads = append(s.Reads, k.Reads(settings)...)
	}
	return s
}

// Bind is part of target.Kind.
func (k Kind) Bind(b target.Binding) (target.Target, error) {
	if problems := k.Check(b.Annotations); len(problems) > 0 {
		p := problems[0]
		return nil, target.Errorf(target.Refused, nil, "annotation %s: %s: %s", p.Annotation, p.Message, p.Advice)
	}
	settings := k.settings(b.Annotations)
	for _, name := range k.Siblings(b.Annotations).Reads {
		if bare, optional := strings.CutSuffix(name, "?"); !optional && b.Values[bare].Len() == 0 {
			return nil, target.Errorf(target.Refused, nil, "variable %s beside the password has no value: set it", bare)
		}
	}
	recipe, err := ParseRecipe(settings[length], settings[charset])
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "%s", err)
	}
	a := &account{recipe: recipe, rand: b.Rand, valid: k.Valid}
	if settings[users] == "" {
		a.users = []string{b.Values[Username].RevealString()}
	} else if a.users, err = parseUsers(settings[users]); err != nil {
		return nil, target.Errorf(target.Refused, err, "%s", err)
	}
	if settings[adminUsername] != "" {
		a.admin = &login{b.Values[settings[adminUsername]].RevealString(), b.Values[settings[adminPassword]]}
	}
	a.system, err = k.Open(Place{Settings: settings, Values: b.Values, Dial: b.Dial, Grace: b.Annotations[grace] != "" && settings[users] == ""})
	if err != nil {
		return nil, err
	}
	for _, user := range a.users {
		if err := a.check(user, secret.Bytes{}); err != nil {
			return nil, err
		}
	}
	return a, nil
}
