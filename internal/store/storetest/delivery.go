package storetest

import (
	"reflect"
	"time"

	"rekey/internal/row"
	"rekey/internal/store"
)

// deliveries outlive what they are about, and are listed from both ends.
func deliveries(f *fixture) {
	f.base()
	before := f.load()
	made := func(id, hook string, minutes int) row.Delivery {
		at := now.Add(time.Duration(minutes) * time.Minute)
		return row.Delivery{ID: id, Hook: hook, Event: "rotated", Subject: variable, Body: `{"a":1}`, CreatedAt: at, State: row.Waiting, NextAt: at}
	}
	one, two, three := made("1", "a", 1), made("2", "a", 2), made("3", "b", 3)
	other := made("4", "a", 4)
	other.Subject, other.State = "acme2:variable:x", row.Delivered
	f.must(inserts(one, two, three, other))
	f.restart()
	f.same(f.load(), before)
	newest := func(filter store.DeliveryFilter, want ...row.Delivery) {
		f.Helper()
		if filter.Limit == 0 {
			filter.Limit = 9
		}
		if got, err := f.store.Deliveries(ctx, filter); err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			f.Errorf("%+v: %+v, %v", filter, got, err)
		}
	}
	newest(store.DeliveryFilter{}, other, three, two, one)
	newest(store.DeliveryFilter{Account: "acme"}, three, two, one)
	newest(store.DeliveryFilter{Account: "acme", Hook: "a"}, two, one)
	newest(store.DeliveryFilter{State: row.Delivered}, other)
	newest(store.DeliveryFilter{Hook: "a", Skip: 1, Limit: 1}, two)
	newest(store.DeliveryFilter{Account: "none"})

	waiting := func(want ...row.Delivery) {
		f.Helper()
		if got, err := f.store.WaitingDeliveries(ctx, "a", 2); err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			f.Errorf("waiting: %+v, %v", got, err)
		}
	}
	waiting(one, two)
	later := one
	later.Attempts, later.NextAt, later.LastAt, later.Status, later.Problem = 1, now.Add(time.Hour), now, 503, "it is busy"
	claim := updates(later)
	claim.Require = []row.Condition{row.DeliveryIs{ID: "1", Attempts: 0}}
	f.must(claim)
	waiting(two, later)
	f.refused(claim, "1")
	done := later
	done.State = row.Delivered
	f.must(updates(done))
	waiting(two)
	f.refused(requiring(row.Account{Name: "x"}, row.DeliveryIs{ID: "1", Attempts: 1}), "waiting")
	f.refused(requiring(row.Account{Name: "x"}, row.DeliveryIs{ID: "9", Attempts: 0}), "waiting")
	f.refused(inserts(two), "exists already")
	f.must(deletes(two), deletes(two)) // trimming what somebody else has trimmed is fine
	waiting()
}
