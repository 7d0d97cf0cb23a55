package ssh

import (
	"crypto/ed25519"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func keyOf(t *testing.T, n byte) ssh.PublicKey {
	t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	k, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTheLineOfAKeyIsFoundByTheKeyAlone(t *testing.T) {
	old, added, foreign := keyOf(t, 1), keyOf(t, 2), keyOf(t, 3)
	o, n, f := text(old), text(added), text(foreign)
	for name, test := range map[string]struct{ before, after string }{
		"bare":                          {o, o + "\n" + n},
		"with an end":                   {o + "\n", o + "\n" + n + "\n"},
		"a comment":                     {o + " me@here  \n", o + " me@here  \n" + n + " me@here  \n"},
		"the ends of another system":    {f + "\r\n" + o + " me\r\n", f + "\r\n" + o + " me\r\n" + n + " me\r\n"},
		"indented":                      {"\t " + o, "\t " + o + "\n\t " + n},
		"options":                       {"no-pty,restrict " + o, "no-pty,restrict " + o + "\nno-pty,restrict " + n},
		"options with blanks":           {`command="a \" b",no-pty ` + o, `command="a \" b",no-pty ` + o + "\n" + `command="a \" b",no-pty ` + n},
		"a key in an option":            {`command="` + o + `" ` + f, ""},
		"a key in a comment":            {f + " " + o, ""},
		"commented out":                 {"# " + o + "\n#" + o, ""},
		"another key":                   {f, ""},
		"nothing":                       {"", ""},
		"another key, and ours between": {f + "\n" + o + "\n" + f + "\n", f + "\n" + o + "\n" + n + "\n" + f + "\n"},
		"ours twice":                    {o + " a\n" + o + " b\n", o + " a\n" + n + " a\n" + o + " b\n"},
	} {
		got, found := authorizedKeys(test.before).beside(old, added)
		switch {
		case found != (test.after != ""), found != authorizedKeys(test.before).has(old):
			t.Errorf("%s: found: %v", name, found)
		case found && string(got) != test.after:
			t.Errorf("%s: %q, want %q", name, got, test.after)
		case found && strings.Contains(string(got.without(old)), o):
			t.Errorf("%s: the old key is still in %q", name, got.without(old))
		}
	}
}

// Lines of all sorts in any order: the swap puts the new key into the place of the old
// one and changes nothing else.
func TestASwapTouchesNothingElse(t *testing.T) {
	old, added := keyOf(t, 1), keyOf(t, 2)
	source := rand.New(rand.NewPCG(7, 7))
	foreign := []string{"", "# a remark", "  ", "\t", "broken", `command="` + text(old) + `" ` + text(keyOf(t, 4)), text(keyOf(t, 5)) + " " + text(old), `"`, `from="`,
		"ssh-ed25519", "ssh-ed25519 !!!", "cert-authority " + text(keyOf(t, 6)) + "\r", "\x00\xff"}
	for range 2000 {
		var lines []string
		for range source.IntN(6) {
			lines = append(lines, foreign[source.IntN(len(foreign))])
		}
		ours := []string{"", "no-pty ", `command="x y" `, "\t"}[source.IntN(4)]
		rest := []string{"", " me", " a b\r"}[source.IntN(3)]
		at := source.IntN(len(lines) + 1)
		with := func(key ssh.PublicKey) string {
			all := append(append(append([]string{}, lines[:at]...), ours+text(key)+rest), lines[at:]...)
			return strings.Join(all, "\n") + "\n"
		}
		grown, found := authorizedKeys(with(old)).beside(old, added)
		if got := string(grown.without(old)); !found || got != with(added) {
			t.Fatalf("%q becomes %q, want %q", with(old), got, with(added))
		}
		if got := string(grown.without(added)); got != with(old) {
			t.Fatalf("taken back: %q, want %q", got, with(old))
		}
	}
}
