package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// ValueRotation is how the rotation of a variable stands.
type ValueRotation struct {
	Variable    ident.ID
	Rotator     string
	State       string
	Version     int
	Due         *string
	LastSuccess *string `json:"last_success"`
	OldUntil    *string `json:"old_value_until"`
	Attempts    int
	Requested   *struct{ At, By string }
	Paused      *struct{ At, By, Reason string }
	Error       *struct{ At, Class, Message string }

	Unacknowledged []ident.ID // consumers that have not acknowledged the version published at last
}

// RotationEvent is a step of the history of a rotation.
type RotationEvent struct {
	At, Event, State   string
	By, Class, Message *string
}

// RotationPlan is what a rotation would meet.
type RotationPlan struct {
	Target   *string
	Accepted bool
	Checked  *string
	Problem  *string
}

// Delivery is what a webhook was told, or is to be.
type Delivery struct {
	ID, Hook, Event, Subject, State string
	CreatedAt                       string `json:"created_at"`
	Attempts                        int
	Problem                         *string
}

// Answer is a result with the JSON that it was read from, so that nothing that the
// server says is lost where it is printed.
type Answer[T any] struct {
	Is   T
	Text json.RawMessage
}

// Rotations lists rotations, those of a state or all.
func (s *Session) Rotations(state string) (Answer[[]ValueRotation], error) {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	return ask[[]ValueRotation](s, "GET", "/rotations/"+url.PathEscape(s.Account), query, Task{Do: "list", On: "rotations"})
}

// ValueRotation tells how a rotation stands.
func (s *Session) ValueRotation(variable ident.ID) (Answer[ValueRotation], error) {
	return ask[ValueRotation](s, "GET", rotationPath(variable), nil, Task{Do: "see", On: string(variable)})
}

// RotationHistory is what has happened to a rotation, oldest first.
func (s *Session) RotationHistory(variable ident.ID) (Answer[[]RotationEvent], error) {
	return ask[[]RotationEvent](s, "GET", rotationPath(variable), url.Values{"history": {""}}, Task{Do: "see", On: string(variable)})
}

// PlanRotation tells what a rotation would meet.
func (s *Session) PlanRotation(variable ident.ID) (Answer[RotationPlan], error) {
	return ask[RotationPlan](s, "POST", rotationPath(variable), url.Values{"plan": {""}}, Task{Do: "plan the rotation of", On: string(variable), Privilege: "update"})
}

// Deliveries lists what webhooks were told, the newest first. Empty words do not narrow it.
func (s *Session) Deliveries(hook, state string, limit int) (Answer[[]Delivery], error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, value := range map[string]string{"hook": hook, "state": state} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return ask[[]Delivery](s, "GET", "/deliveries/"+url.PathEscape(s.Account), query, Task{Do: "list", On: "deliveries"})
}

// SteerRotation asks for what a verb says; it happens later.
func (s *Session) SteerRotation(variable ident.ID, verb, reason string) error {
	query := url.Values{verb: {""}}
	if reason != "" {
		query.Set("reason", reason)
	}
	_, err := ask[json.RawMessage](s, "POST", rotationPath(variable), query, Task{Do: verb + " the rotation of", On: string(variable), Privilege: "update"})
	return err
}

func rotationPath(variable ident.ID) string {
	return "/rotations/" + url.PathEscape(variable.Account()) + "/variable/" + url.PathEscape(variable.Identifier())
}

func ask[T any](s *Session, method, path string, query url.Values, t Task) (answer Answer[T], err error) {
	request, err := http.NewRequest(method, s.URL+path+"?"+query.Encode(), nil)
	answer.Text, err = s.Get(request, err)
	if err != nil {
		return answer, s.Explain(err, t)
	}
	if len(answer.Text) > 0 {
		err = fault.Wrap(json.Unmarshal(answer.Text, &answer.Is), "the answer is not JSON")
	}
	return answer, err
}

// statusPause is how long to wait between two looks at a rotation.
const statusPause = 300 * time.Millisecond

// AwaitRotation follows a rotation until there is a newer version than before, or it
// fails. seen gets each state that it comes to.
func (s *Session) AwaitRotation(ctx context.Context, before ValueRotation, seen func(ValueRotation)) (Answer[ValueRotation], error) {
	state := ""
	for {
		now, err := s.ValueRotation(before.Variable)
		if err != nil {
			return now, err
		}
		if now.Is.State != state {
			state = now.Is.State
			seen(now.Is)
		}
		if now.Is.Version > before.Version {
			return now, nil
		}
		if err := failedSince(before, now.Is); err != nil {
			return now, err
		}
		select {
		case <-time.After(statusPause):
		case <-ctx.Done():
			e := fault.New(fault.Unavailable, "the rotation of %s is not over yet", before.Variable)
			if errors.Is(ctx.Err(), context.Canceled) {
				e.Message = "interrupted: " + e.Message
			}
			e.Advice = "it goes on: see `rekey rotation status " + before.Variable.Identifier() + "`"
			return now, e
		}
	}
}

// failedSince tells how a rotation has failed since before.
func failedSince(before, now ValueRotation) error {
	e := &fault.Error{Kind: fault.Invalid}
	switch {
	case now.State == "suspended":
		e.Message = "the target is not the one that the password was handed over for"
		e.Advice = "if it is right, `rekey rotation resume " + now.Variable.Identifier() + "`"
	case now.Error != nil && (before.Error == nil || now.Error.At != before.Error.At):
		e.Message = now.Error.Class + ": " + now.Error.Message
		e.Advice = "it will be tried again"
		if now.State == "quarantined" {
			e.Advice = "mend the cause, then `rekey rotation retry " + now.Variable.Identifier() + "`"
		}
	default:
		return nil
	}
	e.Message = "the rotation of " + string(now.Variable) + " has failed: " + e.Message
	return e
}
