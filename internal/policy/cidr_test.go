package policy

import (
	"strings"
	"testing"
)

func TestRestrictions(t *testing.T) {
	for _, c := range []struct{ text, stored, instead string }{
		{text: "10.0.0.0/8", stored: "10.0.0.0/8"},
		{text: "1.2.3.4", stored: "1.2.3.4/32"},
		{text: "1.2.3.4/32", stored: "1.2.3.4/32"},
		{text: "0.0.0.0/0", stored: "0.0.0.0/0"},
		{text: "2001:db8::1", stored: "2001:db8::1/128"},
		{text: "2001:db8::/32", stored: "2001:db8::/32"},
		{text: "10.0.0.1/24", instead: "10.0.0.0/24"},
		{text: "10.0.0.0/255.255.255.0", instead: "10.0.0.0/24"},
		{text: "10.0.0.0/08", instead: "10.0.0.0/8"},
		{text: "2001:DB8::1", instead: "2001:db8::1"},
		{text: "2001:0db8:0:0:0:0:0:1/128", instead: "2001:db8::1/128"},
		{text: "2001:db8::1/64", instead: "2001:db8::/64"},
		{text: "bad"}, {text: "example.com"}, {text: ""}, {text: "10.0.0.0/33"}, {text: "10.0.0.0/"}, {text: "10.0.0.0/-1"},
		{text: "10.0.0.0/255.0.255.0"}, {text: "10.0.0.0/255.255.0.1"}, {text: "10.0.0.0/ffff::"}, {text: "010.0.0.1"},
		{text: "fe80::1%eth0"}, {text: "10.0.0.0/8/8"}, {text: " 10.0.0.1"}, {text: "[::1]"},
	} {
		t.Run(c.text, func(t *testing.T) {
			prefix, problem := parseCIDR(c.text)
			bad := "Invalid IP address or CIDR range '" + c.text + "'"
			switch {
			case c.stored != "":
				if problem != "" || prefix.String() != c.stored {
					t.Errorf("got %s, %q", prefix, problem)
				}
			case c.instead != "":
				if want := bad + ": Value has bits set to right of mask. Did you mean '" + c.instead + "'?"; problem != want {
					t.Errorf("got %q, want %q", problem, want)
				}
				if advise(problem) != "" {
					t.Errorf("the message advises already, and got %q", advise(problem))
				}
			default:
				if problem != bad {
					t.Errorf("got %q, want %q", problem, bad)
				}
				if !strings.Contains(advise(problem), "e.g. 192.168.1.0") {
					t.Errorf("got advice %q", advise(problem))
				}
			}
		})
	}
}

func TestRestrictionsMustBeStrings(t *testing.T) {
	for text, want := range map[string]string{
		"- !host {id: h, restricted_to: 10}":                 "CIDR argument must be a String",
		"- !host {id: h, restricted_to: [10.1]}":             "CIDR argument must be a String",
		"- !host {id: h, restricted_to: }":                   "CIDR argument must be a String",
		"- !host {id: h, restricted_to: !user x}":            "Expected a string for field 'restricted_to', got User",
		"- !host {id: h, restricted_to: {a: b}}":             "Attribute 'restricted_to' can't be a mapping",
		"- !host {id: h, restricted_to: [bad, 10.0.0.1/24]}": "Invalid IP address or CIDR range 'bad'",
	} {
		if _, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
