package period_test

import (
	"testing"
	"time"

	"rekey/internal/period"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"P90D": 90 * day, "PT1H": time.Hour, "PT15M": 15 * time.Minute, "P2W": 14 * day, "P1Y": 365 * day, "P12M": 365 * day,
		"P1DT12H": 36 * time.Hour, "PT0S": 0, "PT1.5H": 90 * time.Minute, "PT0,5S": 500 * time.Millisecond, "pt1m": time.Minute, "P100Y": period.Longest,
	} {
		if got, err := period.Parse(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "P1DT", "90D", "P1H", "PT1D", "P1W2D", "P-1D", "-P1D", "PT1.5H3M", "1h", "P1D ", "3600", "P101Y",
		"P99999999999999999999Y", "PT" + string(make([]byte, 10)) + "S"} {
		if got, err := period.Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestSecondsAreReadWhereTheyMayStand(t *testing.T) {
	for text, want := range map[string]time.Duration{"3600": time.Hour, "0": 0, "PT1H": time.Hour} {
		if got, err := period.ParseOrSeconds(text); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1.5", "1h", "9999999999999", "99999999999999999999999"} {
		if got, err := period.ParseOrSeconds(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
