package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
)

const shared = `
- !host one
- !host two
- !host three
- !host away
- !variable
  id: app/db
  annotations:
    rotation/rotator: memory/password
    rotation/grace: PT0.01S
    rotation/consumers: host/one host/two host/away host/gone
- !variable plain
- !permit { role: !host one, privileges: [ read, execute ], resource: !variable app/db }
- !permit { role: !host two, privileges: [ read, execute ], resource: !variable app/db }
- !permit { role: !host three, privileges: [ read, execute ], resource: !variable app/db }
- !permit { role: !host away, privileges: [ read ], resource: !variable app/db }
`

type sharedView struct {
	State          string
	Version        int
	OldValueUntil  *string `json:"old_value_until"`
	Unacknowledged []string
}

// Given a variable with consumers, when it is rotated, then the old value goes on until
// those who may read it have acknowledged the new one.
func TestAnOldValueGoesOnUntilItsConsumersHaveTakenTheNewOne(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(shared)
	as := func(host string) string { return s.token("host/"+host, keys["acme:host:"+host]) }
	one, two, three, away := as("one"), as("two"), as("three"), as("away")
	s.memory.password = "first"
	s.set("app%2Fdb", "first")
	acknowledge := func(who, more string) *call { return s.call("POST", rotationDB+"?acknowledge"+more).as(who) }
	stands := func() (v sharedView) {
		s.Helper()
		s.call("GET", rotationDB).as(s.admin).send().status(200).decode(&v)
		return v
	}
	asked := func(who, path string) string {
		s.Helper()
		return s.call("GET", path).as(who).send().status(200).Header.Get("Rekey-Acknowledge")
	}
	const batch = "/secrets?variable_ids=acme:variable:app/db"

	s.run("nobody is asked before a rotation", func(s *testServer) {
		if got := asked(one, "/secrets/acme/variable/app%2Fdb"); got != "" || len(stands().Unacknowledged) > 0 {
			t.Error(got)
		}
		acknowledge(one, "").is(200, `{"outcome":"not awaited","version":1,"newest":1,"unacknowledged":[]}`)
	})
	s.start()
	s.steer("rotate").is(204, "")
	s.until("published", func(v rotationView) bool { return v.Version == 2 && v.State == "retiring" })
	time.Sleep(30 * time.Millisecond) // longer than the grace

	s.run("it says who is missing, and how long it waits at most", func(s *testServer) {
		v := stands()
		if v.State != "retiring" || strings.Join(v.Unacknowledged, " ") != "acme:host:one acme:host:two" || v.OldValueUntil == nil {
			t.Fatalf("%+v", v)
		}
		until, err := time.Parse(time.RFC3339, *v.OldValueUntil)
		if left := time.Until(until); err != nil || left < 6*24*time.Hour || left > 7*24*time.Hour {
			t.Errorf("until %s, %v", until, err)
		}
		if s.listed("unacknowledged") != 1 || s.listed("overdue") != 0 || s.listed("due") != 0 {
			t.Error("the lists do not fit")
		}
	})
	s.run("readers are asked who are awaited", func(s *testServer) {
		want := url.QueryEscape("acme:variable:app/db") + "=2"
		for _, path := range []string{"/secrets/acme/variable/app%2Fdb", "/secrets/acme/variable/app%2Fdb?version=2", batch} {
			if got := asked(one, path); got != want {
				t.Errorf("%s: %q", path, got)
			}
		}
		tag := s.call("GET", batch).as(one).send().Header.Get("ETag")
		s.call("GET", batch).as(one).with("If-None-Match", tag).send().status(304).has("Rekey-Acknowledge", want)
		if got := asked(three, batch) + asked(s.admin, batch) + asked(one, "/secrets/acme/variable/app%2Fdb?version=1"); got != "" {
			t.Errorf("others are: %q", got)
		}
	})
	s.run("who may acknowledge, and what", func(s *testServer) {
		acknowledge(away, "").is(403, "")
		r := acknowledge(three, "").send().status(409)
		if !strings.Contains(r.body, "host/three is not among the consumers") || !strings.Contains(r.body, "rotation/consumers") {
			t.Error(r.body)
		}
		if r = acknowledge(one, "&version=3").send().status(422); !strings.Contains(r.body, "there is no version 3: the newest is 2") {
			t.Error(r.body)
		}
		acknowledge(one, "&version=x").send().status(422)
		s.call("POST", "/rotations/acme/variable/plain?acknowledge").as(s.admin).send().status(404)
		acknowledge(one, "&version=1").is(200, `{"outcome":"outdated","version":1,"newest":2,"unacknowledged":["acme:host:one","acme:host:two"]}`)
	})
	s.run("each says so, as often as it likes", func(s *testServer) {
		acknowledge(one, "&version=2").is(200, `{"outcome":"acknowledged","version":2,"newest":2,"unacknowledged":["acme:host:two"]}`)
		acknowledge(one, "").is(200, `{"outcome":"not awaited","version":2,"newest":2,"unacknowledged":["acme:host:two"]}`)
		if v := stands(); v.State != "retiring" || asked(one, batch) != "" {
			t.Errorf("%+v", v)
		}
		acknowledge(two, "").is(200, `{"outcome":"acknowledged","version":2,"newest":2,"unacknowledged":[]}`)
	})
	s.until("ended", func(v rotationView) bool { return v.State == "idle" })
	var history []struct{ Event, By string }
	s.call("GET", rotationDB+"?history").as(s.admin).send().status(200).decode(&history)
	last := history[len(history)-3:]
	if last[0].Event != "acknowledged" || last[0].By != "acme:host:one" || last[1].By != "acme:host:two" || last[2].Event != "retired" {
		t.Errorf("%+v", last)
	}

	s.run("another rotation does not wait for who is missing, and says so", func(s *testServer) {
		s.steer("rotate").is(204, "")
		s.until("published", func(v rotationView) bool { return v.Version == 3 && v.State == "retiring" })
		acknowledge(two, "").send().status(200)
		s.steer("rotate").is(204, "")
		s.until("published", func(v rotationView) bool { return v.Version == 4 && v.State == "retiring" })
		r := s.call("GET", rotationDB+"?history").as(s.admin).send().status(200)
		if !strings.Contains(r.body, `"event":"unacknowledged","state":"retiring"`) || !strings.Contains(r.body, `"message":"not acknowledged by host/one"`) {
			t.Error(r.body)
		}
		if r = s.call("GET", "/metrics").send().status(200); !strings.Contains(r.body, `rekey_rotations_unacknowledged_total{rotator="memory/password"} 1`) {
			t.Error("it is not counted")
		}
		if r = s.call("GET", "/deliveries/acme?limit=100").as(s.admin).send().status(200); !strings.Contains(r.body, `"event":"unacknowledged"`) {
			t.Error(r.body)
		}
	})
	s.run("who is deleted is not waited for", func(s *testServer) {
		acknowledge(one, "").send().status(200)
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete { record: !host two }").send().status(201)
		s.until("ended", func(v rotationView) bool { return v.State == "idle" })
	})
}

func TestConsumersAreCheckedWhenAPolicyIsLoaded(t *testing.T) {
	s := newTestServer(t)
	r := s.call("POST", "/policies/acme/policy/root").as(s.admin).data(`- !variable
  id: db
  annotations:
    rotation/rotator: memory/password
    rotation/grace: PT1H
    rotation/consumers: layer/web
`).send().status(422)
	for _, want := range []string{"'layer/web' is no host or user", `"line":1`, "login names of hosts and users"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("not %q: %s", want, r.body)
		}
	}
}

// Given a reader of many variables, then an answer asks for no more of them than a header
// can hold.
func TestAnAnswerDoesNotAskForTooMuch(t *testing.T) {
	ids := make([]ident.ID, mostAsked+5)
	values := make([]core.Value, len(ids))
	for i := range ids {
		ids[i], values[i] = ident.ID("acme:variable:"+strings.Repeat("x", i+1)), core.Value{Version: 1, Rotation: &core.Rotating{Awaited: true}}
	}
	h := http.Header{}
	askFor(h, ids, values)
	if asked, err := url.ParseQuery(h.Get("Rekey-Acknowledge")); err != nil || len(asked) != mostAsked {
		t.Errorf("%d, %v", len(asked), err)
	}
	for i := range ids {
		ids[i] += ident.ID(strings.Repeat("/", 300))
	}
	askFor(h, ids, values)
	text := h.Get("Rekey-Acknowledge")
	if asked, err := url.ParseQuery(text); err != nil || len(asked) != 2 || len(text) > mostAskedBytes {
		t.Errorf("%d in %d bytes, %v", len(asked), len(text), err)
	}
	askFor(h, []ident.ID{"acme:variable:" + ident.ID(strings.Repeat("/", mostAskedBytes))}, values[:1])
	if asked, err := url.ParseQuery(h.Get("Rekey-Acknowledge")); err != nil || len(asked) != 1 {
		t.Errorf("of a single one with a long id: %d, %v", len(asked), err)
	}
}
