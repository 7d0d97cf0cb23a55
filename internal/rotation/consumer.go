package rotation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

// The old value may wait for those that use it: it ends when all of them have said that
// they took the new one over, not before the grace is over, and not after a longest time.

const (
	consumers = "rotation/consumers"
	within    = "rotation/acknowledge-within"

	// MostConsumers is how many a variable may name.
	MostConsumers = 32

	// usualWithin is how long is waited for them where nothing else is said.
	usualWithin = 7 * 24 * time.Hour
)

// Unacknowledged is the step in which an old value is ended that somebody may still use.
const Unacknowledged = "unacknowledged"

// readConsumers reads who is waited for, and for how long.
func (s *Settings) readConsumers(annotations map[string]string, duration func(annotation, advice string) time.Duration, complain func(annotation, message, advice string)) {
	text, ok := annotations[consumers]
	if !ok {
		if _, ok := annotations[within]; ok {
			complain(within, "there is no "+consumers+" for it to apply to", "Add "+consumers+", or remove it.")
		}
		return
	}
	const names = "Write login names of hosts and users with blanks between, as host/shop/web-1 host/shop/web-2 alice."
	for name := range strings.FieldsSeq(text) {
		role := ident.FromLogin("", name)
		switch {
		case strings.HasPrefix(name, "layer/") || strings.HasPrefix(name, "group/"):
			complain(consumers, "'"+name+"' is no host or user: members come and go, so nobody could tell when all have acknowledged", names)
			continue
		case role.Identifier() == "" || strings.ContainsAny(name, ",:!"):
			complain(consumers, "'"+name+"' is no login name", names)
			continue
		}
		switch name = role.Login(); {
		case slices.Contains(s.Consumers, name):
			complain(consumers, "'"+name+"' is there twice", "Name it once.")
		default:
			s.Consumers = append(s.Consumers, name)
		}
	}
	switch n := len(s.Consumers); {
	case strings.TrimSpace(text) == "":
		complain(consumers, "it names nobody", names)
	case n > MostConsumers:
		complain(consumers, "it names "+strconv.Itoa(n)+" roles, and "+strconv.Itoa(MostConsumers)+" are the most", "Name one that acknowledges for many, such as what deploys them.")
		s.Consumers = nil
	}
	if _, ok := annotations[grace]; !ok {
		complain(consumers, "there is no "+grace, "Write how long the old value goes on at least, whoever has acknowledged: "+grace+": PT1H.")
	}
	if annotations[mode] == "before" {
		complain(consumers, "with '"+mode+": before' the old value ends within the ttl, whoever has acknowledged", "Remove one of the two.")
	}
	if s.Within = duration(within, "Write how long the old value waits for acknowledgements at most: P3D is three days. Leave it out for a week."); s.Within > 0 {
		switch {
		case s.TTL > 0 && s.Within >= s.TTL:
			complain(within, "it is not shorter than the ttl", "The next value needs the place of the old one: make it shorter.")
		case s.Within < s.Grace:
			complain(within, "it is shorter than the grace", "The old value goes on for the grace in any case: make it longer, or the grace shorter.")
		}
		return
	}
	if s.Within = usualWithin; s.TTL > 0 {
		s.Within = min(usualWithin, s.TTL/10*9) // jitter brings the next one no earlier
	}
	s.Within = max(s.Within, s.Grace)
}

// keepsOld tells whether the target accepts an old value until it is ended.
func keepsOld(kind target.Kind, annotations map[string]string) bool {
	k, ok := kind.(target.Keeping)
	return !ok || k.Keeps(annotations)
}

// Unacknowledged are the login names of those that have not acknowledged the newest
// published version, of the consumers that there still are.
func (s *Settings) Unacknowledged(w *row.Rotation) (missing []string) {
	for name := range strings.FieldsSeq(w.Awaited) {
		if slices.Contains(s.Consumers, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// Ends is when the old value is to be ended, as far as is known now; zero: there is none.
func (s *Settings) Ends(w *row.Rotation) time.Time {
	if w.RetireBy.After(w.RetireAt) && !w.RetireAt.IsZero() && len(s.Unacknowledged(w)) > 0 {
		return w.RetireBy
	}
	return w.RetireAt
}

// longestEnd is how long after its publication a new value may have an old one beside it.
func (s *Settings) longestEnd() time.Duration { return max(s.Grace, s.Within) }

// await has the old value wait for the consumers that there are, when a new one is
// published.
func (m *machine) await() {
	w := &m.Row
	w.Awaited, w.RetireBy = strings.Join(m.f.Consumers, " "), zero
	if w.Awaited != "" && m.s.Grace > 0 {
		w.RetireBy = m.f.Now.Add(m.s.Within)
	}
}

// giveUp notes that the old value does not wait any longer for those that are missing.
func (m *machine) giveUp() {
	w := &m.Row
	if missing := m.s.Unacknowledged(w); len(missing) > 0 && !w.RetireBy.IsZero() {
		m.Outcome, m.Message = Unacknowledged, "not acknowledged by "+strings.Join(missing, ", ")
	}
	w.RetireBy = zero
}

// Acknowledgement is what somebody's word has done who took a version over.
type Acknowledgement string

// The acknowledgements.
const (
	Acknowledged Acknowledgement = "acknowledged" // the old value does not wait for them any more
	Outdated     Acknowledgement = "outdated"     // there is a newer version by now, which is still to be acknowledged
	NotAwaited   Acknowledgement = "not awaited"  // it was acknowledged before, or is not waited for
)

// Acknowledge takes note that a consumer, by its login name, uses a version of the variable,
// of which newest is the newest. Only Acknowledged changes the row.
func Acknowledge(w *row.Rotation, s *Settings, consumer string, version, newest int) (Acknowledgement, error) {
	switch {
	case version > newest:
		e := fault.New(fault.Argument, "there is no version %d: the newest is %d", version, newest)
		e.Advice = "acknowledge the version that was read, as its header Rekey-Secret-Version says"
		return "", e
	case !slices.Contains(s.Consumers, consumer):
		e := fault.New(fault.Conflict, "%s is not among the consumers of the variable", consumer)
		e.Advice = "name it in annotation " + consumers + " of the variable"
		return "", e
	case version < w.Version:
		return Outdated, nil
	}
	names := strings.Fields(w.Awaited)
	at := slices.Index(names, consumer)
	if at < 0 {
		return NotAwaited, nil
	}
	w.Awaited = strings.Join(slices.Delete(names, at, at+1), " ")
	return Acknowledged, nil
}
