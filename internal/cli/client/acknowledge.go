package client

import (
	"net/http"
	"net/url"
	"strconv"

	"rekey/internal/ident"
)

// Acknowledged is what an acknowledgement has come to.
type Acknowledged struct {
	Outcome         string // acknowledged, outdated or not awaited
	Version, Newest int
	Unacknowledged  []ident.ID
}

// Acknowledge tells the server that whoever is logged in uses a version of a variable now,
// and no older one; 0 is the newest. It may be told again and again.
func (s *Session) Acknowledge(variable ident.ID, version int) (Answer[Acknowledged], error) {
	query := url.Values{"acknowledge": {""}}
	if version != 0 {
		query.Set("version", strconv.Itoa(version))
	}
	return ask[Acknowledged](s, "POST", rotationPath(variable), query, Task{Do: "acknowledge", On: string(variable), Privilege: "execute"})
}

// Asked are the variables that the session has read and is to acknowledge when it uses
// them, with their versions. It is told once: what is read again is asked for again.
func (s *Session) Asked() map[ident.ID]int {
	asked := s.wire.asked
	s.wire.asked = nil
	return asked
}

// hear takes down what an answer asks its reader to acknowledge. What makes no sense is as
// if it were not there: an old value then goes on for as long as it may.
func (w *wire) hear(h http.Header) {
	text := h.Get("Rekey-Acknowledge")
	if text == "" {
		return
	}
	asked, err := url.ParseQuery(text)
	if err != nil {
		return
	}
	for name, versions := range asked {
		variable, err := ident.Parse(name)
		version, wrong := strconv.Atoi(versions[0])
		if err != nil || wrong != nil || version < 1 {
			continue
		}
		if w.asked == nil {
			w.asked = map[ident.ID]int{}
		}
		w.asked[variable] = version
	}
}
