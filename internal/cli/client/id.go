package client

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// kinds are those that ids without an account begin with.
var kinds = []string{"user", "host", "group", "layer", "policy", "variable", "webservice", "host_factory"}

// ID reads the id of a resource or role in any of its forms: account:kind:name,
// kind:name, or, if a kind is expected, name. Roles may also be written as they log
// in: host/name. An identifier may have colons.
func (s *Session) ID(text, kind string) (ident.ID, error) {
	first, rest, _ := strings.Cut(text, ":")
	second, name, full := strings.Cut(rest, ":")
	switch {
	case full && first != "" && name != "" && slices.Contains(kinds, second) && (first == s.Account || !slices.Contains(kinds, first)) && (kind == "" || second == kind):
		return ident.ID(text), nil
	case rest != "" && (first == kind || kind == "" && slices.Contains(kinds, first)):
		return ident.New(s.Account, first, rest), nil
	case kind == "host" && strings.HasPrefix(text, "host/"):
		return ident.New(s.Account, kind, strings.TrimPrefix(text, "host/")), nil
	case kind != "" && slices.Contains(kinds, first) && rest != "" && kind != "variable",
		kind != "" && full && second != kind && slices.Contains(kinds, second) && first == s.Account:
		e := fault.New(fault.Invalid, "'%s' is no %s", text, kind)
		e.Advice = "write a " + kind + " as name, " + kind + ":name or " + s.Account + ":" + kind + ":name"
		return "", e
	case kind != "" && text != "":
		return ident.New(s.Account, kind, text), nil
	case full && kind == "" && first != "" && second != "" && name != "":
		return ident.ID(text), nil // a kind of its own
	}
	e := fault.New(fault.Invalid, "'%s' is not an id", text)
	e.Advice = "write kind:name or account:kind:name"
	if found := s.search(text); len(found) > 0 {
		e.Advice = "did you mean " + strings.Join(found, " or ") + "?"
	}
	return "", e
}

// RoleID reads the id of a role: as ID does, or a login name.
func (s *Session) RoleID(text string) (ident.ID, error) {
	if strings.Contains(text, ":") || text == "" {
		return s.ID(text, "")
	}
	return ident.FromBasic(s.Account, text), nil
}

// Login is the login name for any form of the id of a role.
func (s *Session) Login(text string) (string, error) {
	if !strings.Contains(text, ":") {
		return text, nil
	}
	id, err := s.ID(text, "")
	if err != nil {
		return "", err
	}
	if id.Account() != s.Account {
		e := fault.New(fault.Invalid, "'%s' is of account '%s', but '%s' is configured", text, id.Account(), s.Account)
		e.Advice = "set CONJUR_ACCOUNT=" + id.Account()
		return "", e
	}
	return id.Login(), nil
}

// suggestion helps with an id that is not there, or with a variable without a value.
func (s *Session) suggestion(text string, task Task) string {
	id := ident.ID(text)
	if id.Kind() == "variable" && strings.HasPrefix(task.Do, "read") {
		versions, err := s.versions(id)
		switch {
		case err == nil && len(versions) == 0:
			return "it has no value yet: give it one with `rekey variable set -i " + id.Identifier() + "`"
		case err == nil:
			return "it has no such version: see `rekey variable history " + id.Identifier() + "`"
		}
	}
	found := s.search(id.Identifier())
	if slices.Contains(found, text) {
		return "" // it is there: something else is not
	}
	if len(found) == 0 {
		found = s.nearest(id)
	}
	if len(found) > 0 {
		return "did you mean " + strings.Join(found[:min(len(found), mostFound)], " or ") + "?"
	}
	who := s.Who
	if who == "" {
		who = s.subject()
	}
	return "it is not there, or '" + who + "' may not see it: `rekey list -r " + who + "` shows what that may see"
}

// meant is the one of several ids, with commas between, that a message speaks of.
func meant(ids, message string) string {
	for id := range strings.SplitSeq(ids, ", ") {
		if slices.Contains(strings.Fields(message), id) {
			return id
		}
	}
	return ids
}

// mostFound bounds suggestions.
const mostFound = 3

// search finds what has the same last part of its name. It is only for a hint, so
// that what goes wrong with it means no hint.
func (s *Session) search(name string) []string {
	last := path.Base(name)
	if name == "" || last == "/" {
		return nil
	}
	text, err := s.Get(s.API.ResourcesRequest(&conjurapi.ResourceFilter{Search: last, Limit: 100}))
	var resources []struct{ ID string }
	if err != nil || json.Unmarshal(text, &resources) != nil {
		return nil
	}
	var found []string
	for _, r := range resources {
		if path.Base(ident.ID(r.ID).Identifier()) == last {
			found = append(found, r.ID)
		}
	}
	return found
}
