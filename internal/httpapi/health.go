package httpapi

import (
	"strconv"

	"rekey/internal/rotation"
)

// health tells whether people should look after the server. It answers 200 as long as it
// answers: what waits for people is no reason to send requests elsewhere. A read-only
// server tells how old its answers may be, too.
func (a *api) health(e *exchange) error {
	f := a.core.RotationFigures()
	overdue, quarantined := f.Oldest > a.overdue, f.States[rotation.Quarantined] > 0
	status, unaudited := "ok", a.core.Unaudited()
	if overdue || quarantined || unaudited || a.core.TooOld() {
		status = "degraded"
	}
	return e.answerJSON(func(to []byte) []byte {
		to = append(to, `{"ok":true,"status":"`+status+`","rotation":{"overdue":`...)
		to = strconv.AppendBool(to, overdue)
		to = append(to, `,"quarantined":`...)
		to = strconv.AppendBool(to, quarantined)
		to = append(to, '}')
		if unaudited {
			to = append(to, `,"unaudited":true`...)
		}
		if a.core.ReadOnly() {
			to = append(to, `,"read_only":true,"age":`...)
			to = strconv.AppendFloat(to, a.core.Age().Seconds(), 'f', 3, 64)
		}
		return append(to, '}')
	})
}
