package rotation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the machine may have no time zones of its own

	"rekey/internal/period"
	"rekey/internal/rotation/target"
)

// Settings are how one variable rotates: its annotations, read.
type Settings struct {
	Rotator  string
	TTL      time.Duration // 0: none
	Schedule *Schedule     // nil: at any time
	Grace    time.Duration // how long the old value stays valid, where the target can keep it
	Early    bool          // ... and ends within the TTL: the new one comes so much earlier
	Keep     bool          // a value that somebody writes is not replaced at once
	Verify   time.Duration // between logins with the current value; 0: none

	// Consumers are the login names of those for whose acknowledgement the old value waits,
	// from Grace on, and Within how long it does at most.
	Consumers []string
	Within    time.Duration

	Limits Limits
}

// The annotations that the engine itself reads.
const (
	Rotator  = "rotation/rotator"
	ttl      = "rotation/ttl"
	schedule = "rotation/schedule"
	window   = "rotation/window"
	timezone = "rotation/timezone"
	initial  = "rotation/initial"
	grace    = "rotation/grace"
	mode     = "rotation/grace-mode"
	verify   = "rotation/verify"
)

var ours = []string{Rotator, ttl, schedule, window, timezone, initial, grace, mode, verify, consumers, within}

// Manual tells that nothing but a request rotates the variable.
func (s *Settings) Manual() bool { return s.TTL == 0 && s.Schedule == nil }

// Outlast lets the old value go on for as long as the new one lives, or a day if nothing
// says how long that is, unless there is a grace already.
func (s *Settings) Outlast() {
	if s.Grace == 0 {
		s.Grace = cmp.Or(s.TTL, 24*time.Hour)
	}
}

// Read reads annotations. What it finds fault with it leaves out of the settings.
func Read(annotations map[string]string, limits Limits) (Settings, []target.Problem) {
	s := Settings{Rotator: annotations[Rotator], Limits: limits}
	var problems []target.Problem
	complain := func(annotation, message, advice string) {
		problems = append(problems, target.Problem{Annotation: annotation, Message: message, Advice: advice})
	}
	duration := func(annotation, advice string) time.Duration {
		text, ok := annotations[annotation]
		if !ok {
			return 0
		}
		d, err := period.Parse(text)
		switch {
		case err != nil:
			complain(annotation, err.Error(), advice)
		case d <= 0:
			complain(annotation, "it is no time at all", advice)
		}
		return d
	}
	s.TTL = duration(ttl, "Write how long a value may live: P30D is thirty days, PT12H twelve hours. Leave it out to rotate by hand or by schedule only.")
	s.Grace = duration(grace, "Write how long the old value stays valid: PT1H is one hour. Leave it out to end it at once.")
	switch value, ok := annotations[verify]; {
	case !ok:
		s.Verify = DefaultVerify
	case value != "never":
		s.Verify = duration(verify, "Write how often a login with the value is tried: P1D is once a day. Write 'never' to have none.")
	}
	length := duration(window, "Write how long the window is open: PT2H is two hours.")
	zone := time.UTC
	if name, ok := annotations[timezone]; ok {
		z, err := time.LoadLocation(name)
		if err != nil || name == "" || name == "Local" {
			complain(timezone, "there is no such time zone", "Write a name of the IANA time zone database, such as Europe/Berlin or UTC.")
		} else {
			zone = z
		}
	}
	text, scheduled := annotations[schedule]
	switch {
	case scheduled:
		if length == 0 {
			length = time.Hour
		}
		var err error
		if s.Schedule, err = NewSchedule(text, length, zone); err != nil {
			complain(schedule, err.Error(), "Write when windows begin as cron does: '0 3 * * sun' is Sundays at three.")
		}
	default:
		for _, name := range [...]string{window, timezone} {
			if _, ok := annotations[name]; ok {
				complain(name, "there is no "+schedule+" for it to apply to", "Add "+schedule+", or remove it.")
			}
		}
	}
	switch value := annotations[initial]; value {
	case "", "rotate":
	case "keep":
		s.Keep = true
	default:
		complain(initial, "it is neither 'rotate' nor 'keep'", "Write 'keep' if the first value is to live for a whole ttl, or leave it out.")
	}
	if s.TTL > 0 && s.Grace >= s.TTL {
		complain(grace, "it is not shorter than the ttl", "End the old value before the next one comes: make the grace shorter.")
	}
	switch value := annotations[mode]; value {
	case "", "after":
	case "before":
		switch {
		case scheduled:
			complain(mode, "with "+schedule+" a value lives until a window comes, so its end cannot be kept", "Leave out "+schedule+", or "+mode+": then the grace begins when the new value is there.")
		case annotations[ttl] == "":
			complain(mode, "there is no "+ttl+" within which the old value could end", "Add "+ttl+", or leave out "+mode+": then the grace begins when the new value is there.")
		case annotations[grace] == "":
			complain(mode, "there is no "+grace+" by which the new value could come earlier", "Add "+grace+", or leave out "+mode+".")
		case s.Grace <= 0, s.Grace >= s.TTL: // which is complained of already
		case 2*s.Grace >= s.TTL:
			complain(grace, "with '"+mode+": before' it has to be shorter than half the ttl, for one grace ends before the next begins", "Make the grace shorter or the ttl longer, or leave out "+mode+".")
		default:
			s.Early = true
		}
	default:
		complain(mode, "it is neither 'before' nor 'after'", "Write 'before' if no value is to live longer than the ttl, its grace included, or leave it out.")
	}
	s.readConsumers(annotations, duration, complain)
	return s, problems
}

// Check finds fault with the annotations of one resource, of a kind such as variable, when
// its policy is loaded.
func Check(resource string, annotations map[string]string, kinds map[string]target.Kind) []target.Problem {
	name, ok := annotations[Rotator]
	switch {
	case ok && resource != "variable":
		return []target.Problem{{Annotation: Rotator, Message: "only variables rotate", Advice: "Move it to the variable that has the value, or remove it."}}
	case resource != "variable":
		return nil
	case !ok:
		return checkIdle(annotations, kinds)
	}
	kind := kinds[name]
	if kind == nil {
		known := make([]string, 0, len(kinds))
		for name := range kinds {
			known = append(known, name)
		}
		slices.Sort(known)
		return []target.Problem{{Annotation: Rotator, Message: "there is no rotator '" + name + "'",
			Advice: "Choose one of: " + strings.Join(known, ", ") + "."}}
	}
	s, problems := Read(annotations, DefaultLimits())
	if s.TTL > 0 && s.TTL < time.Second {
		problems = append(problems, target.Problem{Annotation: ttl, Message: "it is shorter than a second", Advice: "Write how long a value may live: PT12H is twelve hours."})
	}
	if s.Schedule != nil {
		if apart := s.Schedule.apart(); apart > 0 && s.Schedule.Window > apart {
			p := target.Problem{Annotation: schedule, Message: fmt.Sprintf("its windows overlap: they are open for %s, and begin %s apart", shown(s.Schedule.Window), shown(apart)),
				Advice: "Add a " + window + " of at most " + shown(apart) + ", or let windows begin less often. To rotate at any time, leave out " + schedule + "."}
			if _, ok := annotations[window]; ok {
				p.Annotation, p.Advice = window, "Make it at most "+shown(apart)+", or let windows begin less often."
			}
			problems = append(problems, p)
		}
	}
	problems = append(problems, kind.Check(annotations)...)
	if _, ok := annotations[consumers]; ok && !keepsOld(kind, annotations) {
		problems = append(problems, target.Problem{Annotation: consumers, Message: "nothing waits for them: with these annotations, the target ends the old value by itself",
			Advice: "Remove it, or choose a way to rotate by which the old value goes on until it is ended, such as two users who take turns."})
	}
	for annotation := range annotations {
		if !strings.HasPrefix(annotation, "rotation/") || slices.Contains(ours, annotation) || belongs(annotation, name, kinds) {
			continue
		}
		problems = append(problems, target.Problem{Annotation: annotation, Message: "rotation knows no such annotation",
			Advice: "Correct its name, or remove it. Those of every rotator are: " + strings.Join(ours, ", ") + "; those of this one begin with rotation/" + name + "/."})
	}
	slices.SortStableFunc(problems, func(a, b target.Problem) int { return strings.Compare(a.Annotation, b.Annotation) })
	return problems
}

// checkIdle finds fault with annotations that were to make a variable rotate, and do not
// because none names a rotator: it would never rotate, and nobody would know.
func checkIdle(annotations map[string]string, kinds map[string]target.Kind) (problems []target.Problem) {
	for _, annotation := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(annotation, "rotation/") {
			continue
		}
		p := target.Problem{Annotation: annotation, Message: "there is no " + Rotator + " for it to apply to", Advice: "Add " + Rotator + ", or remove it."}
		if !slices.Contains(ours, annotation) && !slices.ContainsFunc(slices.Collect(maps.Keys(kinds)), func(name string) bool { return belongs(annotation, name, kinds) }) {
			p.Message, p.Advice = "rotation knows no such annotation", "Did you mean "+Rotator+"? Nothing rotates without that. Correct the name, or remove it."
		}
		problems = append(problems, p)
	}
	return problems
}

// belongs tells whether an annotation is below the prefix of a kind, who knows it, or below
// what kinds of its family share, as rotation/ssh/ is for ssh/key, but not for what is
// said to another one.
func belongs(annotation, kind string, kinds map[string]target.Kind) bool {
	for name := range kinds {
		if name != kind && strings.HasPrefix(annotation, "rotation/"+name+"/") {
			return false
		}
	}
	family, _, _ := strings.Cut(kind, "/")
	return strings.HasPrefix(annotation, "rotation/"+family+"/")
}
