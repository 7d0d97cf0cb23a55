package schema

import "rekey/internal/row"

// Deliveries has the news for webhooks.
var Deliveries = define(Table{Name: "deliveries", Keys: 1,
	Columns: []Column{{"id", Name}, {"hook", Name}, {"event", Text}, {"subject", Name}, {"body", Text}, {"created_at", Int}, {"state", Name}, {"attempts", Int},
		{"next_at", Int}, {"last_at", Int}, {"status", Int}, {"problem", Text}}, Facts: []int{6, 7},
	decode: func(v []Value) (row.Row, error) {
		return row.Delivery{ID: text(v[0]), Hook: text(v[1]), Event: text(v[2]), Subject: id(v[3]), Body: text(v[4]), CreatedAt: moment(v[5]),
			State: row.DeliveryState(text(v[6])), Attempts: integer(v[7]), NextAt: moment(v[8]), LastAt: moment(v[9]), Status: integer(v[10]), Problem: text(v[11])}, nil
	}})
