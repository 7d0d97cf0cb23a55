package rotation

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule says when windows begin (the five fields of cron, in a time zone) and how
// long they last.
type Schedule struct {
	Window time.Duration

	zone                                   *time.Location
	minutes, hours, days, months, weekdays uint64 // bit n: n is meant
	anyDay, anyWeekday                     bool
}

// NewSchedule reads "minute hour day month weekday": numbers, names of months and
// weekdays, *, lists, ranges and steps; Sunday is 0 or 7. A day matches if the day or
// the weekday does, where both are given, as in cron.
func NewSchedule(text string, window time.Duration, zone *time.Location) (*Schedule, error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return nil, fmt.Errorf("it has %d fields, not five: minute hour day month weekday", len(fields))
	}
	s := &Schedule{Window: window, zone: zone, anyDay: fields[2] == "*", anyWeekday: fields[4] == "*"}
	for i, f := range []struct {
		to       *uint64
		name     string
		min, max int
		names    string
	}{
		{&s.minutes, "minute", 0, 59, ""}, {&s.hours, "hour", 0, 23, ""}, {&s.days, "day", 1, 31, ""},
		{&s.months, "month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
		{&s.weekdays, "weekday", 0, 7, "sun mon tue wed thu fri sat"},
	} {
		bits, err := parseField(fields[i], f.min, f.max, strings.Fields(f.names))
		if err != nil {
			return nil, fmt.Errorf("its %s '%s' %w", f.name, fields[i], err)
		}
		*f.to = bits
	}
	if s.weekdays&(1<<7) != 0 {
		s.weekdays |= 1
	}
	if s.after(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("it never comes")
	}
	return s, nil
}

func parseField(text string, least, most int, names []string) (bits uint64, err error) {
	number := func(t string) (int, error) {
		for i, name := range names {
			if strings.EqualFold(t, name) {
				return least + i, nil
			}
		}
		n, err := strconv.Atoi(t)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("is not between %d and %d", least, most)
		}
		return n, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > most {
				return 0, fmt.Errorf("has a step that is not between 1 and %d", most)
			}
		}
		from, to := least, most
		if span != "*" {
			first, last, ranged := strings.Cut(span, "-")
			if from, err = number(first); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if to, err = number(last); err != nil {
					return 0, err
				}
			case !stepped:
				to = from
			}
		}
		if from > to {
			return 0, fmt.Errorf("has a range that ends before it begins")
		}
		for n := from; n <= to; n += step {
			bits |= 1 << n
		}
	}
	return bits, nil
}

func (s *Schedule) matchesDay(t time.Time) bool {
	if s.months&(1<<int(t.Month())) == 0 {
		return false
	}
	day, weekday := s.days&(1<<t.Day()) != 0, s.weekdays&(1<<int(t.Weekday())) != 0
	switch {
	case s.anyDay:
		return weekday
	case s.anyWeekday:
		return day
	}
	return day || weekday
}

// after is the first beginning of a window after t, in UTC; zero if there is none
// within the next eight years. A time that the clocks skip in spring does not come; one
// that they repeat in autumn comes once.
func (s *Schedule) after(t time.Time) time.Time {
	local := t.In(s.zone)
	year, month, date := local.Date()
	for i := range 8*366 + 1 {
		d := time.Date(year, month, date+i, 12, 0, 0, 0, time.UTC) // only a date: noon exists everywhere
		if !s.matchesDay(d) {
			continue
		}
		for hour := range 24 {
			if s.hours&(1<<hour) == 0 {
				continue
			}
			for minute := range 60 {
				if s.minutes&(1<<minute) == 0 {
					continue
				}
				at := time.Date(d.Year(), d.Month(), d.Day(), hour, minute, 0, 0, s.zone)
				if at.Hour() == hour && at.Minute() == minute && at.After(t) {
					return at.UTC()
				}
			}
		}
	}
	return zero
}

// apart is the least time between two moments at which windows begin, by the clock on the
// wall; 0 if there is but one.
func (s *Schedule) apart() time.Duration {
	var moments []int // of a day, in minutes
	for minute := range 24 * 60 {
		if s.hours&(1<<(minute/60)) != 0 && s.minutes&(1<<(minute%60)) != 0 {
			moments = append(moments, minute)
		}
	}
	least := 0
	shorter := func(minutes int) {
		if least == 0 || minutes < least {
			least = minutes
		}
	}
	for i := 1; i < len(moments); i++ {
		shorter(moments[i] - moments[i-1])
	}
	overnight := moments[0] - moments[len(moments)-1]
	last := -1
	for i := range 8*366 + 1 {
		if !s.matchesDay(time.Date(2024, 1, 1+i, 12, 0, 0, 0, time.UTC)) {
			continue
		}
		if last >= 0 {
			shorter((i-last)*24*60 + overnight)
		}
		last = i
	}
	return time.Duration(least) * time.Minute
}

// shown is a duration as annotations have them.
func shown(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("P%dD", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("PT%dH", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("PT%dM", d/time.Minute)
	}
	return fmt.Sprintf("PT%gS", d.Seconds())
}

// open is the beginning of a window that t lies in; zero if it lies in none.
func (s *Schedule) open(t time.Time) time.Time {
	begin := s.after(t.Add(-s.Window))
	if begin.IsZero() || begin.After(t) {
		return zero
	}
	return begin
}
