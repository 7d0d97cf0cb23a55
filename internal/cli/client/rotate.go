package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/cyberark/conjur-api-go/conjurapi/authn"
	"github.com/cyberark/conjur-api-go/conjurapi/response"
	"github.com/google/uuid"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

const (
	longestLapse = "P7D" // for which a staged key waits at most: it may be in use only after a repair
	mostTries    = 3
)

// Rotation says how to replace a key.
type Rotation struct {
	OldKey string // how long the old key goes on, an ISO 8601 duration; "" for not at all
}

// RotateKey replaces the key of another role.
func (s *Session) RotateKey(role ident.ID, how Rotation) (secret.Bytes, error) {
	request, err := s.API.RotateAPIKeyRequest(string(role))
	if err != nil {
		return secret.Bytes{}, fault.Wrap(err, "asking for a new key")
	}
	if how.OldKey != "" {
		request.URL.RawQuery += "&" + url.Values{"old_key": {how.OldKey}}.Encode()
	}
	key, err := s.Get(request, nil)
	return secret.New(key), s.Explain(err, Task{Do: "rotate the key of", On: string(role), Privilege: "update"})
}

// RotateOwnKey replaces the key of the session's role. At no moment is there no key
// that works and is stored: there is a place for the new one before the server is asked;
// the server stages it, so that the old one goes on until the new one is used; it is
// stored where the old one was, and handed out; and then it is used. Servers that know
// no staging replace it at once; there a lost answer is what is left to go wrong.
//
// handOut gets the key and the keep that has it, "" if it is stored nowhere.
func RotateOwnKey(ctx context.Context, o Options, kind string, how Rotation, handOut func(role ident.ID, key secret.Bytes, where string) error) error {
	// What has begun is finished, also when the command is interrupted meanwhile.
	o.Fresh = true
	s, err := Open(context.WithoutCancel(ctx), o)
	if err != nil {
		return err
	}
	if s.key.Len() == 0 {
		return s.needsKey("rotate its own key")
	}
	if got := s.Role().Kind(); got != kind {
		e := fault.New(fault.Invalid, "'%s' is a %s", s.Who, got)
		e.Advice = "use `rekey " + got + " rotate-api-key`, or name a " + kind + " with -i"
		return e
	}
	place, where, err := s.reserve()
	if err != nil {
		return err
	}
	if place != nil {
		defer place.Release()
	}
	key, err := s.stageKey(how)
	if err != nil {
		return err
	}
	if place != nil {
		if err := place.Commit(key); err != nil {
			if s.use(s.key) == nil {
				return err // nothing has changed: the staged key lapses
			}
			return errors.Join(err, handOut(s.Role(), key, ""))
		}
	}
	cfg := s.API.GetConfig()
	ForgetTokens(&cfg)
	if err := handOut(s.Role(), key, where); err != nil {
		return err
	}
	return s.confirm(key)
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

// stageKey asks for a new key. If the answer is lost it asks again, by the same name,
// and gets the same key.
func (s *Session) stageKey(how Rotation) (secret.Bytes, error) {
	parameters := url.Values{}
	if how.OldKey != "" {
		parameters.Set("old_key", how.OldKey)
	}
	if s.usesKeys() {
		parameters.Set("staged", "true")
		parameters.Set("lapse", longestLapse)
		parameters.Set("request", uuid.NewString())
	}
	var err error
	for try := range mostTries {
		var key []byte
		if key, err = s.askForKey(parameters); err == nil {
			return secret.New(key), nil
		}
		if s.unreachable(err) != nil {
			continue
		}
		if try > 0 && s.refusedStatus(err) == http.StatusUnauthorized {
			e := fault.New(fault.Unavailable, "the connection broke after the key of '%s' was changed, and the new one is lost", s.Who)
			e.Advice, e.Cause = rescue(s.Role()), err
			return secret.Bytes{}, e
		}
		return secret.Bytes{}, s.Explain(err, Task{Do: "rotate the key of", On: string(s.Role())})
	}
	e := &fault.Error{Kind: fault.Unavailable, Cause: err}
	e.Message, e.Advice = diagnose(s.URL, err)
	e.Message = "no new key has come, and the old one goes on unless this server cannot stage keys: " + e.Message
	return secret.Bytes{}, e
}

func (s *Session) askForKey(parameters url.Values) ([]byte, error) {
	request, err := s.API.RotateCurrentRoleAPIKeyRequest(s.Who, s.key.RevealString())
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = parameters.Encode()
	answer, err := s.API.GetHttpClient().Do(request)
	if err != nil {
		return nil, err
	}
	return response.DataResponse(answer)
}

// usesKeys tells whether the session's role authenticates by its key, and not with
// another authenticator.
func (s *Session) usesKeys() bool {
	kind := s.API.GetConfig().AuthnType
	return kind == "" || kind == "authn"
}

func (s *Session) use(key secret.Bytes) error {
	_, err := s.API.Authenticate(authn.LoginPair{Login: s.Who, APIKey: key.RevealString()})
	return err
}

// confirm uses a staged key, which makes it the only one.
func (s *Session) confirm(key secret.Bytes) error {
	if !s.usesKeys() {
		return nil
	}
	err := s.use(key)
	if err == nil || s.unreachable(err) == nil {
		return s.refusedLogin(err, key)
	}
	e := &fault.Error{Kind: fault.Unavailable, Cause: err}
	e.Message, e.Advice = diagnose(s.URL, err)
	e.Message = "the old key goes on until the new one is used, for which the server could not be reached: " + e.Message
	return e
}

// rescue says who can help a role that has lost its key.
func rescue(role ident.ID) string {
	return "somebody who may update it runs `rekey " + role.Kind() + " rotate-api-key -i " + role.Identifier() +
		"`, or the operator `rekey role retrieve-key " + string(role) + "`"
}
