package policy

import (
	"fmt"
	"unicode/utf8"
)

// What one policy document may cost. A document of ordinary statements meets none
// of these; they keep a hostile one from taking the process down.
const (
	// MaxText is the size of a document in bytes.
	MaxText = 16 << 20
	// MaxNodes bounds the keys, values and lists of a document, and the marks that
	// can begin one (line breaks, dashes, commas, colons, brackets), wherever they
	// stand. A list that is used again through an alias counts again.
	MaxNodes = 1_000_000
	// MaxAliases is the number of anchors (&name), and that of aliases (*name).
	MaxAliases = 100_000
	// MaxDirectives is the number of lines that begin with '%'. The language has
	// no use for them, and the library takes quadratic time to read them.
	MaxDirectives = 100
	// MaxDepth is how deep block constructs, and within them flow constructs
	// ([...], {...}), may nest.
	MaxDepth = 200
	// MaxScalar is the size of one scalar (id, annotation value) in bytes.
	MaxScalar = 64 << 10
	// MaxLists is the size in bytes of all annotation values that were written as
	// lists.
	MaxLists = 16 << 20
	// MaxNetworks is the number of networks that a document restricts one record to.
	MaxNetworks = 1000
	// MaxAnnotations is the number of annotations of one resource, and MaxPrivileges
	// that of the privileges that one role has on it. Loads are not allowed to add to
	// more: the graph finds these by going through them.
	MaxAnnotations = 1000
	MaxPrivileges  = 100
	// MaxIdentifier is the size of a resolved identifier in bytes.
	MaxIdentifier = 2 << 10
	// MaxRows is the number of role-member and role-privilege-resource
	// combinations that the grants and permits of a document spell out.
	MaxRows = 1_000_000
	// MaxResolved is the size in bytes of all ids and values of a document
	// after resolution, when each carries the path of its branch.
	MaxResolved = 64 << 20
)

const adviceSplit = "Split the policy into several documents and load them one after the other."

func tooMany(at Position, what string, limit int) error {
	return refuse(ErrStatement, at, adviceSplit,
		fmt.Sprintf("The policy has more than %d %s", limit, what))
}

// checkText refuses what is not UTF-8, holds control characters or is too large
// to be read into nodes. It knows the line, which the YAML library does not.
func checkText(text []byte) error {
	if len(text) > MaxText {
		return refuse(ErrSyntax, Position{}, adviceSplit,
			fmt.Sprintf("The policy is larger than %d bytes", MaxText))
	}
	at := Position{Line: 1, Column: 1}
	marks, directives := 0, 0
	for i := 0; i < len(text); {
		c, next := text[i], byte(' ')
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch {
		case c == '\n', c == '\r' && next != '\n':
			at.Line, at.Column = at.Line+1, 0
			marks++
		case c == ',' || c == '[' || c == '{' || c == ':' || c == '?':
			marks++
		case c == '-' && (next <= ' ' || next >= utf8.RuneSelf):
			marks++
		case c == '%' && at.Column == 1:
			if directives++; directives > MaxDirectives {
				return tooMany(at, "directives", MaxDirectives)
			}
		case c < ' ' && c != '\t' && c != '\r', c == 0x7f:
			return refuse(ErrSyntax, at, "", "control characters are not allowed")
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				return refuse(ErrSyntax, at, "Save the policy as UTF-8.", encodingProblem(text[i:]))
			}
			if r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff {
				return refuse(ErrSyntax, at, "", "control characters are not allowed")
			}
			i += size - 1
		}
		// Whatever else the text is, every value begins after one of these
		// marks and no mark begins more than two. So this bounds the memory
		// before the library spends it.
		if marks > MaxNodes {
			return tooMany(at, "values", MaxNodes)
		}
		at.Column++
		i++
	}
	return nil
}

// encodingProblem names the first defect of a byte sequence that is not UTF-8.
func encodingProblem(b []byte) string {
	width := 0
	switch c := b[0]; {
	case c&0xe0 == 0xc0:
		width = 2
	case c&0xf0 == 0xe0:
		width = 3
	case c&0xf8 == 0xf0:
		width = 4
	default:
		return "invalid leading UTF-8 octet"
	}
	for k := 1; k < width; k++ {
		if k == len(b) {
			return "incomplete UTF-8 octet sequence"
		}
		if b[k]&0xc0 != 0x80 {
			return "invalid trailing UTF-8 octet"
		}
	}
	// Of the right shape, and still not UTF-8: too long a form, a surrogate, or
	// beyond the last character.
	value := rune(b[0]) & (0x7f >> width)
	for k := 1; k < width; k++ {
		value = value<<6 | rune(b[k]&0x3f)
	}
	if value >= 0xd800 && value <= 0xdfff || value > utf8.MaxRune {
		return "invalid Unicode character"
	}
	return "invalid length of a UTF-8 sequence"
}
