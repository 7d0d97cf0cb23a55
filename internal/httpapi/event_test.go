package httpapi

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
)

// stream is an open stream of events.
type stream struct {
	*testing.T
	*http.Response
	lines chan string
	id    string // the last one
}

// listen opens a stream, and waits until the server has begun it.
func (s *testServer) listen(as, query, after string) *stream {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.url.String()+"/events/acme"+query, nil)
	must(s.T, err)
	r.Header.Set("Authorization", as)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	must(s.T, err)
	s.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		s.Fatalf("%s %v", answer.Status, answer.Header)
	}
	open := &stream{T: s.T, Response: answer, lines: make(chan string, 1000)}
	go func() {
		defer close(open.lines)
		for text := bufio.NewScanner(answer.Body); text.Scan(); {
			open.lines <- text.Text()
		}
	}()
	return open
}

// line is the next line that begins so.
func (s *stream) line(prefix string) (rest string, open bool) {
	s.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case line, open := <-s.lines:
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				s.id = id
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok || !open {
				return rest, open
			}
		case <-limit:
			s.Fatalf("no line begins with %s", prefix)
		}
	}
}

// next is the kind and variable of the next event.
func (s *stream) next() string {
	s.Helper()
	kind, open := s.line("event: ")
	if !open {
		return "end"
	}
	data, _ := s.line("data: ")
	_, variable, _ := strings.Cut(data, `"variable":"acme:variable:`)
	variable, _, _ = strings.Cut(variable, `"`)
	_, version, _ := strings.Cut(data, `"version":`)
	version, _, _ = strings.Cut(version, ",")
	return strings.TrimSpace(kind + " " + variable + " " + version)
}

func (s *stream) is(want string) {
	s.Helper()
	if got := s.next(); got != want {
		s.Errorf("event %q, want %q", got, want)
	}
}

const watched = `
- !variable a
- !variable b
- !variable hidden
- !variable { id: rotated, annotations: { rotation/rotator: memory/password } }
- !user alice
- !user bob
- &shown !permit { role: !user alice, privileges: [ execute ], resource: !variable a }
- !permit { role: !user alice, privileges: [ read ], resource: !variable b }
`

func TestEvents(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(strings.Replace(watched, "&shown ", "", 1))
	alice := s.token("alice", keys["acme:user:alice"])
	everything := s.listen(alice, "", "")
	only := s.listen(alice, "?variable_ids=acme:variable:b,acme:variable:hidden", "")
	start, _ := everything.line("id: ")

	s.run("tell who sees the variable of new versions, without the value", func(s *testServer) {
		s.set("hidden", "no")
		s.set("a", "a secret")
		s.set("b", "one")
		everything.T, only.T = s.T, s.T
		everything.is("version a 1")
		everything.is("version b 1")
		only.is("version b 1")
	})
	s.run("come within a second", func(s *testServer) {
		before := time.Now()
		s.set("b", "two")
		only.is("version b 2")
		if took := time.Since(before); took > time.Second {
			s.Errorf("it took %v", took)
		}
		everything.is("version b 2")
	})
	s.run("go on after the last one", func(s *testServer) {
		again := s.listen(alice, "", start)
		again.is("version a 1")
		again.is("version b 1")
		s.listen(alice, "?after="+again.id, "").is("version b 2")
		s.listen(alice, "", "another-1").is("resync")
		s.listen(alice, "", "nonsense").is("resync")
	})
	s.run("end for a variable when the permission does", func(s *testServer) {
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !deny { role: !user alice, privileges: [ execute ], resource: !variable a }").send().status(201)
		s.set("a", "another")
		s.set("b", "three")
		everything.is("version b 3")
		only.is("version b 3")
	})
	s.run("tell of deletion who saw the variable", func(s *testServer) {
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete { record: !variable a }\n- !delete { record: !variable b }").send().status(201)
		everything.is("deleted b")
		only.is("deleted b")
		s.listen(alice, "", start).is("resync")
		s.load("- !variable b\n- !permit { role: !user alice, privileges: [ read ], resource: !variable b }")
		s.set("b", "new")
		only.is("version b 1")
	})
	s.run("end when the role does", func(s *testServer) {
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete { record: !user alice }").send().status(201)
		only.is("end")
		s.call("GET", "/events/acme").as(alice).send().status(401)
	})
}

func TestEventsOfARotation(t *testing.T) {
	s := newTestServer(t)
	s.load(watched)
	s.memory.password = "first"
	s.set("rotated", "first")
	s.call("GET", "/secrets/acme/variable/rotated").as(s.admin).is(200, "first").has("Rekey-Rotating", "false").has("Rekey-Rotated-At", "").has("Rekey-Next-Rotation", "")
	all := s.listen(s.admin, "", "")
	s.start()
	s.call("POST", "/rotations/acme/variable/rotated?rotate").as(s.admin).is(204, "")
	all.is("version rotated 2")
	r := s.call("GET", "/secrets/acme/variable/rotated").as(s.admin).is(200, "first+").has("Rekey-Secret-Version", "2")
	if r.Header.Get("Rekey-Rotated-At") == "" {
		t.Error(r.Header)
	}
}

func TestEventsRefused(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(watched)
	bob := s.token("bob", keys["acme:user:bob"])
	s.call("GET", "/events/acme?variable_ids=junk").as(bob).send().status(404)
	s.call("GET", "/events/acme?variable_ids=other:variable:a").as(bob).is(422, argumentError("variable_ids: other:variable:a is no variable of account acme"))
	s.call("GET", "/events/acme?variable_ids=acme:variable:x").as(bob).with("X-Forwarded-For", "junk").send().status(400)
	many := make([]string, mostFiltered+1)
	for i := range many {
		many[i] = "acme:variable:v" + strings.Repeat("i", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()
	}
	s.call("GET", "/events/acme?variable_ids="+strings.Join(many, ",")).as(bob).send().status(422)
	s.call("HEAD", "/events/acme").as(bob).is(200, "").has("Content-Type", "text/event-stream")
	for range core.MostListenersOfRole {
		s.listen(bob, "", "")
	}
	s.call("GET", "/events/acme").as(bob).send().status(503).has("Retry-After", "1")
	s.listen(s.admin, "", "")
}

func TestWaitingForAChange(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(strings.Replace(watched, "&shown ", "", 1))
	alice := s.token("alice", keys["acme:user:alice"])
	s.set("a", "one")
	wait := func(s *testServer, variable, wait string) *call {
		return s.call("GET", "/secrets/acme/variable/"+variable+"?wait="+wait).as(alice)
	}
	later := func(s *testServer, do func()) {
		go func() {
			for s.core.Listeners() == 0 {
				time.Sleep(time.Millisecond)
			}
			do()
		}()
	}
	tag := wait(s, "a", "5m").is(200, "one").Header.Get("ETag")
	s.run("ends with the new value", func(s *testServer) {
		later(s, func() { s.set("a", "two") })
		tag = wait(s, "a", "5m").with("If-None-Match", tag).is(200, "two").Header.Get("ETag")
	})
	s.run("ends without one when the time is over", func(s *testServer) {
		wait(s, "a", "1ms").with("If-None-Match", tag).is(304, "").has("ETag", tag)
	})
	s.run("of several values at once", func(s *testServer) {
		s.set("b", "one")
		target := "/secrets?wait=5m&variable_ids=acme:variable:a,acme:variable:b"
		first := s.call("GET", target).as(s.admin).is(200, `{"acme:variable:a":"two","acme:variable:b":"one"}`)
		s.call("GET", target).as(s.admin).with("If-None-Match", first.Header.Get("ETag")).with("Accept-Encoding", "base64").send().status(200)
		later(s, func() { s.set("b", "two") })
		s.call("GET", target).as(s.admin).with("If-None-Match", first.Header.Get("ETag")).is(200, `{"acme:variable:a":"two","acme:variable:b":"two"}`)
	})
	s.run("ends when the permission does", func(s *testServer) {
		later(s, func() {
			s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !deny { role: !user alice, privileges: [ execute ], resource: !variable a }").send().status(201)
		})
		wait(s, "a", "5m").with("If-None-Match", tag).is(404, emptyVariable("a"))
	})
	s.run("for no known time is refused", func(s *testServer) {
		for _, bad := range []string{"", "soon", "-1s", "1h"} {
			wait(s, "a", bad).send().status(422)
		}
	})
	s.run("ends when the server stops", func(s *testServer) {
		open := s.listen(s.admin, "", "")
		s.core.EndListening()
		open.is("end")
		s.call("GET", "/events/acme").as(s.admin).send().status(503)
	})
}
