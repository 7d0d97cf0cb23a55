package password

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"rekey/internal/secret"
)

// The characters of generated passwords stand for themselves in URIs, shells and
// configuration files, and none is easily taken for another (no 0, O, I, l).
const (
	digits  = "123456789"
	lower   = "abcdefghijkmnopqrstuvwxyz"
	upper   = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	symbols = "-._~"
)

// The lengths that can be asked for. Below the least a password can be guessed, above
// the greatest some systems cut it off in silence.
const (
	defaultLength = 20
	minLength     = 8
	maxLength     = 128
)

var classes = map[string]string{"digit": digits, "lower": lower, "upper": upper, "symbol": symbols}

// Recipe says how passwords are made. The zero value is not one: see ParseRecipe.
type Recipe struct {
	length  int
	classes []string // characters of which each must occur; none: base 58, in which any may
}

// ParseRecipe reads a length in characters, such as "32", and a charset: "base58", or
// names of classes ("lower upper digit symbol") of which each occurs at least once.
// Empty text stands for 20 and base58.
func ParseRecipe(length, charset string) (Recipe, error) {
	r := Recipe{length: defaultLength}
	if length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n < minLength || n > maxLength {
			return r, fmt.Errorf("the length must be a number from %d to %d", minLength, maxLength)
		}
		r.length = n
	}
	if charset == "" || charset == "base58" {
		return r, nil
	}
	for _, name := range strings.Fields(charset) {
		characters, ok := classes[name]
		if !ok {
			return r, fmt.Errorf("the charset must be base58, or some of lower, upper, digit and symbol with blanks between: %q is none", name)
		}
		if !slices.Contains(r.classes, characters) {
			r.classes = append(r.classes, characters)
		}
	}
	if len(r.classes) == 0 {
		return r, errors.New("the charset must be base58, or some of lower, upper, digit and symbol")
	}
	return r, nil
}

// Make draws a password: each one that the recipe allows is as likely as any other.
func (r Recipe) Make(rand io.Reader) (secret.Bytes, error) {
	alphabet := strings.Join(r.classes, "")
	if alphabet == "" {
		alphabet = digits + lower + upper
	}
	// A source of randomness that never yields what is needed is broken: it must not
	// hold the caller for ever.
	for range 1000 {
		b, err := draw(rand, alphabet, r.length)
		if err != nil {
			return secret.Bytes{}, err
		}
		if !slices.ContainsFunc(r.classes, func(c string) bool { return !strings.ContainsAny(string(b), c) }) {
			return secret.New(b), nil
		}
	}
	return secret.Bytes{}, errRandom
}

var errRandom = errors.New("the source of randomness is broken: it yields no usable bytes")

// draw takes n characters, each uniformly: bytes that would favour the first
// characters of the alphabet are thrown away.
func draw(rand io.Reader, alphabet string, n int) ([]byte, error) {
	fair := 256 - 256%len(alphabet)
	out, random := make([]byte, 0, n), make([]byte, n)
	for range 1000 {
		if _, err := io.ReadFull(rand, random); err != nil {
			return nil, fmt.Errorf("randomness for a password: %w", err)
		}
		for _, b := range random {
			if int(b) < fair && len(out) < n {
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
		if len(out) == n {
			return out, nil
		}
	}
	return nil, errRandom
}
