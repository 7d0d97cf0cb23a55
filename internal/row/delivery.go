package row

import (
	"time"

	"rekey/internal/ident"
)

// Delivery is news for a webhook: what it is told, and how far that has come. It is not
// in the graph. Deleting one that is gone is no error. Key: ID.
type Delivery struct {
	ID        string // to the receiver, too; those that are made later are greater
	Hook      string // name of the webhook
	Event     string // kind of what has happened
	Subject   ident.ID
	Body      string // JSON
	CreatedAt time.Time
	State     DeliveryState
	Attempts  int
	NextAt    time.Time // Waiting: not before
	LastAt    time.Time // of the newest attempt; zero: none
	Status    int       // of HTTP that it was answered with; 0: none
	Problem   string    // why it failed; empty: it did not
}

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a Delivery.
const (
	Waiting   DeliveryState = "waiting"
	Delivered DeliveryState = "delivered"
	Dropped   DeliveryState = "dropped" // it failed for too long
)

// DeliveryIs requires that a delivery is waiting, and has had so many attempts.
type DeliveryIs struct {
	ID       string
	Attempts int
}

func (Delivery) isRow()         {}
func (DeliveryIs) isCondition() {}
