package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
)

var (
	rotations = define(table{name: "rotations",
		key: []string{"variable"}, rest: []string{"revision", "state", "id", "identity", "version",
			"candidate", "sent", "unsure", "acked", "previous", "discarded",
			"attempts", "auth_failures", "bad_values",
			"started_at", "last_success", "retry_at", "retire_at",
			"requested_at", "requested_by", "reconcile", "paused_at", "paused_by", "pause_reason",
			"error_class", "error_message", "error_at", "holder", "lease_until", "events", "checked_at"},
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Rotation{Variable: id(v[0]), Revision: v[1].(int64), State: text(v[2]), ID: text(v[3]), Identity: text(v[4]), Version: integer(v[5]),
				Candidate: boolean(v[6]), Sent: boolean(v[7]), Unsure: boolean(v[8]), Acked: boolean(v[9]), Previous: boolean(v[10]), Discarded: boolean(v[11]),
				Attempts: integer(v[12]), AuthFailures: integer(v[13]), BadValues: integer(v[14]),
				StartedAt: moment(v[15]), LastSuccess: moment(v[16]), RetryAt: moment(v[17]), RetireAt: moment(v[18]),
				RequestedAt: moment(v[19]), RequestedBy: id(v[20]), Reconcile: boolean(v[21]), PausedAt: moment(v[22]), PausedBy: id(v[23]), PauseReason: text(v[24]),
				ErrorClass: text(v[25]), ErrorMessage: text(v[26]), ErrorAt: moment(v[27]), Holder: text(v[28]), LeaseUntil: moment(v[29]), Events: v[30].(int64), CheckedAt: moment(v[31])}, nil
		}})
	credentials = define(table{name: "credentials",
		key: []string{"variable", "slot"}, content: "sealed",
		decode: func(v []driver.Value) (row.Row, error) {
			return row.Credential{Variable: id(v[0]), Slot: row.Slot(text(v[1]))}, nil
		}})
	rotationEvents = define(table{name: "rotation_events",
		key: []string{"variable", "revision"}, rest: []string{"at", "id", "state", "actor", "event", "class", "message", "took"},
		decode: func(v []driver.Value) (row.Row, error) { return rotationEvent(v), nil }})
)

func rotationEvent(v []driver.Value) row.RotationEvent {
	return row.RotationEvent{Variable: id(v[0]), Revision: v[1].(int64), At: moment(v[2]), ID: text(v[3]), State: text(v[4]),
		Actor: text(v[5]), Event: text(v[6]), Class: text(v[7]), Message: text(v[8]), Took: time.Duration(v[9].(int64)) * time.Millisecond}
}

func encodeRotation(r row.Rotation) []driver.Value {
	return []driver.Value{string(r.Variable), r.Revision, r.State, r.ID, r.Identity, int64(r.Version),
		r.Candidate, r.Sent, r.Unsure, r.Acked, r.Previous, r.Discarded,
		int64(r.Attempts), int64(r.AuthFailures), int64(r.BadValues),
		millis(r.StartedAt), millis(r.LastSuccess), millis(r.RetryAt), millis(r.RetireAt),
		millis(r.RequestedAt), string(r.RequestedBy), r.Reconcile, millis(r.PausedAt), string(r.PausedBy), r.PauseReason,
		r.ErrorClass, r.ErrorMessage, millis(r.ErrorAt), r.Holder, millis(r.LeaseUntil), r.Events, millis(r.CheckedAt)}
}

func encodeRotationEvent(r row.RotationEvent) []driver.Value {
	return []driver.Value{string(r.Variable), r.Revision, millis(r.At), r.ID, r.State, r.Actor, r.Event, r.Class, r.Message, r.Took.Milliseconds()}
}

// Credential returns a sealed credential, as store.Store says.
func (s *Store) Credential(ctx context.Context, variable ident.ID, slot row.Slot) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM credentials WHERE variable = ? AND slot = ?", string(variable), string(slot))
}

// RotationEvents returns the kept history of a rotation, as store.Store says.
func (s *Store) RotationEvents(ctx context.Context, variable ident.ID) (events []row.RotationEvent, err error) {
	err = s.read(ctx, "reading the history of a rotation", func(reader *conn) error {
		return reader.query(func(v []driver.Value) error {
			r, err := rotationEvents.read(v)
			if err == nil {
				events = append(events, r.(row.RotationEvent))
			}
			return err
		}, `SELECT variable, revision, at, id, state, actor, event, class, message, took
			FROM rotation_events WHERE variable = ? ORDER BY revision`, string(variable))
	})
	return events, err
}
