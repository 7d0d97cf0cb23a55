package delegate

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
)

// shortest is the length of the shortest value that a message is searched for; shorter
// ones are in any text.
const shortest = 4

// maxMessage is how many characters of a program's words are shown.
const maxMessage = 200

// discreet is a program's message as one line, or a remark in its place if it repeats a
// value that the program was given, in any of the usual encodings.
func (q Question) discreet(message string) string {
	line := strings.Join(strings.FieldsFunc(message, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	for _, v := range q.secrets() {
		if v.Len() < shortest {
			continue
		}
		for _, form := range forms(v.RevealString()) {
			if strings.Contains(message, form) || strings.Contains(line, form) {
				return "its message repeats a value, so it is not shown"
			}
		}
	}
	if cut := []rune(line); len(cut) > maxMessage {
		line = string(cut[:maxMessage]) + "..."
	}
	return line
}

// forms are how a value may be written.
func forms(v string) []string {
	quoted, err := json.Marshal(v)
	if err != nil {
		quoted = []byte(`""`) // a string always can be
	}
	return []string{
		v, strings.TrimSpace(v), string(quoted[1 : len(quoted)-1]),
		url.QueryEscape(v), url.PathEscape(v),
		hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))),
		base64.StdEncoding.EncodeToString([]byte(v)), base64.RawStdEncoding.EncodeToString([]byte(v)), base64.URLEncoding.EncodeToString([]byte(v)),
	}
}
