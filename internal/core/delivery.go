package core

import (
	"context"
	"errors"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
)

const (
	deliveriesKept    = 1000   // of one hook, when they are over
	deliveriesWaiting = 10_000 // of one hook; of more, the oldest are dropped
	deliveryPage      = 256
)

// ErrDeliveryTaken says that somebody else has a delivery in hand, or that it is over.
var ErrDeliveryTaken = errors.New("the delivery is not this process's to make")

// Deliveries lists what hooks were told, or are to be, the newest first, about what the
// caller sees. hook and state narrow it, if they are not empty.
func (c *Core) Deliveries(ctx context.Context, caller Caller, account, hook string, state row.DeliveryState, skip, limit int) ([]row.Delivery, error) {
	c.mu.RLock()
	_, err := c.role(caller)
	c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	found := []row.Delivery{}
	filter := store.DeliveryFilter{Account: account, Hook: hook, State: state, Limit: deliveryPage}
	for len(found) < limit {
		page, err := c.store.Deliveries(ctx, filter)
		if err != nil {
			return nil, unavailable(err, "deliveries")
		}
		for _, d := range page {
			switch {
			case !c.saw(caller, d.Subject, d.CreatedAt):
			case skip > 0:
				skip--
			case len(found) < limit:
				found = append(found, d)
			}
		}
		if filter.Skip += len(page); len(page) < filter.Limit {
			break
		}
	}
	return found, nil
}

// saw tells whether a caller sees a resource that was there at a moment.
func (c *Core) saw(caller Caller, id ident.ID, then time.Time) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, x, err := c.visible(caller, id)
	return err == nil && !x.CreatedAt.After(then)
}

// WaitingDeliveries are those that a hook has not got, the first due first.
func (c *Core) WaitingDeliveries(ctx context.Context, hook string) ([]row.Delivery, error) {
	list, err := c.store.WaitingDeliveries(ctx, hook, deliveryPage)
	return list, fault.Wrap(err, "reading what waits for webhook %s", hook)
}

// DeliveriesChanged gets a signal when there is something new for a hook.
func (c *Core) DeliveriesChanged(hook string) <-chan struct{} { return c.hooked[hook] }

// ClaimDelivery counts an attempt before it is made. If nobody hears of it until the
// moment given, it is made again. ErrDeliveryTaken if it is somebody else's by now.
func (c *Core) ClaimDelivery(ctx context.Context, d row.Delivery, until time.Time) (row.Delivery, error) {
	claimed := d
	claimed.Attempts++
	claimed.LastAt, claimed.NextAt = c.now(), until.UTC().Truncate(time.Millisecond)
	return claimed, c.updateDelivery(ctx, d, claimed)
}

// EndAttempt stores how an attempt ended: the state, the answer, and when the next one is.
func (c *Core) EndAttempt(ctx context.Context, claimed, ended row.Delivery) error {
	ended.NextAt = ended.NextAt.UTC().Truncate(time.Millisecond)
	return c.updateDelivery(ctx, claimed, ended)
}

func (c *Core) updateDelivery(ctx context.Context, before, after row.Delivery) error {
	set := &row.Set{Require: []row.Condition{row.DeliveryIs{ID: before.ID, Attempts: before.Attempts}}}
	set.Add(row.Update, after)
	err := c.commit(ctx, set)
	if errors.Is(err, store.ErrChanged) {
		return ErrDeliveryTaken
	}
	return err
}

// TrimDeliveries forgets the oldest deliveries of a hook that are over, and drops the
// oldest that wait, beyond the numbers that are kept. It returns how many it dropped.
func (c *Core) TrimDeliveries(ctx context.Context, hook string) (dropped int, err error) {
	for _, bound := range []struct {
		state row.DeliveryState
		kept  int
	}{{row.Waiting, deliveriesWaiting}, {row.Delivered, deliveriesKept}, {row.Dropped, deliveriesKept}} {
		surplus, err := c.store.Deliveries(ctx, store.DeliveryFilter{Hook: hook, State: bound.state, Skip: bound.kept, Limit: deliveryPage})
		if err != nil {
			return dropped, unavailable(err, "deliveries")
		}
		set := &row.Set{}
		for _, d := range surplus {
			if bound.state != row.Waiting {
				set.Add(row.Delete, d)
				continue
			}
			after := d
			after.State, after.NextAt, after.Problem = row.Dropped, time.Time{}, "too many were waiting"
			switch err := c.updateDelivery(ctx, d, after); {
			case err == nil:
				dropped++
			case !errors.Is(err, ErrDeliveryTaken):
				return dropped, err
			}
		}
		if len(set.Changes) > 0 {
			if err := c.commit(ctx, set); err != nil {
				return dropped, err
			}
		}
	}
	return dropped, nil
}

// wakeHooks tells that a set has something for hooks.
func (c *Core) wakeHooks(set *row.Set) {
	for _, change := range set.Changes {
		d, ok := change.Row.(row.Delivery)
		if !ok || change.Op != row.Insert {
			continue
		}
		select {
		case c.hooked[d.Hook] <- struct{}{}:
		default: // there is a signal already, or no such hook here
		}
	}
}
