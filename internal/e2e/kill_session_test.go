package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
)

// session is what one actor does with one server process.
type session struct {
	*client
	world        *world
	name         string
	rng          *rand.Rand
	mutex        sync.Mutex
	sent         int
	acknowledged []string // ids of requests that were answered with success
}

// change sends a request. ok is false if the server died before it answered; an answer
// other than the one wanted is an error of the test.
func (s *session) change(want int, method, path, body string, headers ...string) (got answer, ok bool) {
	s.mutex.Lock()
	s.sent++
	id := fmt.Sprintf("%s-%d-end", s.name, s.sent)
	s.mutex.Unlock()
	got, err := s.send(method, path, []byte(body), append([]string{"X-Request-Id", id}, headers...)...)
	if err != nil {
		return got, false
	}
	if got.status != want {
		s.failf("%s %s: %v, want %d", method, path, got, want)
		return got, false
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.acknowledged = append(s.acknowledged, id)
	return got, true
}

// ask sends a request of a verification, which must be answered.
func (s *session) ask(method, path string, headers ...string) answer {
	got, err := s.send(method, path, nil, headers...)
	if err != nil {
		s.failf("%s %s: %v", method, path, err)
	}
	return got
}

// works tells whether a key authenticates; anything but yes and no is an error.
func (s *session) works(login, key string) bool {
	got, err := s.authenticate(login, key)
	if err != nil || got.status != http.StatusOK && got.status != http.StatusUnauthorized {
		s.failf("authenticate %s: %v, %v", login, got, err)
	}
	return got.status == http.StatusOK
}

// settled notes what has become of a change that was under way.
func (s *session) settled(kept bool) {
	if kept {
		s.world.tally.add("under way and kept", 1)
	} else {
		s.world.tally.add("under way and gone", 1)
	}
}

func (s *session) failf(format string, args ...any) {
	s.world.t.Errorf("%s: "+format, append([]any{s.name}, args...)...)
}
