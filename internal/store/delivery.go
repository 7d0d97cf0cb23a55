package store

import (
	"context"

	"rekey/internal/row"
)

// DeliveryFilter narrows a list of deliveries. What is empty does not.
type DeliveryFilter struct {
	Account string // of the subject
	Hook    string
	State   row.DeliveryState
	Skip    int
	Limit   int // must be positive
}

// Deliveries are the news for webhooks, which may be many and are never loaded as a whole.
type Deliveries interface {
	// Deliveries returns deliveries, those first that were made last.
	Deliveries(ctx context.Context, filter DeliveryFilter) ([]row.Delivery, error)

	// WaitingDeliveries returns up to limit deliveries that wait for a webhook, those first
	// whose turn comes first.
	WaitingDeliveries(ctx context.Context, hook string, limit int) ([]row.Delivery, error)
}
