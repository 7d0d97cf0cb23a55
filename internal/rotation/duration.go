package rotation

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// iso is a duration of ISO 8601, section 5.5.2.4, in capital letters: weeks stand alone.
var iso = regexp.MustCompile(`^P(?:(\d+(?:[.,]\d+)?)W|(?:(\d+(?:[.,]\d+)?)Y)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)D)?(T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?(?:(\d+(?:[.,]\d+)?)S)?)?)$`)

const day = 24 * time.Hour

// units are what the groups of iso count: a year has 365 days, a month a twelfth of that.
var units = [...]time.Duration{1: 7 * day, 2: 365 * day, 3: 365 * day / 12, 4: day, 6: time.Hour, 7: time.Minute, 8: time.Second}

var errDuration = errors.New("it is not an ISO 8601 duration such as P30D, P1M or PT12H")

// Duration reads an ISO 8601 duration. Years and months are averages: a month is
// 365 d / 12. Only the last number may have a fraction. It refuses what is not
// longer than nothing, and what is longer than a hundred years.
func Duration(text string) (time.Duration, error) {
	groups := iso.FindStringSubmatch(text)
	if groups == nil || groups[5] == "T" {
		return 0, errDuration
	}
	sum, found, fraction := 0.0, false, false
	for i, unit := range units {
		if unit == 0 || groups[i] == "" {
			continue
		}
		if fraction {
			return 0, errDuration
		}
		number := strings.Replace(groups[i], ",", ".", 1)
		fraction = strings.Contains(number, ".")
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, errDuration
		}
		sum, found = sum+n*float64(unit), true
	}
	switch {
	case !found:
		return 0, errDuration
	case sum < float64(time.Millisecond):
		return 0, errors.New("it is no time at all")
	case sum > 100*365*float64(day):
		return 0, errors.New("it is longer than a hundred years")
	}
	return time.Duration(math.Round(sum)), nil
}
