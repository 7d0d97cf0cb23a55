package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A pattern is matched against the raw path, one segment after the other, because
// an encoded slash within an id must not separate segments. Each captured segment is
// percent-decoded once; an id that arrives in several segments and one that arrives
// encoded in a single segment are the same id.

// slot is a place for a captured part of a path.
type slot uint8

const (
	authenticator slot = iota
	service
	account
	kind
	id
	member
	slots
)

// captures are the decoded parts of a path.
type captures [slots]string

// part is one element of a pattern.
type part struct {
	literal string            // matches itself, if not empty
	slot    slot              // else what matches is captured here
	rest    bool              // captures one or more segments
	fits    func(string) bool // nil: any text
}

var (
	roleKinds     = []string{"user", "host", "layer", "group", "policy", "host_factory"}
	resourceKinds = append([]string{"variable", "public_key", "webservice", "configuration"}, roleKinds...)
)

func oneOf(words []string) func(string) bool {
	return func(s string) bool { return slices.Contains(words, s) }
}

// parts are the placeholders that patterns are made of.
var parts = map[string]part{
	":authenticator": {slot: authenticator, fits: func(s string) bool { return strings.HasPrefix(s, "authn") }},
	":service":       {slot: service},
	":account":       {slot: account, fits: func(s string) bool { return !strings.ContainsAny(s, "/:") }}, // ids are split at colons
	":role_kind":     {slot: kind, fits: oneOf(roleKinds)},
	":resource_kind": {slot: kind, fits: oneOf(resourceKinds)},
	":value_kind":    {slot: kind, fits: oneOf([]string{"variable", "public_key"})},
	":key_kind":      {slot: kind, fits: oneOf([]string{"user", "public_key"})},
	":type":          {slot: kind},
	":any_kind":      {slot: kind},
	":id":            {slot: id},
	"*id":            {slot: id, rest: true},
	"*member":        {slot: member, rest: true},
}

// compile reads a pattern such as /roles/:account/:role_kind/*id. A placeholder that
// does not exist is a defect of the table, found when the program starts.
func compile(pattern string) []part {
	var compiled []part
	for word := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		switch {
		case word == "":
		case word[0] == ':' || word[0] == '*':
			p, ok := parts[word]
			if !ok {
				panic("httpapi: no placeholder " + word + " in " + pattern)
			}
			compiled = append(compiled, p)
		default:
			compiled = append(compiled, part{literal: word})
		}
	}
	return compiled
}

// match tells whether a collapsed path fits a pattern, and fills in what it captures.
// Several segments are captured as few as possible, except at the end of a pattern.
func match(pattern []part, path string, found *captures) bool {
	if len(pattern) == 0 {
		return path == ""
	}
	p := pattern[0]
	if p.rest {
		if len(pattern) == 1 {
			return path != "" && p.capture(path, found)
		}
		for i := strings.IndexByte(path, '/'); i >= 0; {
			if match(pattern[1:], path[i+1:], found) && p.capture(path[:i], found) {
				return true
			}
			next := strings.IndexByte(path[i+1:], '/')
			if next < 0 {
				return false
			}
			i += 1 + next
		}
		return false
	}
	segment, rest, _ := strings.Cut(path, "/")
	if p.literal != "" {
		return segment == p.literal && match(pattern[1:], rest, found)
	}
	return segment != "" && p.capture(segment, found) && match(pattern[1:], rest, found)
}

func (p part) capture(raw string, found *captures) bool {
	text := raw
	if strings.IndexByte(raw, '%') >= 0 {
		var err error
		if text, err = url.PathUnescape(raw); err != nil {
			return false
		}
	}
	if p.fits != nil && !p.fits(text) {
		return false
	}
	found[p.slot] = text
	return true
}

// rawPath is the path as it was sent. The parsed URL cannot be relied on for it: where
// the client's encoding is not the canonical one, an encoded slash may get lost.
func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// collapse removes leading, trailing and repeated slashes.
func collapse(path string) string {
	path = strings.Trim(path, "/")
	if !strings.Contains(path, "//") {
		return path
	}
	var b strings.Builder
	b.Grow(len(path))
	for i := range len(path) {
		if path[i] != '/' || path[i-1] != '/' {
			b.WriteByte(path[i])
		}
	}
	return b.String()
}
