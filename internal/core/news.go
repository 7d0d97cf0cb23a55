package core

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// Hook is somebody who is told when something happens to a rotation or to an API key.
type Hook struct {
	Name   string
	Events []string // which; empty: all of NewsEvents
	About  []string // full ids of variables and roles, in which * stands for anything; empty: all
}

// newsOf are the events that hooks are told of, by the word that the history of a
// rotation has for them.
var newsOf = map[string]string{
	"published": "rotated", "failed": "failed", "quarantined": "quarantined", "suspended": "suspended", "drifted": "drifted",
	"rolled back": "failed", "retired": "retired", "paused": "paused", "resumed": "resumed", "adopted": "adopted",
	rotation.Unacknowledged: "unacknowledged",
}

const keyRotated = "key-rotated"

// NewsEvents are the events that a hook can be told of.
func NewsEvents() []string {
	all := []string{keyRotated}
	for _, event := range newsOf {
		all = append(all, event)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wants tells whether a hook is told of an event.
func (h *Hook) wants(event string, about ident.ID) bool {
	if len(h.Events) > 0 && !slices.Contains(h.Events, event) {
		return false
	}
	return len(h.About) == 0 || slices.ContainsFunc(h.About, func(pattern string) bool { return fits(pattern, string(about)) })
}

// fits matches a text with a pattern in which * stands for any characters or none.
func fits(pattern, text string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	for ok && strings.Contains(rest, "*") {
		var part string
		part, rest, _ = strings.Cut(rest, "*")
		_, text, ok = strings.Cut(text, part)
	}
	return ok && strings.HasSuffix(text, rest)
}

// news is what a hook is told. There is no value in it.
type news struct {
	ID            string     `json:"id"`
	Event         string     `json:"event"`
	At            time.Time  `json:"at"`
	Account       string     `json:"account"`
	Variable      ident.ID   `json:"variable,omitempty"`
	Role          ident.ID   `json:"role,omitempty"`
	Version       int        `json:"version,omitempty"` // of the variable
	Rotation      string     `json:"rotation,omitempty"`
	State         string     `json:"state,omitempty"`
	By            string     `json:"by,omitempty"`
	Class         string     `json:"class,omitempty"`
	Message       string     `json:"message,omitempty"`
	OldValueUntil *time.Time `json:"old_value_until,omitempty"`
}

func (n *news) subject() ident.ID {
	if n.Variable != "" {
		return n.Variable
	}
	return n.Role
}

// addNews adds to a set what hooks are to be told of it, so that it is durable with
// what has happened, and neither is without the other.
func (c *Core) addNews(set *row.Set) error {
	if len(c.hooks) == 0 {
		return nil
	}
	for _, n := range c.newsIn(set) {
		for i := range c.hooks {
			if !c.hooks[i].wants(n.Event, n.subject()) {
				continue
			}
			id, err := uuid.NewV7FromReader(c.rand)
			if err != nil {
				return fault.Wrap(err, "randomness")
			}
			n.ID = id.String()
			body, err := json.Marshal(n)
			if err != nil {
				return fault.Wrap(err, "news for a webhook")
			}
			set.Add(row.Insert, row.Delivery{ID: n.ID, Hook: c.hooks[i].Name, Event: n.Event, Subject: n.subject(), Body: string(body),
				CreatedAt: n.At, State: row.Waiting, NextAt: n.At})
		}
	}
	return nil
}

// newsIn finds what there is to tell in a set.
func (c *Core) newsIn(set *row.Set) (all []news) {
	for _, change := range set.Changes {
		switch r := change.Row.(type) {
		case row.RotationEvent:
			event, told := newsOf[r.Event]
			if !told || change.Op != row.Insert {
				continue
			}
			n := news{Event: event, At: r.At, Account: r.Variable.Account(), Variable: r.Variable, Rotation: r.ID, State: r.State, By: r.Actor, Class: r.Class, Message: r.Message}
			if w := rotationIn(set, r.Variable); w != nil {
				if event == "failed" && w.Attempts > 1 {
					continue // it has been told of the first, and is told when they end
				}
				n.Version = w.Version
				if ends := later(w.RetireAt, w.RetireBy); event == "rotated" && ends.After(r.At) {
					n.OldValueUntil = &ends
				}
			}
			all = append(all, n)
		case row.APIKey:
			c.mu.RLock()
			before := keysOf(c.graph.Role(r.Role)).current
			c.mu.RUnlock()
			if change.Op == row.Update && before != nil && before.Digest != r.Digest {
				all = append(all, news{Event: keyRotated, At: r.RotatedAt, Account: r.Role.Account(), Role: r.Role})
			}
		}
	}
	return all
}

// rotationIn is what a set makes of the rotation of a variable; nil: nothing.
func rotationIn(set *row.Set, variable ident.ID) *row.Rotation {
	for _, change := range set.Changes {
		if w, ok := change.Row.(row.Rotation); ok && w.Variable == variable && change.Op != row.Delete {
			return &w
		}
	}
	return nil
}
