// Package period reads lengths of time as people write them into requests and
// policies: by ISO 8601. It imports nothing of rekey.
package period

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Day has 24 hours.
const Day = 24 * time.Hour

// Longest is the longest period that is read.
const Longest = 100 * 365 * Day

// form is a duration of ISO 8601, section 5.5.2.4; weeks stand alone.
var form = regexp.MustCompile(`^P(?:(\d+(?:[.,]\d+)?)W|(?:(\d+(?:[.,]\d+)?)Y)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)D)?(T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?)$`)

// units are what the groups of form count: a year has 365 days, a month a twelfth of that.
var units = [...]time.Duration{1: 7 * Day, 2: 365 * Day, 3: 365 * Day / 12, 4: Day, 6: time.Hour, 7: time.Minute, 8: time.Second}

var errForm = errors.New("it is not an ISO 8601 duration such as P90D, PT1H or PT15M")

// Parse reads a duration by ISO 8601, such as P90D, P1M or PT12H. Years and months are
// averages: 365 days, and a twelfth of that. Only the last number may have a fraction.
// Zero is read; more than Longest is not.
func Parse(text string) (time.Duration, error) {
	groups := form.FindStringSubmatch(strings.ToUpper(text))
	if groups == nil || groups[5] == "T" {
		return 0, errForm
	}
	sum, found, fraction := 0.0, false, false
	for i, unit := range units {
		if unit == 0 || groups[i] == "" {
			continue
		}
		if fraction {
			return 0, errForm
		}
		number := strings.Replace(groups[i], ",", ".", 1)
		fraction = strings.Contains(number, ".")
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, errForm
		}
		sum, found = sum+n*float64(unit), true
	}
	switch {
	case !found:
		return 0, errForm
	case sum > float64(Longest):
		return 0, errors.New("it is longer than a hundred years")
	}
	return time.Duration(math.Round(sum)), nil
}

// ParseOrSeconds reads a number of whole seconds as well.
func ParseOrSeconds(text string) (time.Duration, error) {
	seconds, err := strconv.ParseUint(text, 10, 63)
	switch {
	case err != nil:
		return Parse(text)
	case seconds > uint64(Longest/time.Second):
		return 0, errors.New("it is longer than a hundred years")
	}
	return time.Duration(seconds) * time.Second, nil
}
