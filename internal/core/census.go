package core

import (
	"context"
	"slices"
	"strings"

	"rekey/internal/metrics"
)

// census is what the metrics show of all accounts.
func (c *Core) census() metrics.State {
	rotations := c.RotationFigures()
	s := metrics.State{Rotations: rotations.States, Due: rotations.Due, Overdue: rotations.Overdue, OldestOverdue: rotations.Oldest}
	c.mu.RLock()
	s.Roles, s.Resources = c.graph.Census()
	c.mu.RUnlock()
	delete(s.Roles, "!")
	s.Authenticators = map[string]map[string]int{}
	count := func(status string, names []string) {
		for _, name := range names {
			kind := typeOfAuthenticator(name)
			if s.Authenticators[kind] == nil {
				s.Authenticators[kind] = map[string]int{}
			}
			s.Authenticators[kind][status]++
		}
	}
	installed, configured, enabled := c.AuthenticatorNames(context.Background())
	count("installed", installed)
	count("configured", configured)
	count("enabled", enabled)
	return s
}

// typeOfAuthenticator is the first part of an authenticator's name, if there is such a
// type; "other" if not, so that there are not as many as policies have names for.
func typeOfAuthenticator(name string) string {
	kind, _, _ := strings.Cut(name, "/")
	known := kind == "authn" || slices.ContainsFunc(authenticatorTypes, func(t authenticatorType) bool { return kind == "authn-"+t.suffix })
	if !known {
		return "other"
	}
	return kind
}
