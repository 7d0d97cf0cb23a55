package apikey

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rekey/internal/secret"
)

func TestTheEncodingIsConjurs(t *testing.T) {
	var ascending, ones, zeros [drawn]byte
	for i := range drawn {
		ascending[i], ones[i] = byte(i), 0xff
	}
	cases := []struct {
		name string
		raw  [drawn]byte
		want string
	}{
		{"bytes 00 to 1f", ascending, "20g320a1g740j2gb60t3gf8124gka1a5gqc1j6gve1t7gz"},
		{"the longest", ones, strings.Repeat("3zzzzzz", 8)},
		{"the shortest", zeros, "00000000"},
	}
	for _, c := range cases {
		if got := string(encode(c.raw)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestEachGroupIsANumberInBase32(t *testing.T) {
	toDigits := func(text string) string { // from Crockford's digits to those of strconv
		return strings.Map(func(r rune) rune {
			return rune("0123456789abcdefghijklmnopqrstuv"[strings.IndexRune(alphabet, r)])
		}, text)
	}
	random := mathrand.New(mathrand.NewPCG(1, 0))
	for range 1000 {
		var raw [drawn]byte
		n := random.Uint32() >> random.IntN(32) // of every length
		binary.BigEndian.PutUint32(raw[:], n)
		text := strings.TrimSuffix(string(encode(raw)), "0000000") // seven groups of zero
		if got, err := strconv.ParseUint(toDigits(text), 32, 32); err != nil || uint32(got) != n {
			t.Errorf("%d is written %s, which reads %d, %v", n, text, got, err)
		}
	}
}

func TestNewKeysHaveTheLengthThatClientsCheck(t *testing.T) {
	random := mathrand.NewChaCha8([32]byte{1})
	shape, seen := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{51,56}$`), map[string]bool{}
	for range 5000 {
		key, err := New(random)
		if err != nil || !shape.MatchString(key.RevealString()) {
			t.Fatalf("drew a key of %d characters, %v", key.Len(), err)
		}
		if flaw := Flaw(key); flaw != "" {
			t.Fatal(flaw)
		}
		seen[key.RevealString()] = true
	}
	if len(seen) != 5000 {
		t.Errorf("%d different keys of 5000", len(seen))
	}
}

func TestAShortKeyIsDrawnAgain(t *testing.T) {
	small, large := make([]byte, drawn), bytes.Repeat([]byte{0xff}, drawn)
	key, err := New(bytes.NewReader(append(small, large...)))
	if err != nil || key.Len() != MaxLength {
		t.Errorf("drew %d characters, %v", key.Len(), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestABrokenSourceGivesNoKey(t *testing.T) {
	if _, err := New(zeros{}); err == nil {
		t.Error("a source of zeros gave a key")
	}
	if _, err := New(strings.NewReader("too short")); err == nil {
		t.Error("a source that ends gave a key")
	}
}

func TestOnlyTheSameKeyMatches(t *testing.T) {
	key, err := New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest, text := Digest(key), key.RevealString()
	if !Equal(Digest(secret.FromString(text)), digest) {
		t.Error("the key does not match its own digest")
	}
	for name, other := range map[string]string{
		"empty": "", "line break": text + "\n", "upper case": strings.ToUpper(text), "shorter": text[1:], "long": strings.Repeat(text, 10),
	} {
		if Equal(Digest(secret.FromString(other)), digest) {
			t.Errorf("%s: matches", name)
		}
	}
}

func TestFlawsAreToldWithoutTheKey(t *testing.T) {
	good := strings.Repeat("3zzzzzz", 8)
	cases := []struct{ name, candidate, want string }{
		{"well formed", good, ""},
		{"empty", "", "the key is empty"},
		{"too long", good + "z", "the key has 57 characters, keys have 51 to 56"},
		{"too short", good[:50], "the key has 50 characters, keys have 51 to 56"},
		{"line end", good + "\n", "the key ends in a line break"},
		{"Windows line end", good + "\r\n", "the key ends in a line break"},
		{"blank at the end", good + " ", "the key ends in a blank"},
		{"blank before", " " + good, "the key has a blank at position 1"},
		{"two lines", good[:10] + "\n" + good[10:], "the key has a line break at position 11"},
		{"shout", strings.ToUpper(good), "the key has an upper-case letter at position 2, keys are in lower case"},
		{"sentence mark", good + "!", "the key has a character outside 0-9 a-z at position 57"},
		{"quoted", `"` + good + `"`, "the key has a character outside 0-9 a-z at position 1"},
		{"letter o", good[:11] + "o" + good[12:], "the key has a letter at position 12 that keys never have (i, l, o, u)"},
		{"not text", "\xff" + good, "the key has a character outside 0-9 a-z at position 1"},
	}
	for _, c := range cases {
		if got := Flaw(secret.FromString(c.candidate)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func BenchmarkEqual(b *testing.B) {
	key, err := New(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := Digest(key)
	b.ReportAllocs()
	for b.Loop() {
		if !Equal(Digest(key), digest) {
			b.Fatal("no match")
		}
	}
}
