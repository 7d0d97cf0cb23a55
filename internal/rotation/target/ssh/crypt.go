package ssh

import (
	"crypto/sha512"
	"io"
	"strings"

	"rekey/internal/secret"
)

// The alphabet of crypt, which is not that of base 64.
const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// hash is the form in which a host keeps a password, with a salt of its own: SHA-512
// crypt with 5000 rounds, which every crypt(3) in use understands.
func hash(rand io.Reader, password secret.Bytes) (string, error) {
	salt := make([]byte, 16)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return "", err
	}
	for i, b := range salt {
		salt[i] = cryptAlphabet[b%64]
	}
	return sha512Crypt(password.Reveal(), salt), nil
}

// sha512Crypt is "Unix crypt using SHA-256 and SHA-512" (U. Drepper), the part for
// SHA-512 with the number of rounds that it has when none is given.
func sha512Crypt(password, salt []byte) string {
	const rounds = 5000
	sum := func(parts ...[]byte) []byte {
		h := sha512.New()
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	alternate := sum(password, salt, password)
	start := [][]byte{password, salt, stretch(alternate, len(password))}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			start = append(start, alternate)
		} else {
			start = append(start, password)
		}
	}
	digest := sum(start...)
	p := stretch(sum(repeat(password, len(password))...), len(password))
	s := stretch(sum(repeat(salt, 16+int(digest[0]))...), len(salt))
	for i := range rounds {
		first, last := digest, p
		if i%2 == 1 {
			first, last = p, digest
		}
		parts := [][]byte{first}
		if i%3 != 0 {
			parts = append(parts, s)
		}
		if i%7 != 0 {
			parts = append(parts, p)
		}
		digest = sum(append(parts, last)...)
	}
	return "$6$" + string(salt) + "$" + encode(digest)
}

// stretch repeats bytes up to a length.
func stretch(b []byte, length int) []byte {
	out := make([]byte, length)
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}

func repeat(b []byte, times int) [][]byte {
	all := make([][]byte, times)
	for i := range all {
		all[i] = b
	}
	return all
}

// encode writes a digest in crypt's order: three bytes a third of it apart, whose
// places turn with each step, become four characters.
func encode(digest []byte) string {
	var out strings.Builder
	write := func(bits uint, characters int) {
		for range characters {
			out.WriteByte(cryptAlphabet[bits&63])
			bits >>= 6
		}
	}
	a, b, c := 0, 21, 42
	for range 21 {
		write(uint(digest[a])<<16|uint(digest[b])<<8|uint(digest[c]), 4)
		a, b, c = b+1, c+1, a+1
	}
	write(uint(digest[63]), 2)
	return out.String()
}
