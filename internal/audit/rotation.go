package audit

import (
	"strconv"
	"time"

	"rekey/internal/ident"
)

const msgRotation = "rotation"

// Step is a step of a rotation, or something that somebody did to one.
type Step struct {
	Rotation string // id; empty if there is none yet
	Event    string // what happened
	State    string // what it came to
	Class    string // of a failure of the target
	About    string // what somebody should know of it: then it is a warning, though it is a success
	Took     time.Duration
}

// RotationStep is a step of the rotation of a variable. o.Role is who asked for it;
// "scheduler" if nobody did.
func (o Origin) RotationStep(variable ident.ID, step Step, err error) *Record {
	subject := []Pair{{"resource", string(variable)}}
	if step.Rotation != "" {
		subject = append(subject, Pair{"rotation", step.Rotation})
	}
	subject = append(subject, Pair{"state", step.State})
	if step.Class != "" {
		subject = append(subject, Pair{"class", step.Class})
	}
	subject = append(subject, Pair{"took_ms", strconv.FormatInt(step.Took.Milliseconds(), 10)})
	object := " the rotation of " + string(variable) + ": " + step.Event
	if step.About != "" {
		object += ": " + step.About
	}
	r := o.event(msgRotation, step.Event, subject, o.by("advanced", "could not advance", object), err)
	if step.About != "" {
		r.Severity = Warning
	}
	return r
}
