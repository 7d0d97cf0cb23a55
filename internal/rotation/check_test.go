package rotation_test

import (
	"testing"
	"time"

	"rekey/internal/rotation"
	"rekey/internal/row"
)

func TestWhenAValueIsTried(t *testing.T) {
	now := at("2026-05-01 12:00")
	never := time.Time{}
	each := map[string]string{"rotation/ttl": "P90D", "rotation/verify": "P10D"}
	rested := *settled(now.Add(-24 * time.Hour))
	interval := rotation.Jittered(rested.Variable, 240*time.Hour)
	for _, c := range []struct {
		name        string
		annotations map[string]string
		row         row.Rotation
		version     int
		want        time.Time
	}{
		{"after a rotation", each, rested, 1, rested.LastSuccess.Add(interval)},
		{"after the last time", each, with(rested, func(w *row.Rotation) { w.CheckedAt = now.Add(-time.Hour) }), 1, now.Add(-time.Hour).Add(interval)},
		{"once a day, if nothing is said", map[string]string{"rotation/ttl": "P90D"}, rested, 1, rested.LastSuccess.Add(rotation.Jittered(rested.Variable, 24*time.Hour))},
		{"never", map[string]string{"rotation/ttl": "P90D", "rotation/verify": "never"}, rested, 1, never},
		{"nothing was ever handed over", each, row.Rotation{State: rotation.Idle}, 1, never},
		{"no value", each, rested, 0, never},
		{"paused", each, with(rested, func(w *row.Rotation) { w.PausedAt = now }), 1, never},
		{"a rotation is under way", each, with(rested, func(w *row.Rotation) { w.State, w.Candidate, w.Sent = rotation.Applying, true, true }), 1, never},
		{"quarantined", each, with(rested, func(w *row.Rotation) { w.State = rotation.Quarantined }), 1, never},
		{"refused before", each, with(rested, func(w *row.Rotation) { w.State = rotation.Drifted }), 1, never},
		{"refused before, and somebody has written another", each, with(rested, func(w *row.Rotation) { w.State = rotation.Drifted }), 2, never},
		{"by hand only, and somebody has written a value", map[string]string{}, row.Rotation{}, 1, now},
		{"by hand only, and somebody has written a value in quarantine", map[string]string{}, with(rested, func(w *row.Rotation) { w.State = rotation.Quarantined }), 2, now},
		{"by hand only, and the target may have another one", map[string]string{}, with(rested, func(w *row.Rotation) { w.State, w.Candidate, w.Sent = rotation.Uncertain, true, true }), 2, never},
		{"the clock was ahead", each, with(rested, func(w *row.Rotation) { w.CheckedAt = now.Add(240 * time.Hour) }), 1, now},
		{"the clock was ahead when it was published", each, with(rested, func(w *row.Rotation) { w.LastSuccess, w.CheckedAt = now.Add(240*time.Hour), now }), 1, now.Add(interval)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.row.Variable = rested.Variable
			if got := rotation.CheckDue(&c.row, read(t, c.annotations), c.version, now); !got.Equal(c.want) {
				t.Errorf("due at %s, want %s", got, c.want)
			}
		})
	}
}

// TestWhatALoginTells: each word is how the login ends.
func TestWhatALoginTells(t *testing.T) {
	for _, c := range []struct {
		given   string
		row     row.Rotation
		version int
		outcome string
		state   string
		refused int // logins
	}{
		{"ok", row.Rotation{State: rotation.Idle, Version: 1}, 1, rotation.Checked, rotation.Idle, 0},
		{"auth", row.Rotation{State: rotation.Idle, Version: 1}, 1, "drifted", rotation.Drifted, 1},
		{"unreachable", row.Rotation{State: rotation.Idle, Version: 1}, 1, "not checked", rotation.Idle, 0},
		{"uncertain", row.Rotation{State: rotation.Idle, Version: 1}, 1, "not checked", rotation.Idle, 0},
		{"refused", row.Rotation{State: rotation.Idle, Version: 1}, 1, "not checked", rotation.Idle, 0},
	} {
		t.Run(c.given+" in "+c.row.State, func(t *testing.T) {
			s := rotation.Settings{Verify: time.Hour, Limits: rotation.DefaultLimits()} // rotated by hand only
			w := c.row
			w.Variable, w.Revision, w.LastSuccess = "acme:variable:x/y", 7, simStart.Add(-48*time.Hour)
			f := rotation.Facts{Now: simStart, Version: c.version, Identity: "db"}
			run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, f, &s)
			if do != (rotation.Action{Do: rotation.Probe, Slot: rotation.Current}) || run.Row.LeaseUntil.IsZero() {
				t.Fatalf("%+v, then %+v", run.Row, do)
			}
			run, do = rotation.Next(run, rotation.Event{What: rotation.Probed, Slot: rotation.Current, Err: answer(c.given)}, f, &s)
			end := run.Row
			if do.Do != rotation.Rest || run.Outcome != c.outcome || end.State != c.state || end.AuthFailures != c.refused || end.Holder != "" {
				t.Errorf("%s: %+v, then %+v", run.Outcome, end, do)
			}
			if (end.ErrorAt.IsZero()) != (end.State == rotation.Idle) || !end.CheckedAt.Equal(simStart) || !end.RequestedAt.IsZero() || end.Attempts != 0 {
				t.Errorf("%+v", end)
			}
		})
	}
}

// The value is not shown to a target that it was not handed off for.
func TestAnotherTargetIsNotTried(t *testing.T) {
	s := rotation.Settings{Verify: time.Hour, Limits: rotation.DefaultLimits()}
	w := *settled(simStart.Add(-48 * time.Hour))
	w.Identity = "db"
	run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, rotation.Facts{Now: simStart, Version: 1, Identity: "elsewhere"}, &s)
	if do.Do != rotation.Rest || run.Row.State != rotation.Suspended {
		t.Errorf("%+v, then %+v", run.Row, do)
	}
}

// A login that was refused after somebody has written another value says nothing of that.
func TestAValueWrittenMeanwhileIsNotBlamed(t *testing.T) {
	s := rotation.Settings{Verify: time.Hour, Limits: rotation.DefaultLimits()}
	f := rotation.Facts{Now: simStart, Version: 1, Identity: "db"}
	run, _ := rotation.Next(rotation.Run{Row: *settled(simStart.Add(-48 * time.Hour))}, rotation.Event{What: rotation.Begin}, f, &s)
	f.Version = 2
	run, _ = rotation.Next(run, rotation.Event{What: rotation.Probed, Slot: rotation.Current, Err: answer("auth")}, f, &s)
	if run.Row.State != rotation.Idle || run.Outcome != "not checked" {
		t.Errorf("%s: %+v", run.Outcome, run.Row)
	}
}
