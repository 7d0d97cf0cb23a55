package rotation_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// settled is a rotation that succeeded at a moment and has nothing under way.
func settled(at time.Time) *row.Rotation {
	return &row.Rotation{Variable: "acme:variable:db/password", Revision: 1, State: rotation.Idle, Version: 1, LastSuccess: at}
}

func read(t *testing.T, annotations map[string]string) *rotation.Settings {
	t.Helper()
	s, problems := rotation.Read(annotations, rotation.DefaultLimits())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &s
}

func at(text string) time.Time {
	moment, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return moment
}

func TestSchedules(t *testing.T) {
	berlin := map[string]string{"rotation/schedule": "30 2 * * *", "rotation/window": "PT1H", "rotation/timezone": "Europe/Berlin"}
	sundays := map[string]string{"rotation/schedule": "0 3 * * sun", "rotation/window": "PT2H"}
	for _, c := range []struct {
		name        string
		annotations map[string]string
		last, now   string
		want        string
	}{
		{"the next window", sundays, "2026-01-01 00:00", "2026-01-01 00:00", "2026-01-04 03:00"},
		{"within the window: now", sundays, "2026-01-01 00:00", "2026-01-04 04:30", "2026-01-04 04:30"},
		{"missed: the next window, not at once", sundays, "2026-01-01 00:00", "2026-01-04 05:00", "2026-01-11 03:00"},
		{"once in a window", sundays, "2026-01-04 03:01", "2026-01-04 04:00", "2026-01-11 03:00"},
		{"two rules for days: either", map[string]string{"rotation/schedule": "0 0 13 * fri"}, "2026-01-01 02:00", "2026-01-01 02:00", "2026-01-02 00:00"},
		{"lists, ranges and steps", map[string]string{"rotation/schedule": "5-59/20 8,20 * jan-mar *"}, "2026-03-31 20:50", "2026-03-31 22:00", "2027-01-01 08:05"},
		{"Sunday is 7 too", map[string]string{"rotation/schedule": "0 0 * * 7"}, "2026-01-01 02:00", "2026-01-01 02:00", "2026-01-04 00:00"},
		{"in a time zone, in winter", berlin, "2026-01-10 12:00", "2026-01-10 12:00", "2026-01-11 01:30"},
		{"a time that summer time skips does not come", berlin, "2026-03-28 12:00", "2026-03-28 12:00", "2026-03-30 00:30"},
		{"one that comes twice is taken once", berlin, "2026-10-25 01:35", "2026-10-25 01:36", "2026-10-26 01:30"},
		{"leap days", map[string]string{"rotation/schedule": "0 0 29 2 *"}, "2026-01-01 00:00", "2026-01-01 00:00", "2028-02-29 00:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			due := rotation.Due(settled(at(c.last)), read(t, c.annotations), 1, time.Time{}, at(c.now))
			if !due.Equal(at(c.want)) {
				t.Errorf("due at %s", due)
			}
		})
	}
	for _, text := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "a * * * *", "0 0 30 2 *", "@daily", "-1 * * * *"} {
		if _, err := rotation.NewSchedule(text, time.Hour, time.UTC); err == nil {
			t.Errorf("%q is a schedule", text)
		}
	}
}

func TestATTLWithAScheduleWaitsForTheWindow(t *testing.T) {
	s := read(t, map[string]string{"rotation/ttl": "P30D", "rotation/schedule": "0 3 * * sun", "rotation/window": "PT2H"})
	w := settled(at("2026-01-01 00:00"))
	due := rotation.Due(w, s, 1, time.Time{}, at("2026-01-02 00:00"))
	aged := w.LastSuccess.Add(rotation.Jittered(w.Variable, s.TTL))
	if due.Before(aged) || due.Sub(aged) > 7*24*time.Hour || due.Weekday() != time.Sunday || due.Hour() != 3 {
		t.Errorf("due at %s, of age at %s", due, aged)
	}
	// Nor is a failed one tried again outside of it, unless the target may have the value.
	w.State, w.RetryAt = rotation.Backoff, at("2026-02-02 10:00")
	if due := rotation.Due(w, s, 1, time.Time{}, at("2026-02-02 09:00")); !due.Equal(at("2026-02-08 03:00")) {
		t.Errorf("tried again at %s", due)
	}
	w.State, w.Sent = rotation.Uncertain, true
	if due := rotation.Due(w, s, 1, time.Time{}, at("2026-02-02 09:00")); !due.Equal(w.RetryAt) {
		t.Errorf("found out at %s", due)
	}
}

func TestJitterIsStableAndEven(t *testing.T) {
	const n = 10_000
	var sum, least, most float64 = 0, 1, -1
	for i := range n {
		id := ident.ID(fmt.Sprintf("acme:variable:db/%d/password", i))
		share := float64(rotation.Jittered(id, time.Hour)-time.Hour) / float64(time.Hour)
		again := rotation.Jittered(id, time.Hour)
		if first := rotation.Jittered(id, time.Hour); first != again || math.Abs(share) > 0.1 {
			t.Fatalf("%s: %f", id, share)
		}
		sum, least, most = sum+share, min(least, share), max(most, share)
	}
	if math.Abs(sum/n) > 0.003 || least > -0.099 || most < 0.099 {
		t.Errorf("mean %f, from %f to %f", sum/n, least, most)
	}
}

func TestBackoff(t *testing.T) {
	l := rotation.DefaultLimits()
	for attempts, longest := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 10: 2560 * time.Second, 11: time.Hour, 1000: time.Hour} {
		if got := l.Backoff(attempts, 1); got != longest {
			t.Errorf("after %d attempts at most %s, want %s", attempts, got, longest)
		}
		if got := l.Backoff(attempts, 0); got != 0 {
			t.Errorf("after %d attempts at least %s", attempts, got)
		}
	}
}

func TestProblemsOfAnnotations(t *testing.T) {
	for _, c := range []struct {
		annotations map[string]string
		names       string
	}{
		{map[string]string{"rotation/ttl": "P1D"}, ""},
		{map[string]string{"rotation/ttl": "1 day"}, "rotation/ttl"},
		{map[string]string{"rotation/ttl": "PT0S"}, "rotation/ttl"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "P1D"}, "rotation/grace"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "PT1H"}, ""},
		{map[string]string{"rotation/schedule": "0 0 31 2 *"}, "rotation/schedule"},
		{map[string]string{"rotation/schedule": "0 0 * * *", "rotation/timezone": "Mars"}, "rotation/timezone"},
		{map[string]string{"rotation/schedule": "0 0 * * *", "rotation/timezone": "Local"}, "rotation/timezone"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/timezone": "UTC"}, "rotation/timezone"},
		{map[string]string{"rotation/initial": "keep"}, ""},
		{map[string]string{"rotation/initial": "no"}, "rotation/initial"},
		{map[string]string{"rotation/grace-mode": "after"}, ""},
		{map[string]string{"rotation/grace-mode": "during"}, "rotation/grace-mode"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "PT11H", "rotation/grace-mode": "before"}, ""},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "PT12H", "rotation/grace-mode": "before"}, "rotation/grace"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "PT12H", "rotation/grace-mode": "after"}, ""},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "P2D", "rotation/grace-mode": "before"}, "rotation/grace"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace": "an hour", "rotation/grace-mode": "before"}, "rotation/grace"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/grace-mode": "before"}, "rotation/grace-mode"},
		{map[string]string{"rotation/grace": "PT1H", "rotation/grace-mode": "before"}, "rotation/grace-mode"},
		{map[string]string{"rotation/ttl": "P1D", "rotation/schedule": "0 3 * * *", "rotation/grace": "PT1H", "rotation/grace-mode": "before"}, "rotation/grace-mode"},
	} {
		_, problems := rotation.Read(c.annotations, rotation.DefaultLimits())
		switch {
		case c.names == "" && len(problems) > 0, c.names != "" && (len(problems) != 1 || problems[0].Annotation != c.names):
			t.Errorf("%v: %+v", c.annotations, problems)
		case c.names != "" && (problems[0].Message == "" || problems[0].Advice == ""):
			t.Errorf("%v: without words: %+v", c.annotations, problems)
		}
	}
}

func TestAnOldValueCanOutlastTheNext(t *testing.T) {
	for _, c := range []struct {
		annotations map[string]string
		want        time.Duration
	}{
		{map[string]string{"rotation/ttl": "P30D"}, 30 * 24 * time.Hour},
		{map[string]string{"rotation/ttl": "P30D", "rotation/grace": "PT1H"}, time.Hour},
		{map[string]string{}, 24 * time.Hour},
	} {
		s, _ := rotation.Read(c.annotations, rotation.DefaultLimits())
		if s.Outlast(); s.Grace != c.want {
			t.Errorf("%v: %s, want %s", c.annotations, s.Grace, c.want)
		}
	}
}

// Given mode "before", then the next value comes when the last grace is over, and so early
// that the old one ends within its ttl, whatever the share of the variable is, with some time
// left for the work.
func TestAnEarlyGraceEndsWithinTheTTL(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for i := range 20_000 {
		ttl := time.Minute + time.Duration(random.Int64N(int64(400*24*time.Hour)))
		grace := 1 + time.Duration(random.Int64N(int64((ttl-1)/2)))
		s := rotation.Settings{TTL: ttl, Grace: grace, Early: true, Limits: rotation.DefaultLimits()}
		w := settled(simStart)
		w.Variable = ident.ID(fmt.Sprintf("acme:variable:db/%d/password", i))
		due := rotation.Due(w, &s, 1, time.Time{}, simStart).Sub(simStart)
		if due < grace || due < (ttl-grace)*8/10 || due+grace >= ttl {
			t.Fatalf("%s with a grace of %s: the next one comes after %s", ttl, grace, due)
		}
		if late := ttl - grace - due; due > grace && late < (ttl-grace)/101 {
			t.Fatalf("%s with a grace of %s: %s are left for the work", ttl, grace, late)
		}
	}
	s := read(t, map[string]string{"rotation/ttl": "P10D", "rotation/grace": "P1D", "rotation/grace-mode": "before"})
	w := settled(simStart)
	if due := rotation.Due(w, s, 1, time.Time{}, simStart); due.Before(simStart.Add(7*24*time.Hour)) || due.After(simStart.Add(9*24*time.Hour)) {
		t.Errorf("due at %s", due)
	}
}

// A window that is still open when the next one begins never closes.
func TestWindowsMustNotOverlap(t *testing.T) {
	for _, c := range []struct{ schedule, window, names string }{
		{"0 3 * * *", "P1D", ""},
		{"0 3 * * *", "P1DT1S", "rotation/window"},
		{"0 3 * * sun", "P7D", ""},
		{"0 3 * * sun", "P8D", "rotation/window"},
		{"0 3,4 * * sun", "PT61M", "rotation/window"},
		{"0 3 * * sat,sun", "P2D", "rotation/window"},
		{"30 22,23 * * mon", "PT1H", ""},
		{"0 1,23 * * *", "PT3H", "rotation/window"},
		{"0 3 1 * *", "P28D", ""},
		{"0 3 1 * *", "P29D", "rotation/window"},
		{"0 3 29 2 *", "P100D", ""},
		{"0 * * * *", "", ""},
		{"*/30 * * * *", "", "rotation/schedule"},
		{"*/30 * * * *", "PT30M", ""},
	} {
		annotations := map[string]string{"rotation/rotator": "some", "rotation/schedule": c.schedule}
		if c.window != "" {
			annotations["rotation/window"] = c.window
		}
		problems := rotation.Check("variable", annotations, map[string]target.Kind{"some": anything{}})
		switch {
		case c.names == "" && len(problems) > 0, c.names != "" && (len(problems) != 1 || problems[0].Annotation != c.names || problems[0].Advice == ""):
			t.Errorf("%s for %s: %+v", c.schedule, c.window, problems)
		}
	}
}

// anything is a kind that finds no fault.
type anything struct{ target.Kind }

func (anything) Check(map[string]string) []target.Problem { return nil }
