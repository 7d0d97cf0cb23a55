package cli

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// wide is how wide a table should be at most, in characters: that of a terminal which
// nobody has resized.
const wide = 80

// brief is a text as tables show it: digests by their first twelve digits and moments by
// the second. All of it is in the other formats.
func brief(text string) string {
	text = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`).ReplaceAllString(text, "$1…")
	return regexp.MustCompile(`(T\d\d:\d\d:\d\d)\.\d+Z`).ReplaceAllString(text, "${1}Z")
}

// least is how much of a last column is shown, however wide the others are.
const least = 24

// narrowed is a table of which the cells are brief, and those of the last column no longer
// than there is room for.
func narrowed(header []string, rows [][]string) [][]string {
	last := len(header) - 1
	room := wide
	for i, name := range header[:last] {
		width := utf8.RuneCountInString(name)
		for _, row := range rows {
			row[i] = brief(row[i])
			width = max(width, utf8.RuneCountInString(row[i]))
		}
		room -= width + 2
	}
	room = max(room, least)
	for _, row := range rows {
		if text := []rune(brief(row[last])); len(text) > room {
			row[last] = string(text[:room-1]) + "…"
		} else {
			row[last] = string(text)
		}
	}
	return rows
}

// wrapped is a table of names and what is said of them, brief, and on as many lines as
// that takes.
func wrapped(rows [][]string) (lines [][]string) {
	room := wide
	for _, row := range rows {
		room = min(room, wide-utf8.RuneCountInString(row[0])-2)
	}
	for _, row := range rows {
		name, line := row[0], ""
		for word := range strings.FieldsSeq(brief(row[1])) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
				lines = append(lines, []string{name, line})
				name, line = "", ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		lines = append(lines, []string{name, line})
	}
	return lines
}
