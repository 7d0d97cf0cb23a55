package httpapi

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// query is the parsed query string, in the order in which it was sent. Only these
// parameters select an action; a body never does.
type query []parameter

type parameter struct{ name, value string }

// parseQuery appends the parameters of a raw query. ok is false if a percent escape is
// malformed or the text is not UTF-8.
func parseQuery(to query, raw string) (q query, ok bool) {
	q = to
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok := unescape(name)
		if !ok {
			return q, false
		}
		value, ok = unescape(value)
		if !ok {
			return q, false
		}
		q = append(q, parameter{name, value})
	}
	return q, true
}

func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '+') >= 0 {
		var err error
		if s, err = url.QueryUnescape(s); err != nil {
			return "", false
		}
	}
	return s, utf8.ValidString(s)
}

// has tells whether a parameter is present, with whatever value.
func (q query) has(name string) bool {
	_, ok := q.lookup(name)
	return ok
}

// get is the value of a parameter, "" if it is absent. The last one counts.
func (q query) get(name string) string {
	value, _ := q.lookup(name)
	return value
}

func (q query) lookup(name string) (string, bool) {
	for i := len(q) - 1; i >= 0; i-- {
		if q[i].name == name {
			return q[i].value, true
		}
	}
	return "", false
}

// optional is the value of a parameter, nil if it is absent.
func (q query) optional(name string) *string {
	if value, ok := q.lookup(name); ok {
		return &value
	}
	return nil
}

// list has the values of a parameter that may be repeated under the name with [], or
// else the one value under the plain name; nil if there is neither.
func (q query) list(name string) []string {
	var values []string
	for _, p := range q {
		if len(p.name) == len(name)+2 && strings.HasPrefix(p.name, name) && strings.HasSuffix(p.name, "[]") {
			values = append(values, p.value)
		}
	}
	if values == nil {
		if value, ok := q.lookup(name); ok {
			values = []string{value}
		}
	}
	return values
}

// hasNull tells whether a name or value has a NUL character.
func (q query) hasNull() bool {
	for _, p := range q {
		if strings.IndexByte(p.name, 0) >= 0 || strings.IndexByte(p.value, 0) >= 0 {
			return true
		}
	}
	return false
}
