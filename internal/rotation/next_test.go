package rotation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// TestPaths follows single rotations. Each word of given is how the next call of the
// target ends: ok, refused, bad (refused for the value), auth, unreachable or uncertain.
// Then want is what was called, and where the rotation came to rest.
func TestPaths(t *testing.T) {
	open := row.Rotation{Candidate: true, Sent: true, State: rotation.Applying, Previous: true}
	for _, c := range []struct {
		name   string
		row    row.Rotation
		resets bool
		given  string
		want   string
		also   func(row.Rotation) string
	}{
		{name: "all is well", given: "ok ok ok", want: "apply:current probe:candidate retire:previous -> idle"},
		{name: "nothing has reached the target", given: "unreachable", want: "apply:current -> backoff",
			also: func(w row.Rotation) string { return said(w.Sent || !w.Candidate, "the candidate is kept, unsent") }},
		{name: "a setting is wrong", given: "refused", want: "apply:current -> backoff",
			also: func(w row.Rotation) string { return said(w.Candidate, "a refused candidate is given up") }},
		{name: "another value does", given: "bad ok ok ok", want: "apply:current apply:current probe:candidate retire:previous -> idle"},
		{name: "no value does", given: "bad bad bad", want: "apply:current apply:current apply:current -> backoff"},
		{name: "it was applied, though nobody said so", given: "uncertain ok ok", want: "apply:current probe:candidate retire:previous -> idle"},
		{name: "it was perhaps not applied", given: "uncertain auth ok", want: "apply:current probe:candidate probe:current -> uncertain",
			also: func(w row.Rotation) string {
				return said(!w.Candidate || !w.Sent || !w.Unsure, "the candidate is kept: it may still arrive")
			}},
		{name: "it cannot be told", given: "uncertain unreachable", want: "apply:current probe:candidate -> uncertain"},
		{name: "a login with it fails, and the old one works", given: "ok auth ok ok", want: "apply:current probe:candidate probe:current retire:candidate -> backoff",
			also: func(w row.Rotation) string {
				return said(w.Candidate || !w.Discarded || !strings.Contains(w.ErrorMessage, "the old one is kept"), "it is rolled back")
			}},
		{name: "neither works: the old one is set back", given: "ok auth auth ok ok ok", want: "apply:current probe:candidate probe:current setback:candidate probe:current retire:candidate -> backoff"},
		{name: "neither works, nor can it be set back", given: "ok auth auth uncertain", want: "apply:current probe:candidate probe:current setback:candidate -> uncertain",
			also: func(w row.Rotation) string { return said(!w.Candidate, "nothing is given up") }},
		{name: "after a crash, it is there", row: open, given: "ok ok", want: "probe:candidate retire:previous -> idle"},
		{name: "after a crash and a pause, it is finished", row: with(open, func(w *row.Rotation) { w.PausedAt = simStart }), given: "ok ok", want: "probe:candidate retire:previous -> idle"},
		{name: "after a crash, it is not there", row: open, given: "auth ok ok ok ok", want: "probe:candidate probe:current apply:current probe:candidate retire:previous -> idle"},
		{name: "after a restore of the target", row: open, given: "auth auth ok ok ok ok", want: "probe:candidate probe:current probe:previous apply:previous probe:candidate retire:previous -> idle"},
		{name: "nothing works", row: open, given: "auth auth auth", want: "probe:candidate probe:current probe:previous -> uncertain"},
		{name: "nothing works, but somebody privileged does the work", resets: true, row: open, given: "auth auth auth ok ok ok", want: "probe:candidate probe:current probe:previous apply:current probe:candidate retire:previous -> idle"},
		{name: "it is mended before the logins are too many", resets: true, row: with(open, func(w *row.Rotation) { w.AuthFailures = 3 }), given: "auth auth ok ok ok", want: "probe:current probe:candidate apply:current probe:candidate retire:previous -> idle"},
		{name: "it cannot be mended, and the logins are too many", resets: true, row: with(open, func(w *row.Rotation) { w.AuthFailures = 3 }), given: "auth auth refused auth", want: "probe:current probe:candidate apply:current probe:candidate -> quarantined"},
		{name: "the privileged account is locked out", resets: true, given: "auth auth ok", want: "apply:current probe:candidate probe:current -> uncertain",
			also: func(w row.Rotation) string { return said(w.AuthFailures != 2, "its failures are counted") }},
		{name: "the login is refused too often", row: with(open, func(w *row.Rotation) { w.AuthFailures = 4 }), given: "auth", want: "probe:current -> quarantined",
			also: func(w row.Rotation) string { return said(!w.Candidate, "the candidate is kept") }},
		{name: "after another crash, a login that works comes first", row: with(open, func(w *row.Rotation) { w.AuthFailures = 1 }), given: "ok ok ok ok", want: "probe:current apply:current probe:candidate retire:previous -> idle"},
		{name: "after another crash, it is there all the same", row: with(open, func(w *row.Rotation) { w.AuthFailures = 1 }), given: "auth ok ok", want: "probe:current probe:candidate retire:previous -> idle"},
		{name: "after another crash, nothing works", row: with(open, func(w *row.Rotation) { w.AuthFailures = 1 }), given: "auth auth auth", want: "probe:current probe:candidate probe:previous -> uncertain"},
		{name: "after another crash, it is refused for good", row: with(open, func(w *row.Rotation) { w.AuthFailures = 1 }), given: "ok refused auth ok", want: "probe:current apply:current probe:candidate probe:current -> backoff"},
		{name: "after a crash, what was taken is looked for first", row: with(open, func(w *row.Rotation) { w.AuthFailures, w.Acked = 1, true }), given: "ok ok", want: "probe:candidate retire:previous -> idle"},
		{name: "it is refused for being there already", row: open, given: "auth ok bad ok ok", want: "probe:candidate probe:current apply:current probe:candidate retire:previous -> idle"},
		{name: "too many attempts", row: row.Rotation{State: rotation.Backoff, Attempts: 11}, given: "refused", want: "apply:current -> quarantined"},
		{name: "unreachable is tried for longer", row: row.Rotation{State: rotation.Backoff, Attempts: 11}, given: "unreachable", want: "apply:current -> backoff"},
		{name: "the old one cannot be ended now", given: "ok ok unreachable", want: "apply:current probe:candidate retire:previous -> retiring"},
		{name: "the old one cannot be ended at all", given: "ok ok refused", want: "apply:current probe:candidate retire:previous -> idle"},
		{name: "an old one is ended before the next is made", row: row.Rotation{State: rotation.Retiring, Previous: true, RetireAt: simStart.Add(time.Hour)}, given: "ok ok ok ok", want: "retire:previous apply:current probe:candidate retire:previous -> idle"},
		{name: "an old one is ended in a pause, and the next is not made", row: row.Rotation{State: rotation.Retiring, Previous: true, PausedAt: simStart, RetireAt: simStart}, given: "ok", want: "retire:previous -> idle"},
		{name: "the target was put back before the old one is ended, and another is wanted", row: row.Rotation{State: rotation.Retiring, Previous: true, RetireAt: simStart.Add(time.Hour)}, given: "auth auth ok ok ok", want: "retire:previous probe:current apply:previous probe:candidate retire:previous -> idle"},
		{name: "no known one works before the old one is ended", row: row.Rotation{State: rotation.Retiring, Previous: true, RetireAt: simStart.Add(time.Hour)}, given: "auth auth auth auth auth", want: "retire:previous probe:current apply:previous probe:candidate probe:current -> quarantined"},
		{name: "who ends the old one cannot log in for now", row: row.Rotation{State: rotation.Retiring, Previous: true, RetireAt: simStart.Add(time.Hour)}, given: "auth ok", want: "retire:previous probe:current -> retiring"},
		{name: "the target goes away meanwhile", row: row.Rotation{State: rotation.Retiring, Previous: true, RetireAt: simStart.Add(time.Hour)}, given: "auth unreachable", want: "retire:previous probe:current -> retiring"},
		{name: "set back from the one before", row: row.Rotation{State: rotation.Uncertain, Candidate: true, Sent: true, Acked: true, Previous: true}, given: "auth auth ok ok ok ok", want: "probe:candidate probe:current probe:previous setback:previous probe:current retire:candidate -> backoff"},
		{name: "an interrupted plan starts with its candidate", row: row.Rotation{State: rotation.Planned, Candidate: true}, given: "ok ok ok", want: "apply:current probe:candidate retire:previous -> idle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.row
			w.Variable, w.Revision, w.Version, w.Identity = "acme:variable:x/y", 7, 1, "db"
			if w.State == "" {
				w.State = rotation.Idle
			}
			w.LastSuccess = simStart.Add(-48 * time.Hour)
			got, end := follow(t, w, c.resets, strings.Fields(c.given))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if c.also != nil {
				if wrong := c.also(end); wrong != "" {
					t.Errorf("not so: %s: %+v", wrong, end)
				}
			}
			published := 2
			if c.row.State == rotation.Retiring && !c.row.PausedAt.IsZero() {
				published = 1
			}
			if (end.State == rotation.Idle) != (end.Attempts == 0 && end.Version == published) {
				t.Errorf("%+v", end)
			}
		})
	}
}

func said(wrong bool, what string) string {
	if wrong {
		return what
	}
	return ""
}

func with(w row.Rotation, change func(*row.Rotation)) row.Rotation {
	change(&w)
	return w
}

// follow runs the machine with a script of answers.
func follow(t *testing.T, w row.Rotation, resets bool, answers []string) (string, row.Rotation) {
	t.Helper()
	s := rotation.Settings{TTL: 24 * time.Hour, Limits: rotation.DefaultLimits()}
	f := rotation.Facts{Now: simStart, Version: 1, Identity: "db", NewID: "r", Random: 0.5, Resets: resets}
	run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, f, &s)
	var calls []string
	for range 100 {
		e := rotation.Event{Slot: do.Slot}
		called := map[rotation.Verb]string{rotation.Apply: "apply", rotation.SetBack: "setback", rotation.Probe: "probe", rotation.Retire: "retire"}[do.Do]
		switch do.Do {
		case rotation.Rest:
			if len(answers) > 0 {
				t.Errorf("answers are left: %v", answers)
			}
			if run.Row.LeaseUntil != (time.Time{}) {
				t.Error("the lease is kept")
			}
			return fmt.Sprint(strings.Join(calls, " "), " -> ", run.Row.State), run.Row
		case rotation.Plan:
			e.What, e.Filled = rotation.Planning, true
		case rotation.Send:
			e.What = rotation.Sending
		case rotation.Publish:
			e.What, f.Version = rotation.Published, 2
		case rotation.Apply:
			e.What = rotation.Applied
		case rotation.SetBack:
			e.What = rotation.Restored
		case rotation.Probe:
			e.What = rotation.Probed
		case rotation.Retire:
			e.What = rotation.Retired
		}
		if called != "" {
			calls = append(calls, called+":"+string(do.Slot))
			if len(answers) == 0 {
				t.Fatalf("no answer is left after %v", calls)
			}
			e.Err = answer(answers[0])
			answers = answers[1:]
		}
		if e.What == rotation.Applied && (!run.Row.Candidate || !run.Row.Sent || run.Row.State != rotation.Applying) {
			t.Fatalf("sent before it was durable: %+v", run.Row)
		}
		run, do = rotation.Next(run, e, f, &s)
		if do.Do != rotation.Rest && !run.Row.LeaseUntil.After(simStart) {
			t.Fatal("a step without a lease")
		}
	}
	t.Fatal("it does not end")
	return "", w
}

func answer(word string) *target.Error {
	class, bad := map[string]target.Class{"refused": target.Refused, "bad": target.Refused, "auth": target.AuthFailed, "unreachable": target.Unreachable, "uncertain": target.Uncertain}[word], word == "bad"
	if word == "ok" {
		return nil
	}
	err := target.Errorf(class, nil, "%s", word)
	err.BadValue = bad
	return err
}

// TestAnOldValueThatWorksAgainIsNotEnded: its time is over, but the target has been put back
// to a state in which it is the one that is accepted.
func TestAnOldValueThatWorksAgainIsNotEnded(t *testing.T) {
	w := *settled(simStart.Add(-time.Hour))
	w.State, w.Identity, w.Previous, w.RetireAt = rotation.Retiring, "db", true, simStart
	s := read(t, map[string]string{"rotation/ttl": "P30D", "rotation/grace": "PT1H"})
	f := rotation.Facts{Now: simStart, Version: 1, Identity: "db"}
	run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, f, s)
	if do != (rotation.Action{Do: rotation.Retire, Slot: row.Previous}) {
		t.Fatalf("%+v", do)
	}
	run, do = rotation.Next(run, rotation.Event{What: rotation.Retired, Slot: row.Previous, Err: answer("auth")}, f, s)
	if do != (rotation.Action{Do: rotation.Probe, Slot: rotation.Current}) {
		t.Fatalf("%+v", do)
	}
	run, do = rotation.Next(run, rotation.Event{What: rotation.Probed, Slot: rotation.Current, Err: answer("auth")}, f, s)
	if end := run.Row; do.Do != rotation.Rest || run.Outcome != "drifted" || end.State != rotation.Drifted || !end.Previous || !end.RetireAt.IsZero() || end.ErrorClass == "" || end.AuthFailures != 1 {
		t.Errorf("%s: %+v, then %+v", run.Outcome, end, do)
	}
}

// What the target refused has been replaced by somebody, so nothing is wrong any more.
func TestAValueThatIsWrittenEndsDrift(t *testing.T) {
	for _, annotations := range []map[string]string{{}, {"rotation/ttl": "P1D", "rotation/initial": "keep"}} {
		w := *settled(simStart.Add(-48 * time.Hour))
		w.State, w.ErrorClass, w.ErrorMessage, w.ErrorAt, w.AuthFailures = rotation.Drifted, "authentication failed", "no", simStart, 1
		f := rotation.Facts{Now: simStart, Version: 2, Identity: "db"}
		run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, f, read(t, annotations))
		if end := run.Row; do.Do != rotation.Rest || run.Outcome != "kept" || end.State != rotation.Idle || end.ErrorClass != "" || !end.ErrorAt.IsZero() || end.AuthFailures != 0 || end.Identity != "db" {
			t.Errorf("%v: %s, %+v, then %+v", annotations, run.Outcome, end, do)
		}
	}
}

// Given a target that has to be surveyed, when that fails, then the target has heard of
// nothing; and refused logins are counted, so that the account is not locked.
func TestASurveyThatFails(t *testing.T) {
	settings := rotation.Settings{Limits: rotation.DefaultLimits(), TTL: time.Hour}
	for _, c := range []struct {
		class         target.Class
		failures      int
		state         string
		authenticates int
	}{
		{target.Unreachable, 0, rotation.Backoff, 0},
		{target.Uncertain, 0, rotation.Backoff, 0},
		{target.Refused, 0, rotation.Backoff, 0},
		{target.AuthFailed, 0, rotation.Backoff, 1},
		{target.AuthFailed, settings.Limits.AuthFailures - 1, rotation.Quarantined, settings.Limits.AuthFailures},
	} {
		run := rotation.Run{Row: row.Rotation{State: rotation.Idle, AuthFailures: c.failures}}
		e := rotation.Event{What: rotation.Planning, Err: target.Errorf(c.class, nil, "no")}
		got, do := rotation.Next(run, e, rotation.Facts{Now: simStart}, &settings)
		if w := got.Row; do.Do != rotation.Rest || w.State != c.state || w.AuthFailures != c.authenticates || w.Sent || w.Candidate {
			t.Errorf("%v after %d: %+v, then %d", c.class, c.failures, w, do.Do)
		}
	}
}
