package policy

import (
	"net/netip"
	"strings"

	"rekey/internal/fault"
	"rekey/internal/period"
)

// The rules of a load that also hold for what is made without one.

// ParseNetwork reads an address or a CIDR range in its canonical text, as
// restricted_to has it. An address alone is the range of itself. The fault of kind
// Invalid has the message that clients know.
func ParseNetwork(text string) (netip.Prefix, error) {
	prefix, flaw := parseCIDR(text)
	if flaw != "" {
		return netip.Prefix{}, fault.New(fault.Invalid, "%s", flaw)
	}
	return prefix, nil
}

// APIKeyAnnotation says of a host whether it authenticates with an API key.
const APIKeyAnnotation = apiKeyAnnotation

// KeyMaxAgeAnnotation says of a host or user how old its API key should grow: an ISO
// 8601 duration.
const KeyMaxAgeAnnotation = "authn/api-key-max-age"

const adviceMaxAge = "Write a duration like P90D, P6M or PT12H."

// AnnotationFlaw says what is wrong with an annotation that means something to rekey,
// on whatever it stands; "" for nothing.
func AnnotationFlaw(name, value string) string {
	if name != KeyMaxAgeAnnotation {
		return ""
	}
	switch age, err := period.Parse(value); {
	case err != nil:
		return "The annotation " + name + " is not a duration: " + err.Error()
	case age <= 0:
		return "The annotation " + name + " is no time at all: every key would be too old"
	}
	return ""
}

// HostGetsKey tells whether a host whose annotation authn/api-key has this value (nil:
// it has none) authenticates with an API key. The fault of kind PolicyInvalid says
// that such a host may not be made.
func HostGetsKey(annotation *string, byDefault bool) (bool, error) {
	switch {
	case annotation != nil:
		return !strings.EqualFold(strings.TrimSpace(*annotation), "false"), nil
	case !byDefault:
		return false, refuse(ErrMeaning, Position{}, "", noKeyByDefault)
	}
	return true, nil
}
