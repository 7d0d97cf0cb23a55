package rotation_test

import (
	"testing"
	"time"

	"rekey/internal/rotation"
	"rekey/internal/row"
)

func TestDue(t *testing.T) {
	now := at("2026-05-01 12:00")
	never := time.Time{}
	ttl := map[string]string{"rotation/ttl": "P10D", "rotation/grace": "PT2H"}
	manual := map[string]string{}
	rested := *settled(now.Add(-24 * time.Hour))
	byTTL := rested.LastSuccess.Add(rotation.Jittered(rested.Variable, 240*time.Hour))
	for _, c := range []struct {
		name        string
		annotations map[string]string
		row         row.Rotation
		version     int
		expires     time.Time
		want        time.Time
	}{
		{"no value", ttl, row.Rotation{}, 0, never, never},
		{"a first value", ttl, row.Rotation{}, 1, never, now},
		{"a first value that has an expiry already", ttl, row.Rotation{}, 3, now.Add(time.Hour), now.Add(time.Hour)},
		{"a first value, by hand only", manual, row.Rotation{}, 1, never, never},
		{"at rest", ttl, rested, 1, never, byTTL},
		{"at rest, by hand only", manual, rested, 1, never, never},
		{"somebody has written a value", ttl, rested, 2, never, now},
		{"paused", ttl, with(rested, func(w *row.Rotation) { w.PausedAt = now }), 2, never, never},
		{"paused after its worker has died", ttl, with(rested, func(w *row.Rotation) {
			w.PausedAt, w.State, w.Candidate, w.Sent = now, rotation.Applying, true, true
		}), 1, never, now},
		{"paused while somebody works on it", ttl, with(rested, func(w *row.Rotation) {
			w.PausedAt, w.State, w.Sent, w.Holder, w.LeaseUntil = now, rotation.Applying, true, "b", now.Add(time.Minute)
		}), 1, never, now.Add(time.Minute)},
		{"paused before it was sent", ttl, with(rested, func(w *row.Rotation) { w.PausedAt, w.State, w.Candidate = now, rotation.Planned, true }), 1, never, never},
		{"paused after it has failed", ttl, with(rested, func(w *row.Rotation) {
			w.PausedAt, w.State, w.Sent, w.RetryAt = now, rotation.Uncertain, true, now.Add(time.Minute)
		}), 1, never, never},
		{"paused before the old value is ended", ttl, with(rested, func(w *row.Rotation) {
			w.PausedAt, w.State, w.RetireAt = now, rotation.Retiring, now.Add(time.Hour)
		}), 2, never, now.Add(time.Hour)},
		{"paused in quarantine", ttl, with(rested, func(w *row.Rotation) { w.PausedAt, w.State, w.Sent = now, rotation.Quarantined, true }), 2, never, never},
		{"asked for", manual, with(rested, func(w *row.Rotation) { w.RequestedAt = now }), 1, never, now},
		{"quarantined", ttl, with(rested, func(w *row.Rotation) { w.State = rotation.Quarantined }), 1, never, never},
		{"quarantined, and somebody has written a value", ttl, with(rested, func(w *row.Rotation) { w.State = rotation.Quarantined }), 2, never, now},
		{"suspended", ttl, with(rested, func(w *row.Rotation) { w.State = rotation.Suspended }), 1, never, never},
		{"it waits", ttl, with(rested, func(w *row.Rotation) { w.State, w.RetryAt = rotation.Backoff, now.Add(time.Minute) }), 1, never, now.Add(time.Minute)},
		{"it waits, also if asked for before", ttl, with(rested, func(w *row.Rotation) { w.RetryAt, w.RequestedAt = now.Add(time.Minute), now }), 1, never, now.Add(time.Minute)},
		{"an old value is to be ended", ttl, with(rested, func(w *row.Rotation) { w.State, w.RetireAt = rotation.Retiring, now.Add(time.Hour) }), 1, never, now.Add(time.Hour)},
		{"somebody works on it", ttl, with(rested, func(w *row.Rotation) { w.Holder, w.LeaseUntil = "b", now.Add(time.Minute) }), 2, never, now.Add(time.Minute)},
		{"its worker has died", ttl, with(rested, func(w *row.Rotation) { w.Holder, w.LeaseUntil, w.Sent = "b", now.Add(-time.Minute), true }), 1, never, now.Add(-time.Minute)},
		{"the clock was ahead: the last success", ttl, with(rested, func(w *row.Rotation) { w.LastSuccess = now.Add(240 * time.Hour) }), 1, never, now},
		{"the clock was ahead: the next attempt", ttl, with(rested, func(w *row.Rotation) { w.State, w.RetryAt = rotation.Backoff, now.Add(240*time.Hour) }), 1, never, now},
		{"the clock was ahead: the end of the old value", ttl, with(rested, func(w *row.Rotation) { w.RetireAt = now.Add(240 * time.Hour) }), 1, never, now},
		{"the clock was ahead: the lease", ttl, with(rested, func(w *row.Rotation) {
			w.Holder, w.LeaseUntil, w.Sent = "b", now.Add(240*time.Hour), true
		}), 1, never, now},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.row.Variable = rested.Variable
			if got := rotation.Due(&c.row, read(t, c.annotations), c.version, c.expires, now); !got.Equal(c.want) {
				t.Errorf("due at %s, want %s", got, c.want)
			}
		})
	}
}

// A clock that was ahead is corrected without a rotation.
func TestAWrongClockRotatesNothing(t *testing.T) {
	w := *settled(simStart.Add(1000 * time.Hour))
	w.Identity = "db"
	s := rotation.Settings{TTL: 24 * time.Hour, Limits: rotation.DefaultLimits()}
	run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, rotation.Facts{Now: simStart, Version: 1, Identity: "db"}, &s)
	if do.Do != rotation.Rest || run.Outcome == "" || !run.Row.LastSuccess.Equal(simStart) || run.Row.Candidate {
		t.Errorf("%+v, then %+v", run, do)
	}
}

func TestSteering(t *testing.T) {
	now := at("2026-05-01 12:00")
	waits := row.Rotation{Variable: "acme:variable:db/password", Revision: 3, Version: 1, State: rotation.Backoff, Attempts: 3, RetryAt: now.Add(time.Hour)}
	for _, annotations := range []map[string]string{{}, {"rotation/schedule": "0 3 * * sun"}} {
		w := waits
		if err := rotation.RotateNow(&w, "acme:user:alice", now); err != nil || !rotation.Due(&w, read(t, annotations), 1, time.Time{}, now).Equal(now) || w.RequestedBy != "acme:user:alice" {
			t.Errorf("rotate waits for a backoff or a window: %+v, %v", w, err)
		}
	}
	sent := row.Rotation{State: rotation.Quarantined, Candidate: true, Sent: true, Attempts: 12, AuthFailures: 5}
	w := sent
	if rotation.RotateNow(&w, "acme:user:alice", now) == nil {
		t.Error("a quarantined rotation is not started without a word")
	}
	if err := rotation.Retry(&w, "acme:user:alice", now); err != nil || w.State != rotation.Uncertain || w.Attempts+w.AuthFailures != 0 || w.RequestedAt != now {
		t.Errorf("retry: %+v, %v", w, err)
	}
	w = sent
	if keep, err := rotation.Adopt(&w, 3, "here", now); err != nil || !keep || w.Candidate || w.Identity != "here" || w.State != rotation.Idle || w.Version != 3 || w.Attempts != 0 || !w.Discarded {
		t.Errorf("adopt: %+v, %v", w, err)
	}
	w = row.Rotation{State: rotation.Suspended, Identity: "old", Candidate: true, ErrorClass: "refused", ErrorMessage: "the target has changed", ErrorAt: now}
	for name, err := range map[string]error{"rotate": rotation.RotateNow(&w, "x", now), "retry": rotation.Retry(&w, "x", now), "reconcile": rotation.Reconcile(&w, "x", now)} {
		if err == nil {
			t.Errorf("%s goes on with another target", name)
		}
	}
	if err := rotation.Resume(&w, "here"); err != nil || w.Identity != "here" || w.State != rotation.Planned || w.ErrorClass+w.ErrorMessage != "" || !w.ErrorAt.IsZero() {
		t.Errorf("resume: %+v, %v", w, err)
	}
	for _, same := range []string{"here", ""} {
		if rotation.Resume(&w, same) == nil || w.Identity != "here" {
			t.Errorf("what runs is resumed: %+v", w)
		}
	}
	if err := rotation.Resume(&w, "there"); err != nil || w.Identity != "there" {
		t.Errorf("a change of the target is not accepted before the rotation is suspended for it: %+v, %v", w, err)
	}
	w.PausedAt = now
	if err := rotation.Resume(&w, "elsewhere"); err != nil || w.Identity != "there" || !w.PausedAt.IsZero() {
		t.Errorf("the end of a pause accepts another target: %+v, %v", w, err)
	}
}
