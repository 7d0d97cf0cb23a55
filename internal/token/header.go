package token

import (
	"encoding/base64"
	"strings"
)

// prefix begins an Authorization header that carries a token, to the letter.
const prefix = `Token token="`

// Parse takes the token's JSON out of an Authorization header: Token token="BASE64".
// The prefix is compared exactly; the value goes up to the last quote, and what
// follows is ignored. ok is false if this is no such header. The base64 is read
// leniently, since some clients break lines or leave out the padding: characters
// outside the standard alphabet are skipped, and it ends at the first padding that
// is in its place. What is no token gives bytes that are no JSON.
func Parse(headerValue string) (document []byte, ok bool) {
	rest, ok := strings.CutPrefix(headerValue, prefix)
	if !ok {
		return nil, false
	}
	end := strings.LastIndexByte(rest, '"')
	if end < 0 {
		return nil, false
	}
	return decodeLenient(rest[:end]), true
}

func decodeLenient(text string) []byte {
	kept := make([]byte, 0, len(text))
	for i := range len(text) {
		c := text[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
			kept = append(kept, c)
		case c == '=' && len(kept)%4 >= 2:
			return decodeKept(kept)
		}
	}
	return decodeKept(kept)
}

// decodeKept decodes characters of the alphabet only; a last one that is alone
// stands for no byte.
func decodeKept(kept []byte) []byte {
	if len(kept)%4 == 1 {
		kept = kept[:len(kept)-1]
	}
	n, err := base64.RawStdEncoding.Decode(kept, kept)
	if err != nil {
		return nil // cannot be: every character is of the alphabet
	}
	return kept[:n]
}
