package rotation_test

import (
	"slices"
	"time"

	"rekey/internal/rotation"
)

// word is what a consumer is about to say.
type word struct {
	at       time.Time
	consumer string
	version  int
}

// published has consumers take a new version over: soon, late, more than once, or never.
func (s *sim) published() {
	s.awaited = slices.Clone(s.settings.Consumers)
	for _, consumer := range s.settings.Consumers {
		for range []int{0, 1, 1, 1, 1, 2}[s.Intn(6)] {
			longest := []time.Duration{time.Minute, 3 * time.Hour, 20 * time.Hour}[s.Intn(3)]
			s.words = append(s.words, word{s.now.Add(s.between(time.Second, longest)), consumer, len(s.values)})
		}
	}
}

func (s *sim) acknowledge(said word) {
	w := s.row
	did, err := rotation.Acknowledge(&w, &s.settings, said.consumer, said.version, len(s.values))
	s.trace("%s acknowledges %d: %s", said.consumer, said.version, did)
	switch {
	case err != nil:
		s.violated("%s cannot acknowledge %d: %v", said.consumer, said.version, err)
	case did == rotation.Acknowledged:
		if !slices.Contains(s.awaited, said.consumer) {
			s.violated("%s was not awaited", said.consumer)
		}
		s.tally.Acknowledged++
		w.Revision++
		s.row = w
		s.awaited = slices.DeleteFunc(s.awaited, func(c string) bool { return c == said.consumer })
	case slices.Contains(s.awaited, said.consumer) && said.version >= w.Version:
		s.violated("%s is still awaited", said.consumer)
	}
}

// retiring holds what a node is about to do against what consumers were promised. A new
// value takes the place of the old one: then nobody is waited for.
func (n *node) retiring() {
	age := n.now.Sub(n.lastPublish)
	if n.asked || n.stepped || age >= n.settings.TTL*9/10 {
		return
	}
	if age < n.settings.Grace || len(n.awaited) > 0 && age < n.settings.Within {
		n.violated("the old value is ended after %s, and %v have not acknowledged the new one", age, n.awaited)
	}
}
