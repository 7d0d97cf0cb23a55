package policy

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// class is what the language calls the type of an untagged scalar, in the words
// of the messages that clients know.
type class string

const (
	classString  class = "String"
	classInteger class = "Integer"
	classFloat   class = "Float"
	classTrue    class = "TrueClass"
	classFalse   class = "FalseClass"
	classNil     class = "NilClass"
	classDate    class = "Date"
	classTime    class = "Time"
)

// maxNumber is the length of the longest text that is read as a number. What is
// longer is a string: nobody counts that far, and big numbers are slow to read.
const maxNumber = 128

var (
	integerForm     = regexp.MustCompile(`^[-+]?(?:0|[1-9][0-9_,]*|0[0-7_,]+|0x[0-9a-fA-F_,]+|0b[01_,]+)$`)
	floatForm       = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]+(?:[eE][-+][0-9]+)?$`)
	sexagesimalForm = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}$`)
	timestampForm   = regexp.MustCompile(`^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|\s+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:\s*(?:Z|[-+][0-9]{1,2}:?(?:[0-9]{2})?))?$`)
)

var words = map[string]class{
	"~": classNil, "null": classNil,
	"yes": classTrue, "on": classTrue, "true": classTrue,
	"no": classFalse, "off": classFalse, "false": classFalse,
	".inf": classFloat, "+.inf": classFloat, "-.inf": classFloat, ".nan": classFloat,
}

var wordTexts = map[string]string{
	".inf": "Infinity", "+.inf": "Infinity", "-.inf": "-Infinity", ".nan": "NaN",
}

func isPlain(n *node) bool {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Kind == yaml.ScalarNode && n.Style&quoted == 0
}

// typed reads a scalar by the rules of YAML 1.1 as the language knows them, and
// returns its class and the text that it is stored as: the number or word in its
// plain form, so that 1.10 is 1.1, yes is true and 010 is 8. A quoted scalar is
// a string as it stands.
func typed(n *node) (class, string) {
	text := n.Value
	switch {
	case !isPlain(n):
		return classString, text
	case text == "":
		return classNil, ""
	case len(text) > maxNumber:
		return classString, text
	}
	if len(text) <= len("false") {
		word := strings.ToLower(text)
		switch c := words[word]; c {
		case classTrue:
			return c, "true"
		case classFalse:
			return c, "false"
		case classNil:
			return c, ""
		case classFloat:
			return c, wordTexts[word]
		}
	}
	if strings.IndexByte("0123456789+-.", text[0]) < 0 {
		return classString, text
	}
	return number(text)
}

var digitSeparators = strings.NewReplacer("_", "", ",", "")

func number(text string) (class, string) {
	digits := digitSeparators.Replace(text)
	switch {
	case integerForm.MatchString(text):
		if i, ok := new(big.Int).SetString(digits, 0); ok {
			return classInteger, i.String()
		}
	case floatForm.MatchString(text):
		if f, err := strconv.ParseFloat(digits, 64); err == nil || math.IsInf(f, 0) {
			return classFloat, floatText(f)
		}
	case sexagesimalForm.MatchString(text):
		if f, ok := sexagesimal(digits); ok {
			return classFloat, floatText(f)
		}
	case timestampForm.MatchString(text):
		return classTime, text
	default:
		if _, err := time.Parse(time.DateOnly, text); err == nil {
			return classDate, text
		}
	}
	return classString, text
}

// sexagesimal reads a number to the base of 60: 12:30 is 750.
func sexagesimal(text string) (float64, bool) {
	sign := 1.0
	if text[0] == '-' {
		sign = -1
	}
	total := 0.0
	for part := range strings.SplitSeq(strings.TrimLeft(text, "+-"), ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, false
		}
		total = total*60 + f
	}
	return sign * total, true
}

// floatText writes a float with at least one decimal, and with an exponent if it
// is very large or very small.
func floatText(f float64) string {
	if math.IsInf(f, 0) {
		return strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+") + "inity"
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if size := math.Abs(f); f != 0 && (size < 1e-4 || size >= 1e16) {
		text = strconv.FormatFloat(f, 'e', -1, 64)
		if mantissa, exponent, _ := strings.Cut(text, "e"); !strings.Contains(mantissa, ".") {
			text = mantissa + ".0e" + exponent
		}
		return text
	}
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
