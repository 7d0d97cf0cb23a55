package client

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// Values reads variables, all of them as of one moment if there is more than one. A
// version of 0 is the newest.
func (s *Session) Values(ids []ident.ID, version int) (map[ident.ID][]byte, error) {
	values := make(map[ident.ID][]byte, len(ids))
	names := make([]string, len(ids))
	alone := version != 0 || len(ids) == 1
	for i, id := range ids {
		names[i] = string(id)
		alone = alone || strings.Contains(names[i], ",") // which separates them in a batch
	}
	if !alone {
		return values, s.batch(names, values)
	}
	for i, id := range ids {
		var value []byte
		var err error
		if version != 0 {
			value, err = s.API.RetrieveSecretWithVersion(names[i], version)
		} else {
			value, err = s.API.RetrieveSecret(names[i])
		}
		if err != nil {
			return nil, s.Explain(err, Task{Do: "read", On: names[i], Privilege: "execute"})
		}
		values[id] = value
	}
	return values, nil
}

// batch reads variables at once. A server that takes no request as long as that gets
// shorter ones; then they are as of one moment each.
func (s *Session) batch(names []string, values map[ident.ID][]byte) error {
	found, err := s.API.RetrieveBatchSecretsSafe(names)
	if err != nil && len(names) > 1 && slices.Contains(tooLong[:], s.refusedStatus(err)) {
		middle := len(names) / 2
		if err := s.batch(names[:middle], values); err != nil {
			return err
		}
		return s.batch(names[middle:], values)
	}
	for name, value := range found {
		values[ident.ID(name)] = value
	}
	return s.Explain(err, Task{Do: "read one of", On: strings.Join(names, ", "), Privilege: "execute"})
}

// tooLong are the answers to a request whose target is too long.
var tooLong = [...]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge}

// Version is one of the values that a variable has had.
type Version struct {
	Version   int     `json:"version"`
	ExpiresAt *string `json:"expires_at"` // RFC 3339; nil for never
}

// Versions are those of a variable that can be read, in the order of the server.
func (s *Session) Versions(id ident.ID) ([]Version, error) {
	versions, err := s.versions(id)
	return versions, s.Explain(err, Task{Do: "look at", On: string(id), Privilege: "read"})
}

// versions leaves errors as they come.
func (s *Session) versions(id ident.ID) ([]Version, error) {
	resource, err := s.Get(s.API.ResourceRequest(string(id)))
	if err != nil {
		return nil, err
	}
	var answer struct{ Secrets []Version }
	if err := json.Unmarshal(resource, &answer); err != nil {
		return nil, fault.Wrap(err, "reading the versions of %s", id)
	}
	return answer.Secrets, nil
}

// Value reads the newest value of a variable, by any form of its id.
func (s *Session) Value(text string) ([]byte, error) {
	id, err := s.ID(text, "variable")
	if err != nil {
		return nil, err
	}
	values, err := s.Values([]ident.ID{id}, 0)
	return values[id], err
}
