package rotation_test

import (
	"fmt"
	"maps"
	"time"

	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// node is a worker: the shell around the machine, as simply as can be.
type node struct {
	*sim
	name   string
	skew   time.Duration // of its clock
	cutOff time.Time     // from the store, until then
	down   time.Time     // until then

	// What it knows, as of its last step.
	mySlots  map[row.Slot]string
	myValues []string

	busy bool
	run  rotation.Run
	do   rotation.Action
	at   time.Time // when what it does is done
}

func (n *node) clock() time.Time { return n.now.Add(n.skew) }

// wake is when the node does something next.
func (n *node) wake() time.Time {
	if n.busy {
		return n.at
	}
	w := n.found()
	due := rotation.Due(&w, &n.settings, len(n.values), n.expires, n.clock())
	if check := rotation.CheckDue(&w, &n.settings, len(n.values), n.clock()); due.IsZero() || !check.IsZero() && check.Before(due) {
		due = check
	}
	if due.IsZero() || n.alone && n != n.nodes[0] {
		return time.Time{}
	}
	at := due.Add(-n.skew)
	for _, barrier := range []time.Time{n.now.Add(time.Millisecond), n.down, n.cutOff} {
		if at.Before(barrier) {
			at = barrier
		}
	}
	return at
}

// found is the row as an idle node finds it. Where it is the only one, a lease is that of
// its own life before.
func (n *node) found() row.Rotation {
	w := n.row
	if n.alone {
		w.Holder, w.LeaseUntil = "", time.Time{}
	}
	return w
}

func (n *node) facts() rotation.Facts {
	n.serial++
	return rotation.Facts{Now: n.clock(), Version: len(n.values), Identity: "db", NewID: fmt.Sprint(n.serial), Random: n.Float64(), Resets: n.out.admin, Consumers: n.settings.Consumers}
}

func (n *node) step() {
	if !n.busy {
		if n.row.Holder != "" {
			n.tally.TakenOver++
		}
		n.run = rotation.Run{Row: n.found()}
		n.busy = true
		n.record(rotation.Event{What: rotation.Begin}, "")
		return
	}
	n.perform()
}

// crash ends the node's work; its lease runs out.
func (n *node) crash() {
	n.trace("%s crashes", n.name)
	n.tally.Crashes++
	n.out.crashes++
	n.busy = false
	n.down = n.now.Add(n.between(time.Second, 10*time.Minute))
	if n.alone && n.Intn(2) == 0 {
		n.down = n.now.Add(n.between(20*time.Millisecond, time.Second))
	}
}

// record records an event and goes on to the next action.
func (n *node) record(e rotation.Event, filled string) {
	for {
		before := n.run.Row
		run, do := rotation.Next(n.run, e, n.facts(), &n.settings)
		if e.What == rotation.Begin && do.Do == rotation.Rest && run.Outcome == "" {
			n.busy = false
			return
		}
		if do.Do == rotation.Rest && run.Outcome == "" {
			n.violated("%s rests after %+v without a word", n.name, e)
		}
		if n.faulty(0.003) {
			n.crash() // before the commit
			return
		}
		if n.now.Before(n.cutOff) || n.faulty(0.003) {
			n.trace("%s cannot commit", n.name)
			n.out.crashes++
			n.busy = false // what it did is not recorded; whoever is next finds out
			return
		}
		if !n.commit(before, &run, e, filled) {
			if n.row.Holder == n.name && e.What != rotation.Begin {
				n.run.Row = n.row // somebody has steered it: the same event, on the row as it is
				continue
			}
			n.tally.LostLease++
			n.out.crashes++
			n.trace("%s has lost the lease", n.name)
			n.busy = false
			return
		}
		n.trace("%s %s -> %s, then %d %s (%+v)", n.name, run.Outcome, n.row.State, do.Do, do.Slot, e)
		n.run, n.do = run, do
		n.at = n.now.Add(n.between(time.Millisecond, 3*time.Second))
		if n.faulty(0.003) {
			n.crash() // after the commit
			return
		}
		if do.Do == rotation.Rest {
			n.busy = false
		}
		return
	}
}

// commit stores a step if nobody else has changed the row.
func (n *node) commit(before row.Rotation, run *rotation.Run, e rotation.Event, filled string) bool {
	if n.row.Revision != before.Revision {
		return false
	}
	w := run.Row
	w.Revision++
	if n.do.Do != rotation.Rest || w.LeaseUntil != (time.Time{}) {
		w.Holder = n.name
	}
	if w.LeaseUntil.IsZero() {
		w.Holder = ""
	}
	switch {
	case e.What == rotation.Published:
		value := n.slots[row.Candidate]
		if !n.out.accepted[value] {
			n.violated("%s was published and has never worked", value)
		}
		if n.out.intents[value] != nil {
			n.violated("%s was published, and is an intent", value)
		}
		if age := n.now.Sub(n.lastPublish); age < n.settings.TTL*9/10 && !n.asked && !n.stepped {
			n.violated("published after %s only", age)
		}
		n.slots[row.Previous] = n.values[len(n.values)-1]
		n.values = append(n.values, value)
		delete(n.slots, row.Candidate)
		w.Version = len(n.values)
		n.lastPublish, n.asked, n.stepped = n.now, false, n.nodes[0].skew != 0 || n.nodes[1].skew != 0
		n.tally.Published++
		n.published()
	case filled != "":
		n.slots[row.Candidate] = filled
	case before.Candidate && !w.Candidate:
		if run.Keep {
			n.slots[row.Discarded] = n.slots[row.Candidate]
		}
		delete(n.slots, row.Candidate)
	}
	switch run.Outcome {
	case "quarantined":
		n.tally.Quarantined++
	case "rolled back":
		n.tally.RolledBack++
	case rotation.Unacknowledged:
		n.tally.Unacknowledged++
	case "drifted":
		n.tally.Drifted++
		if before.State == rotation.Drifted && before.Version == len(n.values) {
			n.violated("a login that was refused is tried again")
		}
	}
	if w.Candidate != (n.slots[row.Candidate] != "") {
		n.violated("the row says that there is a candidate: %v", w.Candidate)
	}
	if run.Row.State == rotation.Applying && run.Row.Candidate && n.slots[row.Candidate] == "" {
		n.violated("about to send what is not durable")
	}
	n.row, run.Row = w, w
	n.mySlots, n.myValues = maps.Clone(n.slots), n.values
	return true
}

func (n *node) value(s row.Slot) string {
	if s == rotation.Current {
		return n.myValues[len(n.myValues)-1]
	}
	return n.mySlots[s]
}

// perform is the action that is due, on the target or not.
func (n *node) perform() {
	e := rotation.Event{Slot: n.do.Slot}
	filled := ""
	switch n.do.Do {
	case rotation.Plan:
		e.What = rotation.Planning
		switch {
		case n.out.survey && n.faulty(0.05):
			n.tally.Faults++
			e.Err = target.Errorf([]target.Class{target.Unreachable, target.Uncertain, target.Refused}[n.Intn(3)], nil, "not now")
		case n.out.survey:
			filled, e.Err = n.out.look(n.value(rotation.Current))
		case !n.out.issues:
			n.serial++
			filled = fmt.Sprintf("candidate-%d", n.serial)
		}
		e.Filled = filled != ""
	case rotation.Send:
		e.What = rotation.Sending
	case rotation.Publish:
		e.What = rotation.Published
	default:
		if n.faulty(0.05) && !n.fault(&e, &filled) {
			return
		} else if e.Err == nil && filled == "" {
			e.Err, filled = n.contact(false)
		}
		e.Filled = filled != ""
		e.What = map[rotation.Verb]rotation.What{rotation.Apply: rotation.Applied, rotation.SetBack: rotation.Restored, rotation.Probe: rotation.Probed, rotation.Retire: rotation.Retired}[n.do.Do]
	}
	if n.busy {
		n.record(e, filled)
	}
}

// contact does what the target is asked to. late: its effect comes later.
func (n *node) contact(late bool) (*target.Error, string) {
	n.trace("%s contacts: %d %s", n.name, n.do.Do, n.do.Slot)
	switch n.do.Do {
	case rotation.Probe:
		return n.out.login(n.value(n.do.Slot)), ""
	case rotation.Retire:
		old := n.value(n.do.Slot)
		if n.out.intents[old] != nil {
			n.violated("an intent is retired")
		}
		if n.do.Slot == row.Previous {
			n.retiring()
		}
		if old != n.value(rotation.Current) {
			n.out.retire(old)
		}
		return nil, ""
	}
	next := n.value(row.Candidate)
	if n.do.Do == rotation.SetBack {
		next = n.value(rotation.Current)
	}
	effect, err := n.out.change(n.now, n.value(n.do.Slot), next)
	if err != nil {
		return err, ""
	}
	if late {
		n.late = append(n.late, lateEffect{n.now.Add(n.between(time.Second, 2*time.Minute)), effect})
		return nil, ""
	}
	made := effect()
	if n.do.Do == rotation.SetBack || made == n.value(row.Candidate) {
		made = ""
	}
	return nil, made
}

// fault makes a call go wrong. False: the node is gone.
func (n *node) fault(e *rotation.Event, filled *string) bool {
	n.tally.Faults++
	n.out.crashes++ // whether the target has refused a login is not told
	applies := n.do.Do == rotation.Apply
	switch n.Intn(9) {
	case 0:
		e.Err = target.Errorf(target.Unreachable, nil, "connection refused")
	case 1: // no effect, but who knows
		e.Err = target.Errorf(target.Uncertain, nil, "timeout")
	case 2: // an effect, but who knows
		_, _ = n.contact(false)
		e.Err = target.Errorf(target.Uncertain, nil, "timeout")
	case 3: // an effect that comes later
		_, _ = n.contact(true)
		e.Err = target.Errorf(target.Uncertain, nil, "timeout")
	case 4:
		if applies {
			e.Err = target.Errorf(target.Refused, nil, "too weak")
			e.Err.BadValue = true
		}
	case 5: // the target says yes, and does nothing
		if applies && !n.out.issues {
			*filled = ""
			e.What = rotation.Applied
			n.record(*e, "")
			return false
		}
	case 6:
		n.crash()
		return false
	case 7:
		_, _ = n.contact(false)
		n.crash()
		return false
	case 8: // it is done twice
		if applies {
			_, _ = n.contact(false)
			e.Err, *filled = n.contact(false)
		}
	}
	return true
}
