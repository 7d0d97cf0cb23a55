// Package conjur rotates the API key of a host or user of a server that speaks Conjur's
// protocol, be it another rekey, this one, or a Conjur: kind conjur/api-key.
//
// The rotated variable holds the key. Beside it variables url (https://host, with a path
// if the API is below one), account and username (the login name: alice, host/app/web)
// are read. The host or user changes the own key; or somebody with update on it does,
// whose login name and key are in the variables that annotations admin-username and
// admin-api-key name. Annotation ca is that of package cloud.
//
// A rekey hands out a staged key: the present one goes on until the new one is used for
// the first time, and asking again by the same name gives the same key, so no answer that
// is lost costs anything. The name is the intent, durable before the key is asked for.
// Conjur replaces a key at once. If the answer with it is lost there, only an
// administrator can make another one.
//
// It imports target, cloud, period and secret.
package conjur

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"rekey/internal/period"
	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

const (
	address       = "url"
	account       = "account"
	username      = "username"
	adminUsername = "admin-username"
	adminKey      = "admin-api-key"
)

// kind is cloud.Kind, but that an old key lasts only if somebody says so, and no longer
// than a server lets it.
type kind struct{ cloud.Kind }

// Kind is conjur/api-key.
func Kind() target.Kind {
	return kind{cloud.Kind{
		Kind:     "conjur/api-key",
		Settings: map[string]func(string) error{adminUsername: nil, adminKey: nil},
		Pairs:    [][2]string{{adminUsername, adminKey}},
		Beside: func(settings map[string]string) target.Siblings {
			s := target.Siblings{Reads: []string{address, account, username}}
			if settings[adminUsername] != "" {
				s.Reads = append(s.Reads, settings[adminUsername], settings[adminKey])
			}
			return s
		},
		Open: open,
	}}
}

// Lasts is part of target.Lasting.
func (kind) Lasts() bool { return false }

// Keeps is part of target.Keeping: the server ends an old key by itself.
func (kind) Keeps(map[string]string) bool { return false }

// The annotation of the engine's that the server has to be told, and the most that it
// grants.
const (
	grace        = "rotation/grace"
	longestGrace = 30 * period.Day
)

// Check is part of target.Kind.
func (k kind) Check(annotations map[string]string) []target.Problem {
	problems := k.Kind.Check(annotations)
	if d, err := period.Parse(annotations[grace]); err == nil && d > longestGrace {
		problems = append(problems, target.Problem{Annotation: grace, Message: "a server lets an old API key go on for 30 days at most", Advice: "write P30D or less"})
	}
	return problems
}

// Bind is part of target.Kind.
func (k kind) Bind(b target.Binding) (target.Target, error) {
	made, err := k.Kind.Bind(b)
	if err != nil {
		return nil, err
	}
	r := made.(*role) // open makes nothing else
	if text := b.Annotations[grace]; text != "" {
		if r.grace, err = period.Parse(text); err != nil || r.grace > longestGrace {
			return nil, target.Errorf(target.Refused, err, "annotation %s is not a time of 30 days or less", grace)
		}
	}
	return r, nil
}

// role is a host or user of a server.
type role struct {
	server  *url.URL
	account string
	login   string
	admin   *login // nil: it changes its own key
	grace   time.Duration
	client  *cloud.Client
	rand    io.Reader
}

// login is somebody who logs in.
type login struct {
	name string
	key  secret.Bytes
}

var (
	_ target.Target    = (*role)(nil)
	_ target.Resetter  = (*role)(nil)
	_ target.Rehearser = (*role)(nil)
)

func open(p cloud.Place) (target.Target, error) {
	text := func(variable string) string { return strings.TrimSpace(p.Values[variable].RevealString()) }
	r := &role{account: text(account), login: text(username), client: p.Client, rand: p.Rand}
	var err error
	if r.server, err = parseURL(text(address)); err != nil {
		return nil, target.Errorf(target.Refused, err, "variable %s: %s", address, err)
	}
	if r.account == "" || strings.ContainsAny(r.account, ":/") || !plain(r.account) {
		return nil, target.Errorf(target.Refused, nil, "variable %s holds no name of an account", account)
	}
	names := map[string]string{username: r.login}
	if name := p.Settings[adminUsername]; name != "" {
		r.admin = &login{text(name), p.Values[p.Settings[adminKey]]}
		names[name] = r.admin.name
	}
	for variable, name := range names {
		if name == "" || strings.Contains(name, ":") || !plain(name) {
			return nil, target.Errorf(target.Refused, nil, "variable %s holds no login name, such as alice or host/app/web", variable)
		}
	}
	if r.admin != nil && roleOf(r.admin.name) == roleOf(r.login) {
		return nil, target.Errorf(target.Refused, nil, "%q is its own administrator: leave out annotations %s and %s, so that it changes its own key", r.login, adminUsername, adminKey)
	}
	return r, nil
}

// parseURL reads where a server is: https://host:port, and a path if there is one.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("it must be https://host, https://host:port or one of the two with a path, and no more")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// plain tells whether text has no control characters.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// roleOf is the role that authenticates under a login name, as kind:identifier.
func roleOf(login string) string {
	for _, kind := range [...]string{"host", "user"} {
		if rest, ok := strings.CutPrefix(login, kind+"/"); ok {
			return kind + ":" + rest
		}
	}
	return "user:" + login
}

// Identity is part of target.Target.
func (r *role) Identity() string {
	by := "itself"
	if r.admin != nil {
		by = roleOf(r.admin.name)
	}
	return fmt.Sprintf("%s conjur %q account %q role %q by %q %s", cloud.Address(r.server), r.server.Path, r.account, roleOf(r.login), by, r.client.Security())
}

// Resets is part of target.Resetter.
func (r *role) Resets() bool { return r.admin != nil }

// request is what an intent has: the name of a rotation. A key that has just been issued
// bears it, too, until it is published.
const request = "request"

// Candidate is part of target.Target: an intent, since the server makes the keys.
func (r *role) Candidate(target.Credential) (target.Credential, error) {
	name, err := uuid.NewRandomFromReader(r.rand)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "there is no randomness for the name of a rotation")
	}
	return target.Credential{request: secret.FromString(cloud.Agent + "-" + name.String())}, nil
}
