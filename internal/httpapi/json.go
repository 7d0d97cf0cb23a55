package httpapi

import (
	"net/netip"
	"time"
	"unicode/utf8"

	"rekey/internal/ident"
)

// The answers are appended by hand: lists of a thousand resources are frequent, and
// reflection would cost more than all the rest of the request. The text is what
// encoding/json writes, < > & and the line separators U+2028 and U+2029 escaped.

const hexDigits = "0123456789abcdef"

// plain tells for each ASCII character whether it stands for itself in a JSON string.
var plain = func() (table [utf8.RuneSelf]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return table
}()

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString[T string | ident.ID | []byte](to []byte, s T) []byte {
	to = append(to, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			to = append(to, s[start:i]...)
			switch c {
			case '"', '\\':
				to = append(to, '\\', c)
			case '\b':
				to = append(to, '\\', 'b')
			case '\f':
				to = append(to, '\\', 'f')
			case '\n':
				to = append(to, '\\', 'n')
			case '\r':
				to = append(to, '\\', 'r')
			case '\t':
				to = append(to, '\\', 't')
			default:
				to = append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		switch {
		case r == utf8.RuneError && size == 1:
			to = append(to, s[start:i]...)
			to = append(to, `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			to = append(to, s[start:i]...)
			to = append(to, '\\', 'u', '2', '0', '2', hexDigits[r&15])
			start = i + size
		}
		i += size
	}
	to = append(to, s[start:]...)
	return append(to, '"')
}

// timeLayout is ISO 8601 with milliseconds and a numeric offset.
const timeLayout = "2006-01-02T15:04:05.000-07:00"

// appendTime appends a time in UTC as a JSON string, null for the zero time.
func appendTime(to []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(to, "null"...)
	}
	to = append(to, '"')
	to = t.UTC().AppendFormat(to, timeLayout)
	return append(to, '"')
}

// appendList appends a JSON array, each element by the given appender.
func appendList[T any](to []byte, list []T, each func([]byte, T) []byte) []byte {
	to = append(to, '[')
	for i := range list {
		if i > 0 {
			to = append(to, ',')
		}
		to = each(to, list[i])
	}
	return append(to, ']')
}

// appendAddress appends an IP address as a JSON string, null if there is none.
func appendAddress(to []byte, ip netip.Addr) []byte {
	if !ip.IsValid() {
		return append(to, "null"...)
	}
	to = append(to, '"')
	to = ip.AppendTo(to)
	return append(to, '"')
}
