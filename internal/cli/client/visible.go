package client

import (
	"strconv"
	"strings"
	"unicode"
)

// Visible writes what is neither a sign nor a blank in the way of Go, such as \x1b. Ids,
// annotations and messages come from others, and are shown to whoever looks: they shall
// not steer a terminal, nor look like more lines than they are.
func Visible(text string) string { return showing(text, "") }

// VisibleLines is Visible for a text of several lines.
func VisibleLines(text string) string { return showing(text, "\n\t") }

func showing(text, except string) string {
	text = strings.ToValidUTF8(text, string(unicode.ReplacementChar))
	hidden := func(r rune) bool { return !unicode.IsGraphic(r) && !strings.ContainsRune(except, r) }
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if hidden(r) {
			quoted := strconv.QuoteRune(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}
