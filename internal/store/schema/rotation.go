package schema

import (
	"time"

	"rekey/internal/row"
)

// The tables of rotation.
var (
	Rotations = define(Table{Name: "rotations", Keys: 1,
		Columns: []Column{{"variable", Name}, {"revision", Int}, {"state", Text}, {"id", Text}, {"identity", Text}, {"version", Int}, {"candidate", Bool}, {"sent", Bool}, {"unsure", Bool}, {"acked", Bool}, {"previous", Bool}, {"discarded", Bool}, {"attempts", Int}, {"auth_failures", Int}, {"bad_values", Int}, {"started_at", Int}, {"last_success", Int}, {"retry_at", Int}, {"retire_at", Int}, {"requested_at", Int}, {"requested_by", Text}, {"reconcile", Bool}, {"paused_at", Int}, {"paused_by", Text}, {"pause_reason", Text}, {"error_class", Text}, {"error_message", Text}, {"error_at", Int}, {"holder", Text}, {"lease_until", Int}, {"events", Int}, {"checked_at", Int}, {"awaited", Text}, {"retire_by", Int}}, Facts: []int{1},
		Parents: []Parent{{0, Resources, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.Rotation{Variable: id(v[0]), Revision: v[1].(int64), State: text(v[2]), ID: text(v[3]), Identity: text(v[4]), Version: integer(v[5]),
				Candidate: boolean(v[6]), Sent: boolean(v[7]), Unsure: boolean(v[8]), Acked: boolean(v[9]), Previous: boolean(v[10]), Discarded: boolean(v[11]),
				Attempts: integer(v[12]), AuthFailures: integer(v[13]), BadValues: integer(v[14]),
				StartedAt: moment(v[15]), LastSuccess: moment(v[16]), RetryAt: moment(v[17]), RetireAt: moment(v[18]),
				RequestedAt: moment(v[19]), RequestedBy: id(v[20]), Reconcile: boolean(v[21]), PausedAt: moment(v[22]), PausedBy: id(v[23]), PauseReason: text(v[24]),
				ErrorClass: text(v[25]), ErrorMessage: text(v[26]), ErrorAt: moment(v[27]), Holder: text(v[28]), LeaseUntil: moment(v[29]), Events: v[30].(int64), CheckedAt: moment(v[31]),
				Awaited: text(v[32]), RetireBy: moment(v[33])}, nil
		}})
	Credentials = define(Table{Name: "credentials", Keys: 2,
		Columns: []Column{{"variable", Name}, {"slot", Name}, {"sealed", Bytes}}, Content: true,
		Parents: []Parent{{0, Resources, true}},
		decode: func(v []Value) (row.Row, error) {
			return row.Credential{Variable: id(v[0]), Slot: row.Slot(text(v[1]))}, nil
		}})
	RotationEvents = define(Table{Name: "rotation_events", Keys: 2,
		Columns: []Column{{"variable", Name}, {"revision", Int}, {"at", Int}, {"id", Text}, {"state", Text}, {"actor", Text}, {"event", Text}, {"class", Text}, {"message", Text}, {"took", Int}},
		Parents: []Parent{{0, Resources, true}},
		decode:  func(v []Value) (row.Row, error) { return rotationEvent(v), nil }})
)

func rotationEvent(v []Value) row.RotationEvent {
	return row.RotationEvent{Variable: id(v[0]), Revision: v[1].(int64), At: moment(v[2]), ID: text(v[3]), State: text(v[4]),
		Actor: text(v[5]), Event: text(v[6]), Class: text(v[7]), Message: text(v[8]), Took: time.Duration(v[9].(int64)) * time.Millisecond}
}
