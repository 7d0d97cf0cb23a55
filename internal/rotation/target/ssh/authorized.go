package ssh

import (
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/ssh"
)

// authorizedKeys is the content of an authorized_keys file (sshd(8)). What is not asked
// for stays as it is, byte for byte.
type authorizedKeys string

// has tells whether a line is of a key.
func (f authorizedKeys) has(key ssh.PublicKey) bool {
	for line := range strings.Lines(string(f)) {
		if _, _, ok := split(line, key); ok {
			return true
		}
	}
	return false
}

// beside adds a line for a key after the first one of another, with its options and its
// comment; false if there is none of it.
func (f authorizedKeys) beside(old, added ssh.PublicKey) (authorizedKeys, bool) {
	var out strings.Builder
	found := false
	for line := range strings.Lines(string(f)) {
		out.WriteString(line)
		options, comment, ok := split(line, old)
		if !ok || found {
			continue
		}
		found = true
		if !strings.HasSuffix(line, "\n") {
			out.WriteByte('\n')
		}
		out.WriteString(options + text(added) + comment)
	}
	return authorizedKeys(out.String()), found
}

// with adds a line for a key at the end, without options.
func (f authorizedKeys) with(added ssh.PublicKey) authorizedKeys {
	if f != "" && !strings.HasSuffix(string(f), "\n") {
		f += "\n"
	}
	return f + authorizedKeys(text(added)+"\n")
}

// without leaves out the lines of a key.
func (f authorizedKeys) without(key ssh.PublicKey) authorizedKeys {
	var out strings.Builder
	for line := range strings.Lines(string(f)) {
		if _, _, ok := split(line, key); !ok {
			out.WriteString(line)
		}
	}
	return authorizedKeys(out.String())
}

// text is a key as a line has it: its type and its content.
func text(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// split cuts a line of a key into what comes before the key and what comes after it,
// with the blanks; false if the line is of another key, or of none.
func split(line string, key ssh.PublicKey) (options, rest string, ok bool) {
	at := skip(line, 0)
	if at == len(line) || line[at] == '#' {
		return "", "", false
	}
	// A line begins with the type of the key, or with options and then the type.
	for range 2 {
		name := word(line, at)
		begin := skip(line, name)
		end := word(line, begin)
		blob, err := base64.StdEncoding.DecodeString(line[begin:end])
		if err == nil && len(blob) > 0 && string(blob) == string(key.Marshal()) {
			return line[:at], line[end:], true
		}
		at = begin
	}
	return "", "", false
}

// skip is where the blanks end that begin at a place.
func skip(line string, at int) int {
	for at < len(line) && strings.IndexByte(" \t\r\n", line[at]) >= 0 {
		at++
	}
	return at
}

// word is where the word ends that begins at a place; blanks between quotes belong to it.
func word(line string, at int) int {
	quoted := false
	for ; at < len(line); at++ {
		switch c := line[at]; {
		case c == '\\' && at+1 < len(line) && line[at+1] == '"':
			at++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return at
		}
	}
	return at
}
