package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
)

type deliveryView struct {
	ID, Hook, Event, Subject, State string
	Attempts                        int
	Status                          *int
	Problem                         *string
}

func (s *testServer) deliveries(as, query string) (list []deliveryView) {
	s.Helper()
	s.call("GET", "/deliveries/acme"+query).as(as).send().status(200).decode(&list)
	return list
}

// Given a hook, when a rotation runs its course, then what happens is made for the hook
// with it, without a value in it, and whoever sees the variable sees that.
func TestDeliveries(t *testing.T) {
	s, watcher, stranger := newRotating(t)
	s.steer("pause&reason=upgrade").is(204, "")
	s.steer("resume").is(204, "")
	s.start()
	s.steer("rotate").is(204, "")
	s.until("rotated", func(v rotationView) bool { return v.Version == 2 && v.State == "idle" })
	s.memory.breaks(target.Errorf(target.Refused, nil, "no privilege"))
	s.steer("rotate").is(204, "")
	s.until("failed", func(v rotationView) bool { return v.Attempts > 0 })

	var events []string
	for _, d := range slices.Backward(s.deliveries(watcher, "?limit=100")) {
		if d.Hook != "deploy" || d.Subject != "acme:variable:app/db" || d.State != "waiting" || d.Attempts != 0 || d.Status != nil || d.Problem != nil {
			t.Errorf("%+v", d)
		}
		events = append(events, d.Event)
	}
	if got := strings.Join(events, " "); !strings.HasPrefix(got, "paused resumed rotated retired failed") && !strings.HasPrefix(got, "paused resumed rotated failed") {
		t.Error(got)
	}
	list, err := s.core.WaitingDeliveries(t.Context(), "deploy")
	must(t, err)
	for _, d := range list {
		var told struct {
			ID, Event, Account, Variable, Rotation, State, By, Class, Message string
			Version                                                           int
			At                                                                time.Time
			OldValueUntil                                                     *time.Time `json:"old_value_until"`
		}
		must(t, json.Unmarshal([]byte(d.Body), &told))
		switch told.Event {
		case "rotated":
			if told.Version != 2 || told.ID != d.ID || told.Variable != "acme:variable:app/db" || told.Rotation == "" || told.By != "acme:user:admin" {
				t.Errorf("%s", d.Body)
			}
			if told.OldValueUntil != nil && !told.OldValueUntil.After(told.At) {
				t.Errorf("the old value goes on, and does not: %s", d.Body)
			}
		case "paused":
			if told.Message != "upgrade" || told.By != "acme:user:admin" {
				t.Errorf("%s", d.Body)
			}
		case "failed":
			if told.Class != "refused" || told.Message != "no privilege" {
				t.Errorf("%s", d.Body)
			}
		}
		if strings.Contains(d.Body, "first") {
			t.Errorf("there is a value in it: %s", d.Body)
		}
	}

	s.run("are those of what the caller sees", func(s *testServer) {
		s.call("GET", "/deliveries/acme").as(stranger).is(200, "[]")
		s.call("GET", "/deliveries/other").as(watcher).is(200, "[]")
	})
	s.run("are narrowed", func(s *testServer) {
		if len(s.deliveries(watcher, "?state=delivered")) > 0 || len(s.deliveries(watcher, "?hook=another")) > 0 || len(s.deliveries(watcher, "?hook=deploy&state=waiting")) != len(events) {
			s.Error("the lists do not fit")
		}
		one := s.deliveries(watcher, "?limit=1&offset=1")
		if len(one) != 1 || one[0].Event != events[len(events)-2] {
			s.Errorf("%+v", one)
		}
		s.call("GET", "/deliveries/acme?state=lost").as(watcher).send().status(422)
		s.call("GET", "/deliveries/acme?limit=1001").as(watcher).send().status(422)
	})
	s.run("tell how they went", func(s *testServer) {
		claimed, err := s.core.ClaimDelivery(s.Context(), list[0], time.Now().Add(time.Minute))
		must(s.T, err)
		ended := claimed
		ended.State, ended.Status, ended.NextAt = row.Delivered, 204, time.Time{}
		must(s.T, s.core.EndAttempt(s.Context(), claimed, ended))
		got := s.deliveries(watcher, "?state=delivered")
		if len(got) != 1 || got[0].Attempts != 1 || got[0].Status == nil || *got[0].Status != 204 {
			s.Errorf("%+v", got)
		}
		if err := s.core.EndAttempt(s.Context(), claimed, ended); err != core.ErrDeliveryTaken {
			s.Errorf("it ends twice: %v", err)
		}
	})
	s.run("of a variable that is deleted are gone with it from sight", func(s *testServer) {
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete { record: !variable app/db }").send().status(201)
		s.load("- !variable app/db")
		if got := s.deliveries(s.admin, ""); len(got) > 0 {
			s.Errorf("%+v", got)
		}
	})
}

func TestDeliveriesOfAPIKeys(t *testing.T) {
	s, _, _ := newRotating(t)
	s.call("PUT", "/authn/acme/api_key?role=user:watcher").as(s.admin).send().status(200)
	s.call("PUT", "/authn/acme/api_key?role=user:stranger").as(s.admin).send().status(200)
	got := s.deliveries(s.admin, "")
	if len(got) != 1 || got[0].Event != "key-rotated" || got[0].Subject != "acme:user:watcher" {
		t.Errorf("%+v", got)
	}
}
