package client

import (
	"encoding/json"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// Edge is a membership: Child is a member of Parent.
type Edge struct {
	Parent string `json:"parent"`
	Child  string `json:"child"`
}

// Graph is the memberships around a role, direct or not, that the session's role sees.
func (s *Session) Graph(role ident.ID) ([]Edge, error) {
	request, err := s.API.RoleRequest(string(role))
	if err != nil {
		return nil, fault.Wrap(err, "asking for the memberships")
	}
	request.URL.RawQuery = "graph"
	text, err := s.Get(request, nil)
	if err != nil {
		return nil, s.Explain(err, Task{Do: "look at", On: string(role), Privilege: "read"})
	}
	var edges []Edge
	return edges, fault.Wrap(json.Unmarshal(text, &edges), "reading the memberships of %s", role)
}
