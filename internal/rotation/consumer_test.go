package rotation_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/fault"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

func TestConsumersAreRead(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		annotations map[string]string
		want        string
		within      time.Duration
	}{
		{map[string]string{"rotation/consumers": "host/web-1  user/alice\tbob", "rotation/grace": "PT1H"}, "host/web-1 alice bob", 7 * day},
		{map[string]string{"rotation/consumers": "bob", "rotation/grace": "PT1H", "rotation/ttl": "P2D"}, "bob", 2 * day * 9 / 10},
		{map[string]string{"rotation/consumers": "bob", "rotation/grace": "PT1H", "rotation/ttl": "P100Y"}, "bob", 7 * day},
		{map[string]string{"rotation/consumers": "bob", "rotation/grace": "P10D"}, "bob", 10 * day},
		{map[string]string{"rotation/consumers": "bob", "rotation/grace": "PT1H", "rotation/acknowledge-within": "P3D", "rotation/ttl": "P9D"}, "bob", 3 * day},
	} {
		if s := read(t, c.annotations); strings.Join(s.Consumers, " ") != c.want || s.Within != c.within {
			t.Errorf("%v: %v within %s", c.annotations, s.Consumers, s.Within)
		}
	}
}

func TestProblemsOfConsumers(t *testing.T) {
	many := make([]string, rotation.MostConsumers+1)
	for i := range many {
		many[i] = fmt.Sprint("host/", i)
	}
	for _, c := range []struct{ consumers, grace, within, ttl, want string }{
		{"", "PT1H", "", "", "rotation/consumers: it names nobody"},
		{"host/", "PT1H", "", "", "rotation/consumers: 'host/' is no login name"},
		{"acme:host:web", "PT1H", "", "", "rotation/consumers: 'acme:host:web' is no login name"},
		{"a,b", "PT1H", "", "", "rotation/consumers: 'a,b' is no login name"},
		{"layer/web", "PT1H", "", "", "rotation/consumers: 'layer/web' is no host or user: members come and go, so nobody could tell when all have acknowledged"},
		{"bob user/bob", "PT1H", "", "", "rotation/consumers: 'bob' is there twice"},
		{strings.Join(many, " "), "PT1H", "", "", "rotation/consumers: it names 33 roles, and 32 are the most"},
		{"bob", "", "", "", "rotation/consumers: there is no rotation/grace"},
		{"bob", "PT1H", "PT30M", "", "rotation/acknowledge-within: it is shorter than the grace"},
		{"bob", "PT1H", "P1D", "P1D", "rotation/acknowledge-within: it is not shorter than the ttl"},
		{"bob", "PT1H", "soon", "", "rotation/acknowledge-within: "},
		{"-", "PT1H", "P1D", "", "rotation/acknowledge-within: there is no rotation/consumers for it to apply to"},
	} {
		annotations := map[string]string{}
		for name, value := range map[string]string{"grace": c.grace, "acknowledge-within": c.within, "ttl": c.ttl} {
			if value != "" {
				annotations["rotation/"+name] = value
			}
		}
		if c.consumers != "-" {
			annotations["rotation/consumers"] = c.consumers
		}
		_, problems := rotation.Read(annotations, rotation.DefaultLimits())
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Annotation+": "+problems[0].Message, c.want) || problems[0].Advice == "" {
			t.Errorf("%v: %+v; want %s", annotations, problems, c.want)
		}
	}
}

// An end that is promised does not wait for anybody.
func TestNobodyIsWaitedForWhereTheOldValueHasToEnd(t *testing.T) {
	for mode, complaints := range map[string]int{"before": 1, "after": 0} {
		_, problems := rotation.Read(map[string]string{"rotation/ttl": "P9D", "rotation/grace": "PT1H", "rotation/grace-mode": mode, "rotation/consumers": "bob"}, rotation.DefaultLimits())
		if len(problems) != complaints {
			t.Errorf("%s: %+v", mode, problems)
		}
	}
}

// ends is a kind whose targets end old values by themselves, unless they are told to keep
// them.
type ends struct{ target.Kind }

func (ends) Check(map[string]string) []target.Problem { return nil }
func (ends) Keeps(a map[string]string) bool           { return a["rotation/ends/both"] != "" }

func TestNobodyIsWaitedForWhereTheTargetEndsOldValues(t *testing.T) {
	kinds := map[string]target.Kind{"ends/password": ends{}}
	annotations := map[string]string{"rotation/rotator": "ends/password", "rotation/consumers": "bob", "rotation/grace": "PT1H"}
	problems := rotation.Check("variable", annotations, kinds)
	if len(problems) != 1 || problems[0].Annotation != "rotation/consumers" || !strings.Contains(problems[0].Advice, "take turns") {
		t.Errorf("%+v", problems)
	}
	annotations["rotation/ends/both"] = "yes"
	if problems := rotation.Check("variable", annotations, kinds); len(problems) != 0 {
		t.Errorf("%+v", problems)
	}
}

// published is a rotation whose value was published at simStart, with an old value that
// waits for host/a and host/b.
func published() (row.Rotation, rotation.Settings) {
	s := rotation.Settings{Limits: rotation.DefaultLimits(), Grace: time.Hour, Consumers: []string{"host/a", "host/b"}, Within: 10 * time.Hour}
	run := rotation.Run{Row: row.Rotation{Variable: "acme:variable:x", Revision: 5, State: rotation.Verified, Candidate: true, Sent: true, Acked: true, Version: 6, Identity: "db", LastSuccess: simStart.Add(-time.Hour)}}
	run, _ = rotation.Next(run, rotation.Event{What: rotation.Published}, facts(simStart, "host/a", "host/b"), &s)
	return run.Row, s
}

func facts(now time.Time, consumers ...string) rotation.Facts {
	return rotation.Facts{Now: now, Version: 7, Identity: "db", NewID: "r", Random: 0.5, Consumers: consumers}
}

func TestAnOldValueWaitsForItsConsumers(t *testing.T) {
	hours := func(n float64) time.Time { return simStart.Add(time.Duration(n * float64(time.Hour))) }
	for _, c := range []struct {
		name  string
		acks  []string
		alter func(*row.Rotation, *rotation.Settings)
		due   time.Time
		word  string // what is said when it is ended then
	}{
		{"for all of them, at most so long", nil, nil, hours(10), "not acknowledged by host/a, host/b"},
		{"for who is missing, at most so long", []string{"host/b"}, nil, hours(10), "not acknowledged by host/a"},
		{"for the grace, though all have acknowledged", []string{"host/a", "host/b"}, nil, hours(1), ""},
		{"but not for those that are no consumers any more", []string{"host/b"}, func(_ *row.Rotation, s *rotation.Settings) { s.Consumers = []string{"host/b"} }, hours(1), ""},
		{"nor for those that became consumers later", []string{"host/a", "host/b"}, func(_ *row.Rotation, s *rotation.Settings) { s.Consumers = []string{"host/a", "host/b", "host/c"} }, hours(1), ""},
		{"in a pause too", nil, func(w *row.Rotation, _ *rotation.Settings) { w.PausedAt = simStart }, hours(10), "not acknowledged by host/a, host/b"},
		{"not in the way of who wants another value", []string{"host/a"}, func(w *row.Rotation, _ *rotation.Settings) { w.RequestedAt = simStart }, simStart, "not acknowledged by host/b"},
		{"for no longer than is said by now", nil, func(_ *row.Rotation, s *rotation.Settings) { s.Within = 2 * time.Hour }, simStart, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, s := published()
			for _, who := range c.acks {
				if did, err := rotation.Acknowledge(&w, &s, who, 7, 7); did != rotation.Acknowledged || err != nil {
					t.Fatal(did, err)
				}
			}
			if c.alter != nil {
				c.alter(&w, &s)
			}
			due := rotation.Due(&w, &s, 7, time.Time{}, simStart)
			if !due.Equal(c.due) {
				t.Fatalf("due at %s", due)
			}
			run, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, facts(due), &s)
			if c.word == "-" {
				if again := rotation.Due(&run.Row, &s, 7, time.Time{}, simStart); do.Do != rotation.Rest || !again.Equal(hours(2)) {
					t.Errorf("%+v, due at %s", do, again)
				}
				return
			}
			if do != (rotation.Action{Do: rotation.Retire, Slot: row.Previous}) || run.Message != c.word || (run.Outcome == rotation.Unacknowledged) != (c.word != "") {
				t.Errorf("%+v: %q %q", do, run.Outcome, run.Message)
			}
			// What could not be ended is ended later, and it is said once.
			failed, _ := rotation.Next(run, rotation.Event{What: rotation.Retired, Slot: row.Previous, Err: target.Errorf(target.Unreachable, nil, "no")}, facts(due), &s)
			failed.Row.PausedAt = time.Time{} // in which nothing that has failed is tried again
			again, do := rotation.Next(rotation.Run{Row: failed.Row}, rotation.Event{What: rotation.Begin}, facts(due.Add(time.Minute)), &s)
			if do.Do != rotation.Retire || again.Message != "" {
				t.Errorf("again: %+v %q", do, again.Message)
			}
			after, _ := rotation.Next(again, rotation.Event{What: rotation.Retired, Slot: row.Previous}, facts(due), &s)
			if after.Row.State != rotation.Idle && after.Row.State != rotation.Planned && c.alter == nil || !after.Row.RetireAt.IsZero() || !after.Row.RetireBy.IsZero() {
				t.Errorf("%+v", after.Row)
			}
		})
	}
}

func TestAcknowledgements(t *testing.T) {
	for _, c := range []struct {
		name     string
		consumer string
		version  int
		newest   int
		want     rotation.Acknowledgement
		left     string
		kind     fault.Kind
	}{
		{"of the published version", "host/a", 7, 7, rotation.Acknowledged, "host/b", 0},
		{"of one that somebody has written since", "host/a", 8, 8, rotation.Acknowledged, "host/b", 0},
		{"of the published one, though somebody has written another", "host/a", 7, 8, rotation.Acknowledged, "host/b", 0},
		{"of one before", "host/a", 6, 7, rotation.Outdated, "host/a host/b", 0},
		{"of one that is not there", "host/a", 8, 7, "", "host/a host/b", fault.Argument},
		{"of somebody else", "host/c", 7, 7, "", "host/a host/b", fault.Conflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, s := published()
			did, err := rotation.Acknowledge(&w, &s, c.consumer, c.version, c.newest)
			if did != c.want || w.Awaited != c.left || (err != nil) != (c.kind != 0) || err != nil && !fault.Is(err, c.kind) {
				t.Errorf("%q, left %q, %v", did, w.Awaited, err)
			}
			if did != rotation.Acknowledged {
				return
			}
			if did, err := rotation.Acknowledge(&w, &s, c.consumer, c.version, c.newest); did != rotation.NotAwaited || err != nil || w.Awaited != c.left {
				t.Errorf("again: %q, left %q, %v", did, w.Awaited, err)
			}
		})
	}
}

// Whatever is acknowledged, when, by whom and how often: an old value is ended not before
// its grace is over, and then not before all have acknowledged or the longest time is over;
// and it is ended then.
func TestAnOldValueIsNeverEndedTooEarly(t *testing.T) {
	random := rand.New(rand.NewPCG(26, 1))
	for range 3000 {
		s := rotation.Settings{Limits: rotation.DefaultLimits(), Grace: time.Duration(1+random.IntN(100)) * time.Minute}
		s.Within = s.Grace + time.Duration(random.IntN(300))*time.Minute
		for i := range random.IntN(5) {
			s.Consumers = append(s.Consumers, fmt.Sprint("host/", i))
		}
		run := rotation.Run{Row: row.Rotation{Variable: "acme:variable:x", Revision: 5, State: rotation.Verified, Candidate: true, Version: 6, Identity: "db", LastSuccess: simStart}}
		awaited := slices.DeleteFunc(slices.Clone(s.Consumers), func(string) bool { return random.IntN(4) == 0 })
		run, _ = rotation.Next(run, rotation.Event{What: rotation.Published}, facts(simStart, awaited...), &s)
		w, missing, now := run.Row, slices.Clone(awaited), simStart
		for {
			now = now.Add(time.Duration(random.IntN(40)) * time.Minute)
			if len(s.Consumers) > 0 && random.IntN(3) == 0 {
				who, version := s.Consumers[random.IntN(len(s.Consumers))], 6+random.IntN(3)
				before := w
				did, err := rotation.Acknowledge(&w, &s, who, version, 7)
				if version == 7 {
					missing = slices.DeleteFunc(missing, func(m string) bool { return m == who })
				} else if w != before || (version > 7) != (err != nil) {
					t.Fatalf("%d: %q %v", version, did, err)
				}
			}
			due := rotation.Due(&w, &s, 7, time.Time{}, now)
			least := now.Sub(simStart) >= s.Grace && (len(missing) == 0 || now.Sub(simStart) >= s.Within)
			if ended := !due.After(now); ended != least {
				t.Fatalf("after %s, without %v of %v, within %s and %s: ended %v", now.Sub(simStart), missing, awaited, s.Grace, s.Within, ended)
			}
			_, do := rotation.Next(rotation.Run{Row: w}, rotation.Event{What: rotation.Begin}, facts(now), &s)
			if (do.Do == rotation.Retire) != least {
				t.Fatalf("the machine does %+v", do)
			}
			if least {
				break
			}
		}
	}
}
