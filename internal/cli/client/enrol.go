package client

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/cyberark/conjur-api-go/conjurapi/response"

	"rekey/internal/fault"
)

// Enrol makes a host by a token of a host factory, or gives one that the factory has
// made a new key. It returns the host with its key, as the server's JSON.
func (s *Session) Enrol(name, token string) ([]byte, error) {
	request, err := s.API.CreateHostRequest(url.Values{"id": {name}}.Encode(), token)
	if err != nil {
		return nil, fault.Wrap(err, "asking for a host")
	}
	answer, err := s.API.GetHttpClient().Do(request)
	var host []byte
	if err == nil {
		host, err = response.DataResponse(answer)
	}
	var refused *response.ConjurError
	if errors.As(err, &refused) {
		switch refused.Code {
		case http.StatusUnauthorized:
			e := fault.New(fault.Unauthenticated, "%s does not accept the host factory token", s.URL)
			e.Advice = "it is wrong, expired, revoked, or not for this network: ask for another one"
			return nil, e
		case http.StatusForbidden:
			e := fault.New(fault.Forbidden, "the host factory of this token may not make or renew the host '%s'", name)
			e.Advice = "there is one that it has not made: choose another name"
			return nil, e
		}
	}
	return host, s.Explain(err, Task{Do: "enrol", On: s.Account + ":host:" + name})
}
