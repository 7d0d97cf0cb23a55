package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// rotationStates are what a list of rotations can be narrowed to.
var rotationStates = []string{rotation.Idle, rotation.Planned, rotation.Applying, rotation.Verified, rotation.Retiring, rotation.Backoff,
	rotation.Uncertain, rotation.Quarantined, rotation.Suspended, rotation.Drifted, "paused", "due", "overdue", rotation.Unacknowledged}

// listRotations lists how the rotations that the caller sees stand, by variable.
func (a *api) listRotations(e *exchange) error {
	state, ok := e.query.lookup("state")
	if ok && !slices.Contains(rotationStates, state) {
		err := fault.New(fault.Argument, "There is no state '%s' of rotations", state)
		err.Advice = "Choose one of: " + strings.Join(rotationStates, ", ") + "."
		return err
	}
	limit, offset, err := e.query.resourcePage(a.listLimit)
	if err != nil {
		return err
	}
	found, err := a.core.Rotations(e.r.Context(), e.caller, e.path[account], state)
	if err != nil {
		return err
	}
	found = found[min(offset, len(found)):]
	if limit > 0 {
		found = found[:min(limit, len(found))]
	}
	return answerList(e, found, appendRotation)
}

func (e *exchange) variable() ident.ID { return ident.New(e.path[account], "variable", e.path[id]) }

func (a *api) showRotation(e *exchange) error {
	s, err := a.core.RotationStatus(e.r.Context(), e.caller, e.variable())
	if err != nil {
		return err
	}
	return e.answerJSON(func(to []byte) []byte { return appendRotation(to, s) })
}

func (a *api) rotationHistory(e *exchange) error {
	events, err := a.core.RotationHistory(e.r.Context(), e.caller, e.variable())
	if err != nil {
		return err
	}
	return answerList(e, events, appendRotationEvent)
}

// planRotation tells what a rotation would meet. It logs in at the target, so what it
// says holds at this moment only.
func (a *api) planRotation(e *exchange) error {
	p, err := a.core.PlanRotation(e.r.Context(), e.caller, e.variable())
	if err != nil {
		return err
	}
	return e.answerJSON(func(to []byte) []byte {
		to = append(to, `{"target":`...)
		to = appendKnown(to, p.Target)
		to = append(to, `,"accepted":`...)
		to = strconv.AppendBool(to, p.Accepted)
		to = append(to, `,"checked":`...)
		to = appendKnown(to, p.Checked)
		to = append(to, `,"problem":`...)
		to = appendKnown(to, p.Problem)
		to = append(to, `,"rotation":`...)
		to = appendRotation(to, p.RotationStatus)
		return append(to, '}')
	})
}

// longestReason is how long a reason may be, in bytes: it is in every status.
const longestReason = 500

func (a *api) pauseRotation(e *exchange) error {
	reason := e.query.get("reason")
	if len(reason) > longestReason {
		return fault.New(fault.Argument, "The reason has more than %d bytes", longestReason)
	}
	if err := a.core.PauseRotation(e.r.Context(), e.caller, e.variable(), reason); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

// steer is an action on a rotation that takes nothing but its variable. What it asks
// for happens later: the status of the rotation tells.
func steer(do func(*core.Core, context.Context, core.Caller, ident.ID) error) func(*api, *exchange) error {
	return func(a *api, e *exchange) error {
		if err := do(a.core, e.r.Context(), e.caller, e.variable()); err != nil {
			return err
		}
		return e.empty(http.StatusNoContent)
	}
}

// acknowledgeRotation takes note that the caller uses a version of the variable.
func (a *api) acknowledgeRotation(e *exchange) error {
	version, err := e.query.version()
	if err != nil {
		return err
	}
	done, err := a.core.AcknowledgeRotation(e.r.Context(), e.caller, e.variable(), version)
	if err != nil {
		return err
	}
	return e.answerJSON(func(to []byte) []byte {
		to = append(to, `{"outcome":`...)
		to = appendString(to, string(done.Outcome))
		to = append(to, `,"version":`...)
		to = strconv.AppendInt(to, int64(done.Version), 10)
		to = append(to, `,"newest":`...)
		to = strconv.AppendInt(to, int64(done.Newest), 10)
		to = append(to, `,"unacknowledged":`...)
		return append(appendList(to, done.Unacknowledged, appendString), '}')
	})
}

// appendRotation leaves out the target's identity: address and user are values of
// variables, which not everybody may read who sees the rotated one.
func appendRotation(to []byte, s core.RotationStatus) []byte {
	to = append(to, `{"variable":`...)
	to = appendString(to, s.Variable)
	to = append(to, `,"rotator":`...)
	to = appendString(to, s.Rotator)
	to = append(to, `,"state":`...)
	to = appendString(to, s.State)
	to = append(to, `,"version":`...)
	to = strconv.AppendInt(to, int64(s.Version), 10)
	to = append(to, `,"due":`...)
	to = appendTime(to, s.Due)
	to = append(to, `,"expires_at":`...)
	to = appendTime(to, s.Expires)
	to = append(to, `,"last_success":`...)
	to = appendTime(to, s.LastSuccess)
	to = append(to, `,"started_at":`...)
	to = appendTime(to, s.StartedAt)
	to = append(to, `,"old_value_until":`...)
	to = appendTime(to, s.Ends)
	to = append(to, `,"unacknowledged":`...)
	to = appendList(to, s.Unacknowledged, appendString)
	to = append(to, `,"checked_at":`...)
	to = appendTime(to, s.CheckedAt)
	to = append(to, `,"attempts":`...)
	to = strconv.AppendInt(to, int64(s.Attempts), 10)
	to = append(to, `,"requested":`...)
	if s.RequestedAt.IsZero() {
		to = append(to, "null"...)
	} else {
		to = append(to, `{"at":`...)
		to = appendTime(to, s.RequestedAt)
		to = append(to, `,"by":`...)
		to = appendKnown(to, s.RequestedBy)
		to = append(to, '}')
	}
	to = append(to, `,"paused":`...)
	if !s.Paused {
		to = append(to, "null"...)
	} else {
		to = append(to, `{"at":`...)
		to = appendTime(to, s.PausedAt)
		to = append(to, `,"by":`...)
		to = appendKnown(to, s.PausedBy)
		to = append(to, `,"reason":`...)
		to = appendKnown(to, s.PauseReason)
		to = append(to, '}')
	}
	to = append(to, `,"error":`...)
	if s.ErrorAt.IsZero() {
		return append(to, "null}"...)
	}
	to = append(to, `{"at":`...)
	to = appendTime(to, s.ErrorAt)
	to = append(to, `,"class":`...)
	to = appendString(to, s.ErrorClass)
	to = append(to, `,"message":`...)
	to = appendString(to, s.ErrorMessage)
	return append(to, "}}"...)
}

func appendRotationEvent(to []byte, v row.RotationEvent) []byte {
	to = append(to, `{"at":`...)
	to = appendTime(to, v.At)
	to = append(to, `,"rotation":`...)
	to = appendKnown(to, v.ID)
	to = append(to, `,"event":`...)
	to = appendString(to, v.Event)
	to = append(to, `,"state":`...)
	to = appendString(to, v.State)
	to = append(to, `,"by":`...)
	to = appendKnown(to, v.Actor)
	to = append(to, `,"class":`...)
	to = appendKnown(to, v.Class)
	to = append(to, `,"message":`...)
	to = appendKnown(to, v.Message)
	to = append(to, `,"took_ms":`...)
	to = strconv.AppendInt(to, v.Took.Milliseconds(), 10)
	return append(to, '}')
}

// appendKnown appends a JSON string, null if it is empty.
func appendKnown[T string | ident.ID](to []byte, s T) []byte {
	if s == "" {
		return append(to, "null"...)
	}
	return appendString(to, s)
}
