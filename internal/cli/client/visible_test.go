package client

import "testing"

func TestVisible(t *testing.T) {
	for _, c := range []struct{ name, text, one, several string }{
		{"nothing to hide", "déjà vu, 漢字 “x”", "déjà vu, 漢字 “x”", "déjà vu, 漢字 “x”"},
		{"lines", "a\n\tb", `a\n\tb`, "a\n\tb"},
		{"an escape", "\x1b]0;x\a\x7f", `\x1b]0;x\a\x7f`, `\x1b]0;x\a\x7f`},
		{"over the line", "a\rb\r\n", `a\rb\r\n`, "a\\rb\\r\n"},
		{"an escape of eight bits", "\u009b2J", `\u009b2J`, `\u009b2J`},
		{"backwards", "\u202egnp", `\u202egnp`, `\u202egnp`},
		{"no UTF-8", "a\x9b2J", "a\ufffd2J", "a\ufffd2J"},
		{"quotes and backslashes", `'"\`, `'"\`, `'"\`},
	} {
		if got := Visible(c.text); got != c.one {
			t.Errorf("%s: Visible gives %q", c.name, got)
		}
		if got := VisibleLines(c.text); got != c.several {
			t.Errorf("%s: VisibleLines gives %q", c.name, got)
		}
	}
}
