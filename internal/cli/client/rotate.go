package client

import (
	"context"

	"github.com/cyberark/conjur-api-go/conjurapi/authn"
	"github.com/cyberark/conjur-api-go/conjurapi/response"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// RotateOwnKey replaces the key of the session's role and stores it where the old one
// was. What could go wrong there is found out before the server is asked. The new
// key is returned even if it could not be stored after all.
func RotateOwnKey(ctx context.Context, o Options, kind string) (_ secret.Bytes, where string, err error) {
	// What has begun is finished, also when the command is interrupted meanwhile: the
	// old key may be dead by then.
	s, err := Open(context.WithoutCancel(ctx), o)
	if err != nil {
		return secret.Bytes{}, "", err
	}
	if s.key.Len() == 0 {
		return secret.Bytes{}, "", s.needsKey("rotate its own key")
	}
	if got := s.Role().Kind(); got != kind {
		e := fault.New(fault.Invalid, "'%s' is a %s", s.Who, got)
		e.Advice = "use `rekey " + got + " rotate-api-key`, or name a " + kind + " with -i"
		return secret.Bytes{}, "", e
	}
	place, where, err := s.reserve()
	if err != nil {
		return secret.Bytes{}, "", err
	}
	if place != nil {
		defer place.Release()
	}
	key, err := s.replaceKey()
	if err != nil {
		return secret.Bytes{}, "", err
	}
	if place == nil {
		return key, "", nil
	}
	return key, where, place.Commit(key)
}

// reserve finds a place for a new key, where the old one is. It is nil if the old one
// is not in a keep, or in one that must not be changed.
func (s *Session) reserve() (Reserved, string, error) {
	cfg := s.API.GetConfig()
	if s.Source == SourceEnvironment || ReadOnly(&cfg) {
		return nil, "", nil
	}
	keep, err := OpenKeep(&cfg)
	if err != nil || keep == nil {
		return nil, "", err
	}
	place, err := keep.Reserve(s.Who, apikey.MaxLength)
	return place, keep.Name(), err
}

// replaceKey asks for a new key. If the answer is lost, it finds out whether the old
// one is still good.
func (s *Session) replaceKey() (secret.Bytes, error) {
	request, err := s.API.RotateCurrentRoleAPIKeyRequest(s.Who, s.key.RevealString())
	if err != nil {
		return secret.Bytes{}, fault.Wrap(err, "asking for a new key")
	}
	answer, err := s.API.GetHttpClient().Do(request)
	var text []byte
	if err == nil {
		text, err = response.DataResponse(answer)
	}
	if err == nil {
		return secret.New(text), nil
	}
	if s.unreachable(err) == nil {
		return secret.Bytes{}, s.Explain(err, Task{Do: "rotate the key of", On: string(s.Role())})
	}
	e := &fault.Error{Kind: fault.Unavailable, Cause: err}
	_, again := s.API.Authenticate(authn.LoginPair{Login: s.Who, APIKey: s.key.RevealString()})
	switch {
	case again == nil:
		e.Message = "the connection broke, the key is not changed: " + fault.New(fault.Unavailable, "%v", err).Message
		e.Advice = "try again"
	case s.unreachable(again) != nil:
		e.Message = "the connection broke: the key of '" + s.Who + "' may or may not have been changed"
		e.Advice = "try `rekey authenticate` when the server can be reached; if it refuses, " + rescue(s.Role())
	default:
		e.Message = "the connection broke after the key of '" + s.Who + "' was changed, and the new one is lost"
		e.Advice = rescue(s.Role())
	}
	return secret.Bytes{}, e
}

// rescue says who can help a role that has lost its key.
func rescue(role ident.ID) string {
	return "somebody who may update it runs `rekey " + role.Kind() + " rotate-api-key -i " + role.Identifier() +
		"`, or the operator `rekey role retrieve-key " + string(role) + "`"
}
