package policy

import (
	"fmt"
	"slices"
	"strings"
)

const tags = "!delete, !deny, !grant, !group, !host, !host-factory, !layer, !permit, !policy, !revoke, !user, !variable, !webservice"

const (
	adviceCharacters = "This error can occur when you have unexpected characters. Putting terms containing non-alphanumeric characters in quotes might help."
	adviceNode       = "This error can occur when you have an unexpected character at the beginning of the node. "
)

// advices are the texts that clients know, by the message they belong to.
var advices = map[string]string{
	"Unexpected scalar": "Please check the syntax for defining a new node.",
	"block sequence entries are not allowed in this context":                         "This error can occur when you have an unnecessary '-' at the beginning of a line",
	"could not find expected ':' while scanning a simple key":                        "This error can occur when you have a missing ':' or missing space after ':'",
	"did not find expected '-' indicator while parsing a block collection":           "This error can occur when you have an indentation problem",
	"did not find expected ',' or ']' while parsing a flow sequence":                 "This error can occur when you don't end a list properly, or have a problem element in the list",
	"did not find expected ',' or '}' while parsing a flow mapping":                  "This error can occur when you don't end a mapping properly, or have a problem element in the mapping",
	"did not find expected '!' while scanning a tag":                                 "This error can occur when you're missing the '!' at the beginning of a tag (the allowable tags are: " + tags + ")",
	"did not find expected <document start>":                                         "This error can occur when you have unnecessary white space on your YAML header",
	"did not find expected alphabetic or numeric character while scanning an alias":  adviceCharacters,
	"did not find expected alphabetic or numeric character while scanning an anchor": adviceCharacters,
	"did not find expected comment or line break while scanning a block scalar":      "This error can occur when you have a problem in a block scalar.",
	"did not find expected hexdecimal number while parsing a quoted scalar":          `This error can occur when you have an unexpected backslash (\) in the indicated line`,
	"did not find expected node content while parsing a block node":                  adviceNode + "Putting the node in quotes might help",
	"did not find expected node content while parsing a flow node":                   adviceNode + "putting the node in quotes might help",
	"did not find expected whitespace or line break while scanning a tag":            "Only one node can be defined per line.",
	"found a tab character that violates indentation while scanning a plain scalar":  "You must use spaces for indentation, not tabs.",
}

// advise finds the advice that belongs to a message, empty if there is none.
func advise(detail string) string {
	switch {
	case strings.HasPrefix(detail, "Unrecognized data type"):
		return "The tag must be one of the following: " + tags
	case strings.HasPrefix(detail, "Invalid IP address or CIDR range") && !strings.Contains(detail, "Value has bits set"):
		return "Make sure your address or range is in the correct format (e.g. 192.168.1.0 or 192.168.1.0/16)"
	case strings.HasSuffix(detail, "has a blank id"):
		return "Each resource must be identified using the 'id' field"
	case strings.HasPrefix(detail, "Dependency cycle encountered between"):
		return "Try redefining one or both."
	}
	return advices[detail]
}

// didYouMean suggests the known word that is nearest to the written one, if one is
// near: at most two letters off, and more right than wrong.
func didYouMean(written string, known []string, sigil string) string {
	const maxWord = 40 // longer words are no slips of the hand
	if len(written) > maxWord {
		return ""
	}
	best, distance := "", 3
	slices.Sort(known)
	for _, word := range known {
		if len(word) <= maxWord && max(len(word)-len(written), len(written)-len(word)) < distance {
			if d := editDistance(strings.ToLower(written), word); d < distance && 2*d < len(word) {
				best, distance = word, d
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("Did you mean '%s%s'?", sigil, best)
}

// editDistance counts the letters to insert, delete or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
