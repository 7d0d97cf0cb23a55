package httpapi

import (
	"strconv"

	"rekey/internal/fault"
	"rekey/internal/row"
)

// mostDeliveries is the longest page of deliveries.
const mostDeliveries = 1000

// listDeliveries lists what webhooks were told, or are to be, the newest first.
func (a *api) listDeliveries(e *exchange) error {
	state := row.DeliveryState(e.query.get("state"))
	switch state {
	case "", row.Waiting, row.Delivered, row.Dropped:
	default:
		err := fault.New(fault.Argument, "There is no state '%s' of deliveries", state)
		err.Advice = "Choose one of: waiting, delivered, dropped."
		return err
	}
	limit, offset, err := e.query.resourcePage(mostDeliveries)
	if err != nil {
		return err
	}
	found, err := a.core.Deliveries(e.r.Context(), e.caller, e.path[account], e.query.get("hook"), state, offset, limit)
	if err != nil {
		return err
	}
	return answerList(e, found, appendDelivery)
}

func appendDelivery(to []byte, d row.Delivery) []byte {
	to = append(to, `{"id":`...)
	to = appendString(to, d.ID)
	to = append(to, `,"hook":`...)
	to = appendString(to, d.Hook)
	to = append(to, `,"event":`...)
	to = appendString(to, d.Event)
	to = append(to, `,"subject":`...)
	to = appendString(to, d.Subject)
	to = append(to, `,"created_at":`...)
	to = appendTime(to, d.CreatedAt)
	to = append(to, `,"state":`...)
	to = appendString(to, string(d.State))
	to = append(to, `,"attempts":`...)
	to = strconv.AppendInt(to, int64(d.Attempts), 10)
	to = append(to, `,"next_at":`...)
	to = appendTime(to, d.NextAt)
	to = append(to, `,"last_at":`...)
	to = appendTime(to, d.LastAt)
	to = append(to, `,"status":`...)
	if d.Status == 0 {
		to = append(to, "null"...)
	} else {
		to = strconv.AppendInt(to, int64(d.Status), 10)
	}
	to = append(to, `,"problem":`...)
	to = appendKnown(to, d.Problem)
	return append(to, '}')
}
