package audit

import "rekey/internal/ident"

const msgRotation = "rotation"

// RotationStep is a step of a rotation, or something that somebody did to one: event
// says which, state what it came to. id is the rotation's, empty if there is none yet.
// o.Role is who asked for it; "scheduler" if nobody did.
func (o Origin) RotationStep(variable ident.ID, id, event, state string, err error) *Record {
	subject := []Pair{{"resource", string(variable)}}
	if id != "" {
		subject = append(subject, Pair{"rotation", id})
	}
	subject = append(subject, Pair{"state", state})
	object := " the rotation of " + string(variable) + ": " + event
	return o.event(msgRotation, event, subject, o.by("advanced", "could not advance", object), err)
}
