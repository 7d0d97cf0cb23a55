package cli

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var digest = strings.Repeat("0123456789abcdef", 4)

func TestTablesFitATerminal(t *testing.T) {
	header := []string{"VARIABLE", "DUE", "PROBLEM"}
	rows := narrowed(header, [][]string{
		{"db/password", "2026-11-22T05:47:40.123Z", "refused: the target has changed from db:5432 verify-full " + digest + " to another one, and somebody has to say so"},
		{"x", "-", "short"},
	})
	if got := rows[0]; got[1] != "2026-11-22T05:47:40Z" || !strings.Contains(got[2], "…") {
		t.Errorf("%q", got)
	}
	if width := len("db/password") + 2 + len("2026-11-22T05:47:40Z") + 2 + utf8.RuneCountInString(rows[0][2]); width != wide {
		t.Errorf("it is %d wide", width)
	}
	if got := rows[1]; !slices.Equal(got, []string{"x", "-", "short"}) {
		t.Errorf("%q", got)
	}
	if brief("at "+digest) != "at 0123456789ab…" || brief(digest+"0") != digest+"0" {
		t.Error("a digest is not shortened, or what is none is")
	}
}

func TestLongWordsOfAStatusAreWrapped(t *testing.T) {
	said := strings.TrimSpace(strings.Repeat("the target is away ", 12))
	lines := wrapped([][]string{{"state", "idle"}, {"problem", said}, {"failed", "3 times"}})
	var again []string
	for _, line := range lines {
		if utf8.RuneCountInString(line[1]) > wide-len("problem")-2 {
			t.Errorf("%q is too long", line)
		}
		if line[0] == "problem" || line[0] == "" {
			again = append(again, line[1])
		}
	}
	if strings.Join(again, " ") != said || len(again) < 3 || lines[len(lines)-1][0] != "failed" {
		t.Errorf("%q", lines)
	}
}
