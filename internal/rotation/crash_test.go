package rotation_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rekey/internal/rotation"
	"rekey/internal/row"
)

// Given a target with which nothing is wrong, and workers of which each dies after a few
// steps, before or after what the step did is durable, and mostly before Apply has left, then
// no rotation is quarantined, the target does not see refused logins for ever without one
// that works, and a worker who lives gets there.
func TestWorkersThatDieQuarantineNothing(t *testing.T) {
	const deaths = 60
	longest := 0
	for seed := range uint64(300) {
		for _, admin := range []bool{false, true} {
			f := &fatal{Rand: rand.New(rand.NewPCG(seed, 1)), out: &outside{admin: admin, password: "old", accepted: map[string]bool{}}, now: simStart,
				values: []string{"old"}, slots: map[row.Slot]string{},
				row: row.Rotation{Variable: "acme:variable:db/password", Revision: 1, Version: 1, State: rotation.Idle, Identity: "db", RequestedAt: simStart}}
			for n := 0; n < deaths && len(f.values) == 1; n++ {
				f.work(1 + f.IntN(6))
				if longest = max(longest, f.out.refusedLogins-f.unheard); f.row.State == rotation.Quarantined {
					t.Fatalf("seed %d, admin %v: quarantined after %d deaths: %+v", seed, admin, n+1, f.row)
				}
			}
			f.work(100)
			if f.row.State != rotation.Idle || len(f.values) != 2 || !f.out.accepts(f.values[1]) {
				t.Errorf("seed %d, admin %v: it did not get there: %+v, %v", seed, admin, f.row, f.values)
			}
		}
	}
	if longest < 1 || longest > 2 {
		t.Errorf("the target has refused %d logins in a row", longest)
	}
}

// fatal is a variable whose workers die.
type fatal struct {
	*rand.Rand
	out     *outside
	now     time.Time
	row     row.Rotation
	values  []string
	slots   map[row.Slot]string
	unheard int // refused logins that were not recorded, since one that worked
}

func (f *fatal) value(slot row.Slot) string {
	if slot == "" || slot == rotation.Current {
		return f.values[len(f.values)-1]
	}
	return f.slots[slot]
}

// work takes so many steps, and dies in the last, unless it comes to rest before.
func (f *fatal) work(steps int) {
	settings := rotation.Settings{TTL: 24 * time.Hour, Limits: rotation.DefaultLimits()}
	f.now = f.now.Add(2 * time.Hour)
	run, e := rotation.Run{Row: f.row}, rotation.Event{What: rotation.Begin}
	for ; steps > 0; steps-- {
		facts := rotation.Facts{Now: f.now, Version: len(f.values), Identity: "db", NewID: "r", Random: f.Float64(), Resets: f.out.admin}
		next, do := rotation.Next(run, e, facts, &settings)
		if steps == 1 && f.IntN(2) == 0 {
			break // nothing of it is durable
		}
		switch {
		case e.What == rotation.Planning:
			f.slots[row.Candidate] = fmt.Sprintf("candidate-%d", f.Uint32())
		case e.What == rotation.Published:
			f.slots[row.Previous] = f.value(rotation.Current)
			f.values = append(f.values, f.slots[row.Candidate])
			next.Row.Version = len(f.values)
		}
		if run, f.row = next, next.Row; steps == 1 && f.IntN(2) == 0 {
			return
		}
		e = rotation.Event{Slot: do.Slot}
		switch do.Do {
		case rotation.Rest:
			return
		case rotation.Plan:
			e.What, e.Filled = rotation.Planning, true
		case rotation.Send:
			e.What = rotation.Sending
		case rotation.Publish:
			e.What = rotation.Published
		case rotation.Probe:
			e.What, e.Err = rotation.Probed, f.out.login(f.value(do.Slot))
		case rotation.Retire:
			e.What = rotation.Retired
		case rotation.Apply:
			e.What = rotation.Applied
			if steps < 10 && f.IntN(40) > 0 { // it has not left yet
				return
			}
			effect, err := f.out.change(f.now, f.value(do.Slot), f.value(row.Candidate))
			if e.Err = err; err == nil {
				effect()
			}
		}
		if f.out.refusedLogins == 0 {
			f.unheard = 0
		}
	}
	if e.What == rotation.Probed && e.Err != nil {
		f.unheard++
	}
}
