package httpapi

import (
	"net/http"
	"strconv"

	"rekey/internal/rotation"
)

// health tells whether people should look after the server. What waits for people is no
// reason to send requests elsewhere, so it is 200 then, and 503 when requests are refused
// for want of an audit, or because answers would be too old. It does not ask the store. A
// read-only server tells how old its answers may be, too.
func (a *api) health(e *exchange) error {
	f := a.core.RotationFigures()
	overdue, quarantined := f.Oldest > a.overdue, f.States[rotation.Quarantined] > 0
	status, unaudited := "ok", a.core.Unaudited()
	code, ok := http.StatusOK, "true"
	switch {
	case unaudited || a.core.TooOld():
		code, ok, status = http.StatusServiceUnavailable, "false", "unavailable"
	case overdue || quarantined:
		status = "degraded"
	}
	to := []byte(`{"ok":` + ok + `,"status":"` + status + `","rotation":{"overdue":`)
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
	return e.answer(code, typeJSON, append(to, '}'))
}
