package core

import (
	"strings"
	"time"

	"rekey/internal/fault"
)

// momentLayouts are the forms of ISO 8601 that clients write: a calendar or ordinal
// date, extended or basic, alone or with a time of day, which may have a fraction of
// a second, and a zone.
var momentLayouts = func() (layouts []string) {
	for _, date := range []string{"2006-01-02", "20060102", "2006-002"} {
		layouts = append(layouts, date)
		for _, clock := range []string{"T15:04:05", "T15:04", "T150405", "T1504"} {
			for _, zone := range []string{"", "Z07:00", "Z0700", "Z07"} {
				layouts = append(layouts, date+clock+zone)
			}
		}
	}
	return layouts
}()

// parseMoment reads a date or a date and time by ISO 8601. Without a zone it is UTC.
func parseMoment(text string) (time.Time, error) {
	plain := strings.ToUpper(strings.TrimSpace(text))
	for _, layout := range momentLayouts {
		if t, err := time.Parse(layout, plain); err == nil {
			return t, nil
		}
	}
	invalid := fault.New(fault.Argument, "Input is invalid ISO8601 datetime string: %s", text)
	invalid.Advice = "Write it like 2030-12-31T23:59:59Z."
	return time.Time{}, invalid
}

// parseExpiration reads a moment that must lie in the future.
func (c *Core) parseExpiration(text string) (time.Time, error) {
	t, err := parseMoment(text)
	if err != nil {
		return time.Time{}, err
	}
	if !t.After(c.clock()) {
		return time.Time{}, fault.New(fault.Argument, "Value for parameter expiration must be in the future: %s", t.Format("2006-01-02T15:04:05-07:00"))
	}
	return t.UTC().Truncate(time.Millisecond), nil
}
