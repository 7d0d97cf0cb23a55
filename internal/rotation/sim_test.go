package rotation_test

import (
	"flag"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

var (
	simVariables = flag.Int("sim.variables", 150, "variables to simulate")
	simDays      = flag.Int("sim.days", 60, "days to simulate")
	simSeed      = flag.Int64("sim.seed", 1, "seed of the first variable")
	simTrace     = flag.Bool("sim.trace", false, "print every step")
)

// TestAYearOfFaults simulates variables in virtual time: 5 % of all calls fail in some
// way, targets come back from a backup, clocks step, nodes crash and are cut off from
// the store, people write values and press buttons. No credential may be lost, none be
// published before it worked, none be replaced early, no account be locked out.
//
// The long form: go test -run Year -sim.variables 1000 -sim.days 365
func TestAYearOfFaults(t *testing.T) {
	var total tally
	for i := range *simVariables {
		seed := *simSeed + int64(i)
		s := newSim(t, seed)
		s.run(time.Duration(*simDays) * 24 * time.Hour)
		if t.Failed() {
			t.Fatalf("seed %d: repeat with -sim.seed %d -sim.variables 1 -sim.trace", seed, seed)
		}
		total.add(s.tally)
	}
	t.Logf("%d variables, %d days: %+v; 0 violations", *simVariables, *simDays, total)
	if total.Published < *simVariables**simDays/2 || total.Faults == 0 || total.Restores == 0 || total.TakenOver == 0 || total.RolledBack == 0 || total.Drifted == 0 || total.Acknowledged == 0 || total.Unacknowledged == 0 {
		t.Errorf("the simulation is too tame: %+v", total)
	}
}

type tally struct {
	Published, Faults, Crashes, Restores, TakenOver, LostLease, Quarantined, RolledBack, Drifted, HandOvers, ClockSteps, LateEffects, Acknowledged, Unacknowledged int
}

func (a *tally) add(b tally) {
	a.Published += b.Published
	a.Faults += b.Faults
	a.Crashes += b.Crashes
	a.Restores += b.Restores
	a.TakenOver += b.TakenOver
	a.LostLease += b.LostLease
	a.Quarantined += b.Quarantined
	a.RolledBack += b.RolledBack
	a.Drifted += b.Drifted
	a.HandOvers += b.HandOvers
	a.ClockSteps += b.ClockSteps
	a.LateEffects += b.LateEffects
	a.Acknowledged += b.Acknowledged
	a.Unacknowledged += b.Unacknowledged
}

// sim is one variable with its target, the store as two nodes share it, and what goes
// wrong.
type sim struct {
	*testing.T
	*rand.Rand
	seed     int64
	now      time.Time
	end      time.Time
	settings rotation.Settings
	out      *outside
	nodes    []*node
	alone    bool // only the first of them has the store, and comes back at once

	// the store
	row     row.Rotation
	slots   map[row.Slot]string
	values  []string // versions of the variable
	expires time.Time

	late []lateEffect

	awaited []string  // consumers that have not acknowledged the published version
	words   []word    // that consumers are about to say
	next    time.Time // when the world does something

	lastPublish time.Time
	asked       bool      // since the last publish: a reason to be early
	excused     bool      // the target was restored to before everything that is known
	deadSince   time.Time // the target does not accept the published value
	stepped     bool      // a clock has been wrong since the last publish
	calm        time.Time
	tally       tally
	serial      int
}

type lateEffect struct {
	at time.Time
	do func() string
}

var simStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newSim(t *testing.T, seed int64) *sim {
	s := &sim{T: t, Rand: rand.New(rand.NewSource(seed)), seed: seed, now: simStart, slots: map[row.Slot]string{}}
	limits := rotation.DefaultLimits()
	s.settings = rotation.Settings{Rotator: "sim", Limits: limits, TTL: 24 * time.Hour, Verify: 6 * time.Hour}
	s.out = &outside{accepted: map[string]bool{}, intents: map[string][]string{}}
	switch s.Intn(4) {
	case 0:
		s.out.admin = true
	case 1:
		s.out.issues, s.out.survey = true, true
		s.settings.Grace = 2 * time.Hour
	case 2:
		s.out.issues = true
		s.settings.Grace = 2 * time.Hour
	}
	if s.settings.Grace > 0 && s.Intn(2) == 0 {
		s.settings.Consumers, s.settings.Within = []string{"host/a", "host/b", "host/c"}, 12*time.Hour
	}
	s.alone = s.Intn(3) == 0
	s.row.Variable = ident.ID(fmt.Sprintf("acme:variable:%d/password", seed))
	s.nodes = []*node{{sim: s, name: "a"}, {sim: s, name: "b"}}
	s.handOver()
	s.schedule()
	return s
}

func (s *sim) trace(format string, args ...any) {
	if *simTrace {
		s.Logf("%s %s", s.now.Format("01-02 15:04:05.000"), fmt.Sprintf(format, args...))
	}
}

func (s *sim) violated(format string, args ...any) {
	s.Helper()
	s.Errorf("seed %d, %s: %s\nrow %+v\nslots %v, values %v\ntarget %+v", s.seed, s.now, fmt.Sprintf(format, args...), s.row, s.slots, s.values[max(0, len(s.values)-3):], s.out)
}

func (s *sim) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.Int63n(int64(to-from)))
}

// faulty: faults come for 95 % of the time; then comes calm, so that it can be seen
// whether everything comes to rest.
func (s *sim) faulty(share float64) bool {
	return s.now.Before(s.calm) && s.Float64() < share
}

func (s *sim) schedule() { s.next = s.now.Add(s.between(time.Hour, 5*24*time.Hour)) }

func (s *sim) run(d time.Duration) {
	s.end = s.now.Add(d)
	s.calm = s.end.Add(-5 * 24 * time.Hour)
	steps := 0
	for s.now.Before(s.end) && !s.Failed() {
		at, do := s.next, s.event
		if !s.now.Before(s.calm) {
			s.nodes[0].skew, s.nodes[1].skew = 0, 0
		}
		for i, l := range s.late {
			if l.at.Before(at) {
				at, do = l.at, func() {
					s.late = append(s.late[:i:i], s.late[i+1:]...)
					s.trace("a late request arrives")
					s.tally.LateEffects++
					l.do()
				}
			}
		}
		for i, said := range s.words {
			if said.at.Before(at) {
				at, do = said.at, func() {
					s.words = append(s.words[:i:i], s.words[i+1:]...)
					s.acknowledge(said)
				}
			}
		}
		for _, n := range s.nodes {
			if wake := n.wake(); !wake.IsZero() && wake.Before(at) {
				at, do = wake, n.step
			}
		}
		if steps++; steps > 3000*int(s.now.Sub(simStart)/(24*time.Hour)+1) {
			s.violated("it runs in circles")
		}
		if at.After(s.end) {
			break
		}
		if at.After(s.now) {
			s.now = at
		}
		do()
		s.invariants()
	}
	if s.row.State == rotation.Quarantined || !s.row.PausedAt.IsZero() || s.Failed() {
		return
	}
	if age := s.now.Sub(s.row.LastSuccess); age > s.settings.TTL*12/10+2*time.Hour {
		s.violated("after five calm days the value is %s old", age)
	}
}

// invariants hold at every moment.
func (s *sim) invariants() {
	// A refusal that could not be recorded is not counted, nor can it be.
	if n := s.out.refusedLogins - s.out.crashes; n > s.settings.Limits.AuthFailures {
		s.violated("%d refused logins in a row", n)
	}
	// A value that does not work is noticed, in calm, when it is tried at the latest.
	switch {
	case s.out.accepts(s.values[len(s.values)-1]), s.row.State != rotation.Idle, !s.row.PausedAt.IsZero(), s.now.Before(s.calm.Add(2 * time.Hour)):
		s.deadSince = time.Time{}
	case s.deadSince.IsZero():
		s.deadSince = s.now
	case s.now.Sub(s.deadSince) > s.settings.Verify*11/10+time.Minute:
		s.violated("the published value has not worked for %s, and nobody has noticed", s.now.Sub(s.deadSince))
	}
	// An old value that waits for somebody does not wait for ever.
	if age := s.now.Sub(s.lastPublish); s.row.State == rotation.Retiring && s.row.PausedAt.IsZero() && !s.now.Before(s.calm.Add(24*time.Hour)) && age > max(s.settings.Grace, s.settings.Within)+2*time.Hour {
		s.violated("an old value has been there for %s", age)
	}
	known := append([]string{s.values[len(s.values)-1]}, s.slots[row.Candidate], s.slots[row.Previous], s.slots[row.Discarded])
	for _, value := range known {
		if s.out.accepts(value) {
			return
		}
	}
	if !s.excused {
		s.violated("the target accepts none of the known credentials")
	}
}

// event is the world doing something to the variable.
func (s *sim) event() {
	s.schedule()
	quiet := !s.now.Before(s.calm)
	if s.row.State == rotation.Quarantined {
		s.handOver() // somebody looks at it, resets the account and writes the value down
		return
	}
	if s.row.State == rotation.Suspended {
		s.violated("suspended, though the target is the same")
	}
	if !s.row.PausedAt.IsZero() {
		s.steer(func(w *row.Rotation) error { return rotation.Resume(w, "") })
		return
	}
	what := s.Intn(12)
	if quiet && what < 3 {
		return
	}
	switch what {
	case 0: // a backup of yesterday comes back
		if n := len(s.out.backup); n > 0 && !s.out.issues {
			s.tally.Restores++
			s.out.password = s.out.backup[n-1]
			s.trace("target restored to %s", s.out.password)
			s.excused = !s.known(s.out.password)
		}
	case 1: // the clocks step, and differ a little
		s.tally.ClockSteps++
		s.stepped = true
		step := []time.Duration{0, time.Second, -time.Minute, time.Hour, -40 * time.Hour, 90 * 24 * time.Hour}[s.Intn(6)]
		for _, n := range s.nodes {
			n.skew = step + s.between(-2*time.Minute, 2*time.Minute)
			s.trace("clock of %s off by %s", n.name, n.skew)
		}
	case 2: // a node is cut off from the store
		s.nodes[s.Intn(2)].cutOff = s.now.Add(s.between(time.Second, 3*time.Hour))
	case 3:
		s.drift()
	case 4:
		s.handOver()
	case 5, 6:
		s.steer(func(w *row.Rotation) error { return rotation.RotateNow(w, "acme:user:alice", s.now) })
	case 7:
		if rotation.Pause(&s.row, "acme:user:alice", "holidays", s.now) == nil {
			s.row.Revision++
		}
		s.next = s.now.Add(s.between(time.Minute, 12*time.Hour))
	}
}

func (s *sim) steer(f func(*row.Rotation) error) {
	w := s.row
	if f(&w) == nil {
		w.Revision++
		s.row, s.asked = w, true
		s.trace("steered: %s", w.State)
	}
}

func (s *sim) known(value string) bool {
	return value == s.values[len(s.values)-1] || value == s.slots[row.Candidate] || value == s.slots[row.Previous] || value == s.slots[row.Discarded]
}

// drift is somebody changing the password at the target, and telling nobody.
func (s *sim) drift() {
	if s.out.issues || !s.out.accepts(s.values[len(s.values)-1]) {
		return
	}
	s.serial++
	s.out.backup = append(s.out.backup, s.out.password)
	s.out.password = fmt.Sprintf("behind-our-back-%d", s.serial)
	s.excused = true
	s.trace("somebody changes the password at the target")
}

// handOver is somebody resetting the account on the target and writing the value.
func (s *sim) handOver() {
	s.serial++
	value := fmt.Sprintf("by-hand-%d", s.serial)
	if s.out.issues {
		s.out.keys = append(s.out.keys, &outKey{value: value, at: s.now, used: true, byHand: true})
	} else {
		s.out.backup = append(s.out.backup, s.out.password)
		s.out.password = value
		s.late = nil // they wait until nothing is under way
	}
	s.values = append(s.values, value)
	s.out.refusedLogins, s.out.crashes = 0, 0
	s.asked, s.excused = true, false
	s.tally.HandOvers++
	s.trace("somebody writes %s", value)
}
