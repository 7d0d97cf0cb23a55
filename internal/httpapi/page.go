package httpapi

import (
	"strconv"
	"strings"

	"rekey/internal/fault"
)

// defaultLimit is the length of a page of which only the offset is given.
const defaultLimit = 10

func badLimit() error {
	return fault.New(fault.Invalid, "'limit' contains an invalid value. 'limit' must be a positive integer.")
}

func badOffset() error {
	return fault.New(fault.Invalid, "'offset' contains an invalid value. 'offset' must be an integer greater than or equal to 0.")
}

// wholeList is a limit that clients send when they want everything: it may exceed the
// longest page.
const wholeList = 10000

// resourcePage reads limit and offset of a list of resources: plain decimal digits
// only. Without either, the limit is the longest page; 0 means that there is none.
func (q query) resourcePage(longest int) (limit, offset int, err error) {
	if text, ok := q.lookup("limit"); ok {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || strconv.Itoa(limit) != text {
			return 0, 0, badLimit()
		}
		if longest > 0 && limit > longest && limit != wholeList {
			return 0, 0, fault.New(fault.Invalid, "'Limit' parameter must not exceed %d", longest)
		}
	}
	if text, ok := q.lookup("offset"); ok {
		if offset, err = strconv.Atoi(text); err != nil || offset < 0 || strconv.Itoa(offset) != text {
			return 0, 0, badOffset()
		}
		if limit == 0 {
			limit = defaultLimit
		}
	}
	if limit == 0 {
		limit = longest
	}
	return limit, offset, nil
}

// memberPage reads limit and offset of a list of members, of which clients know that
// only the leading digits count.
func (q query) memberPage() (limit, offset int, err error) {
	limitText, limited := q.lookup("limit")
	offsetText, moved := q.lookup("offset")
	if limited {
		if limit = leadingInt(limitText); limit < 1 {
			return 0, 0, badLimit()
		}
	} else if moved {
		limit = defaultLimit
	}
	if offset = leadingInt(offsetText); offset < 0 {
		return 0, 0, badOffset()
	}
	return limit, offset, nil
}

// leadingInt is the integer that a text begins with, 0 if it begins with none, and at
// most a billion.
func leadingInt(s string) int {
	const most = 1_000_000_000
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		end = 1
	}
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil && end < 2 {
		return 0
	}
	return max(-most, min(n, most)) // beyond 64 bits Atoi returns the nearest integer
}
