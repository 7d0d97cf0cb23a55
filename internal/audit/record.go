// Package audit is the audit trail: what a record says, how it is written down
// (RFC 5424), and where it goes.
//
// Message texts, message ids, operations and structured-data ids are Conjur's,
// since the rules of log analysers depend on them; the constructors in this
// package are the list of all events.
//
// It promises that [Log.Write] returns nil only when the operating system has
// every byte of the records, so that no answer needs to leave before its record;
// that a record is one line whatever names and messages contain; and that a line
// that could only be written in part does not spoil the next one. It takes no
// secrets: nothing here has a parameter for one.
//
// It imports ident and fault.
package audit

import (
	"os"
	"strconv"
	"time"
	"unicode/utf8"
)

// Facility is who speaks, as a syslog facility (RFC 5424 section 6.2.1).
type Facility int

// The facilities in use.
const (
	Auth     Facility = 4  // identity checks
	Authpriv Facility = 10 // everything else
)

// Severity is a syslog severity (RFC 5424 section 6.2.1).
type Severity int

// The severities in use.
const (
	Warning Severity = 4 // failure
	Notice  Severity = 5 // policy events, success or not
	Info    Severity = 6 // success
)

// Result is how an action ended.
type Result string

// The results.
const (
	Success Result = "success"
	Failure Result = "failure"
)

// Pair is a parameter of structured data.
type Pair struct{ Name, Value string }

// Record is one event. Each list of pairs keeps its order.
type Record struct {
	Time      time.Time
	RequestID string // of the request that caused it; empty: the process id takes its place
	Facility  Facility
	Severity  Severity
	MsgID     string // the kind of event
	Operation string
	Result    Result
	Subject   []Pair // what was acted on
	Auth      []Pair // who acted
	ClientIP  string
	Policy    []Pair // id and version of the policy, in policy events only
	Message   string
}

// Private enterprise number of the structured-data ids.
const enterprise = "@43868"

const (
	maxProcID = 128 // RFC 5424 section 6
	maxName   = 32
)

var processID = strconv.Itoa(os.Getpid())

// AppendRFC5424 appends the record as one line, without the line end:
//
//	<PRI>1 TIME - conjur PROCID MSGID [auth@43868 ...][subject@43868 ...][client@43868 ip="..."][action@43868 result="..." operation="..."] MESSAGE
//
// The policy element comes last, where there is one; authentication and identity
// events have subject before auth. Time is UTC with milliseconds.
func AppendRFC5424(dst []byte, r *Record) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(r.Facility)*8+int64(r.Severity), 10)
	dst = append(dst, ">1 "...)
	dst = appendTime(dst, r.Time.UTC())
	dst = append(dst, " - conjur "...)
	if r.RequestID == "" {
		dst = append(dst, processID...)
	} else {
		dst = appendName(dst, r.RequestID, maxProcID)
	}
	dst = append(dst, ' ')
	dst = appendName(dst, r.MsgID, maxName)
	dst = append(dst, ' ')
	if r.MsgID == msgAuthn || r.MsgID == msgIdentity {
		dst = appendElement(dst, "subject", r.Subject)
		dst = appendElement(dst, "auth", r.Auth)
	} else {
		dst = appendElement(dst, "auth", r.Auth)
		dst = appendElement(dst, "subject", r.Subject)
	}
	dst = append(dst, "[client"+enterprise+` ip="`...)
	dst = appendEscaped(dst, r.ClientIP, true)
	dst = append(dst, `"][action`+enterprise+` result="`...)
	dst = appendEscaped(dst, string(r.Result), true)
	dst = append(dst, `" operation="`...)
	dst = appendEscaped(dst, r.Operation, true)
	dst = append(dst, `"]`...)
	if len(r.Policy) > 0 {
		dst = appendElement(dst, "policy", r.Policy)
	}
	dst = append(dst, ' ')
	return appendEscaped(dst, r.Message, false)
}

// appendTime appends a time as 2006-01-02T15:04:05.000Z, for which package time has a
// short cut only as far as the seconds.
func appendTime(dst []byte, t time.Time) []byte {
	dst = t.AppendFormat(dst, time.RFC3339)
	ms := t.Nanosecond() / 1e6
	return append(dst[:len(dst)-len("Z")], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

func appendElement(dst []byte, id string, pairs []Pair) []byte {
	dst = append(dst, '[')
	dst = append(append(dst, id...), enterprise...)
	for _, pair := range pairs {
		dst = append(dst, ' ')
		dst = appendName(dst, pair.Name, maxName)
		dst = append(dst, '=', '"')
		dst = appendEscaped(dst, pair.Value, true)
		dst = append(dst, '"')
	}
	return append(dst, ']')
}

// appendName appends what must be printable ASCII without delimiters (RFC 5424
// section 6.3.3), at most so many characters.
func appendName(dst []byte, name string, limit int) []byte {
	for i := range min(len(name), limit) {
		c := name[i]
		if c <= ' ' || c > '~' || c == '=' || c == ']' || c == '"' {
			c = '_'
		}
		dst = append(dst, c)
	}
	if name == "" {
		dst = append(dst, '-')
	}
	return dst
}

// appendEscaped appends text on one line: control characters as in C strings, and
// bytes that are not UTF-8 in hexadecimal. In a quoted value the delimiters are
// escaped too (RFC 5424 section 6.3.3).
func appendEscaped(dst []byte, text string, quoted bool) []byte {
	plain := 0 // where the text begins that is not appended yet
	for i := 0; i < len(text); {
		if c := text[i]; ' ' <= c && c < 0x7f && c != '"' && c != '\\' && c != ']' {
			i++ // nearly all of any record, and faster than what follows
			continue
		}
		c, size := utf8.DecodeRuneInString(text[i:])
		if needsEscape(c, size, quoted) {
			dst = appendEscape(append(dst, text[plain:i]...), text[i:i+size])
			plain = i + size
		}
		i += size
	}
	return append(dst, text[plain:]...)
}

func needsEscape(c rune, size int, quoted bool) bool {
	switch c {
	case '"', '\\', ']':
		return quoted
	case utf8.RuneError:
		return size == 1 // else it was written as such
	case '\u2028', '\u2029': // some readers break lines here
		return true
	}
	return c < ' ' || 0x7f <= c && c < 0xa0
}

func appendEscape(dst []byte, char string) []byte {
	switch char {
	case `"`, `\`, `]`:
		return append(dst, '\\', char[0])
	case "\n":
		return append(dst, `\n`...)
	case "\r":
		return append(dst, `\r`...)
	case "\t":
		return append(dst, `\t`...)
	}
	const digits = "0123456789abcdef"
	for i := range len(char) {
		dst = append(dst, '\\', 'x', digits[char[i]>>4], digits[char[i]&15])
	}
	return dst
}
