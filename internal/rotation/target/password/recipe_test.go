package password_test

import (
	"bytes"
	"crypto/rand"
	"math"
	"strings"
	"testing"

	"rekey/internal/rotation/target/password"
)

const base58 = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"

func TestARecipeMakesWhatItSays(t *testing.T) {
	for _, test := range []struct {
		name, length, charset string
		want                  int
		alphabet              string
		each                  []string
	}{
		{"by default 20 characters of base 58", "", "", 20, base58, nil},
		{"a length", "32", "base58", 32, base58, nil},
		{"the least length", "8", "", 8, base58, nil},
		{"the greatest length", "128", "", 128, base58, nil},
		{"one class", "12", "digit", 12, "123456789", []string{"123456789"}},
		{"each of four classes", "8", "lower upper digit symbol", 8, base58 + "-._~",
			[]string{"123456789", "abcdefghijkmnopqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "-._~"}},
		{"a class named twice", "8", "lower  lower symbol", 8, "abcdefghijkmnopqrstuvwxyz-._~", []string{"-._~"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			recipe, err := password.ParseRecipe(test.length, test.charset)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for range 200 {
				made, err := recipe.Make(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				p := made.RevealString()
				if len(p) != test.want || strings.Trim(p, test.alphabet) != "" {
					t.Fatalf("%q is not %d characters of %q", p, test.want, test.alphabet)
				}
				for _, class := range test.each {
					if !strings.ContainsAny(p, class) {
						t.Fatalf("%q has none of %q", p, class)
					}
				}
				seen[p] = true
			}
			if len(seen) < 199 {
				t.Errorf("only %d of 200 passwords differ", len(seen))
			}
		})
	}
}

func TestEachCharacterIsAsLikely(t *testing.T) {
	recipe, err := password.ParseRecipe("128", "")
	if err != nil {
		t.Fatal(err)
	}
	count := map[rune]float64{}
	const passwords = 2000
	for range passwords {
		made, err := recipe.Make(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range made.RevealString() {
			count[c]++
		}
	}
	want, chi := float64(passwords*128)/58, 0.0
	for _, c := range base58 {
		chi += (count[c] - want) * (count[c] - want) / want
	}
	// With 57 degrees of freedom chance exceeds 150 once in 10^9 runs; taking a byte
	// modulo 58 without rejection gives thousands.
	if math.IsNaN(chi) || chi > 150 {
		t.Errorf("chi-squared is %.0f: the characters are not equally likely", chi)
	}
}

func TestARecipeThatCannotBe(t *testing.T) {
	for _, test := range []struct{ length, charset, words string }{
		{"0", "", "from 8 to 128"}, {"7", "", "from 8 to 128"}, {"129", "", "from 8 to 128"}, {"-1", "", "from 8 to 128"},
		{"many", "", "from 8 to 128"}, {"20x", "", "from 8 to 128"},
		{"", "emoji", "emoji"}, {"", "lower,upper", "lower,upper"}, {"", "  ", "base58"},
	} {
		if _, err := password.ParseRecipe(test.length, test.charset); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("length %q and charset %q: %v, want %q", test.length, test.charset, err, test.words)
		}
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestBrokenRandomnessIsAnError(t *testing.T) {
	for _, charset := range []string{"base58", "lower digit"} {
		recipe, err := password.ParseRecipe("", charset)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := recipe.Make(endless(255)); err == nil {
			t.Errorf("%s: a password was made of nothing but 255", charset)
		}
		if _, err := recipe.Make(bytes.NewReader([]byte{1, 2, 3})); err == nil {
			t.Errorf("%s: a password was made of three bytes", charset)
		}
	}
}
