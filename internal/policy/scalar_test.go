package policy

import (
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestScalarsAreTyped(t *testing.T) {
	for _, c := range []struct {
		text  string
		class class
		want  string
	}{
		{"0", classInteger, "0"}, {"-7", classInteger, "-7"}, {"+7", classInteger, "7"}, {"-0", classInteger, "0"},
		{"1,000", classInteger, "1000"}, {"1_000", classInteger, "1000"}, {"010", classInteger, "8"},
		{"0x1F", classInteger, "31"}, {"0b101", classInteger, "5"}, {"-0x_f", classInteger, "-15"},
		{"123456789012345678901234567890", classInteger, "123456789012345678901234567890"},
		{"1.10", classFloat, "1.1"}, {".5", classFloat, "0.5"}, {"-1.0", classFloat, "-1.0"}, {"100.0", classFloat, "100.0"},
		{"1.5e+3", classFloat, "1500.0"}, {"1.0e+20", classFloat, "1.0e+20"}, {"1.25e-7", classFloat, "1.25e-07"},
		{"1.0e+999", classFloat, "Infinity"}, {".inf", classFloat, "Infinity"}, {"-.INF", classFloat, "-Infinity"}, {".NaN", classFloat, "NaN"},
		{"12:30", classFloat, "750.0"}, {"1:00:00", classFloat, "3600.0"}, {"-1:30", classFloat, "-90.0"},
		{"", classNil, ""}, {"~", classNil, ""}, {"Null", classNil, ""},
		{"yes", classTrue, "true"}, {"On", classTrue, "true"}, {"TRUE", classTrue, "true"},
		{"no", classFalse, "false"}, {"OFF", classFalse, "false"}, {"false", classFalse, "false"},
		{"2024-01-31", classDate, "2024-01-31"}, {"2024-01-31 10:00:00", classTime, "2024-01-31 10:00:00"}, {"2024-01-31T10:00:00Z", classTime, "2024-01-31T10:00:00Z"},
		{"2024-02-31", classString, "2024-02-31"},
		{"0999", classString, "0999"}, {"1.2.3.4", classString, "1.2.3.4"}, {"10:99", classString, "10:99"}, {"1e5", classString, "1e5"},
		{"0x", classString, "0x"}, {"0x_", classString, "0x_"}, {"-", classString, "-"}, {".", classString, "."}, {"+x", classString, "+x"},
		{"y", classString, "y"}, {"n", classString, "n"}, {"nil", classString, "nil"}, {"alice", classString, "alice"}, {"7up", classString, "7up"},
	} {
		t.Run(c.text, func(t *testing.T) {
			class, text := typed(&yaml.Node{Kind: yaml.ScalarNode, Value: c.text})
			if class != c.class || text != c.want {
				t.Errorf("got %s %q, want %s %q", class, text, c.class, c.want)
			}
		})
	}
}

func TestQuotedScalarsAreStrings(t *testing.T) {
	for _, style := range []yaml.Style{yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle} {
		if c, text := typed(&yaml.Node{Kind: yaml.ScalarNode, Style: style, Value: "1.10"}); c != classString || text != "1.10" {
			t.Errorf("style %d: got %s %q", style, c, text)
		}
	}
}
