package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi/authn"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// LogIn proves a login by an API key, or by a password, which it trades for the key.
// It returns the key, which has bought an access token once, and stores nothing.
func (s *Session) LogIn(login string, credential secret.Bytes, isKey bool) (secret.Bytes, error) {
	s.Who = login
	key := credential
	if !isKey {
		answer, err := s.API.Login(login, credential.RevealString())
		if err != nil {
			return secret.Bytes{}, s.refusedLogin(err, credential)
		}
		key = secret.New(answer)
	}
	if s.API.GetConfig().AuthnType == "ldap" {
		return key, nil // it buys tokens from another authenticator
	}
	token, err := s.API.Authenticate(authn.LoginPair{Login: login, APIKey: key.RevealString()})
	if err == nil {
		_, err = authn.NewToken(token)
	}
	return key, s.refusedLogin(err, credential)
}

// refusedLogin says what is wrong with a login. The server tells nobody whether it
// was the account, the name or the key; but a key that cannot be one can be told
// here, without saying anything of the key.
func (s *Session) refusedLogin(err error, credential secret.Bytes) error {
	if err == nil {
		return nil
	}
	if e := s.unreachable(err); e != nil {
		return e
	}
	status := s.refusedStatus(err)
	switch {
	case s.wire.refused != nil && bytes.Contains(s.wire.refused.body, []byte("HTTP request to an HTTPS server")):
		e := fault.New(fault.Unavailable, "TLS: %s speaks TLS only", s.URL)
		e.Advice = "run `rekey init -u " + strings.Replace(s.URL, "http://", "https://", 1) + "`"
		return e
	case status == 0 && strings.HasPrefix(s.Source, "environment CONJUR_AUTHN_TOKEN"):
		e := fault.New(fault.Unauthenticated, "the access token cannot be used: %v", err)
		e.Advice = "put what `rekey authenticate` prints there, or log in with a key"
		return e
	case status == http.StatusUnauthorized:
		return s.wrongCredential(err, credential)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == 0:
		return s.wrongURL(err)
	}
	return s.Explain(err, Task{Do: "log in to", On: s.URL})
}

func (s *Session) wrongURL(err error) error {
	e := fault.New(fault.Unavailable, "wrong URL: %s answers, but not as a server of this kind", s.URL)
	e.Advice, e.Cause = "check the URL: `rekey init -u URL` or CONJUR_APPLIANCE_URL", err
	return e
}

func (s *Session) wrongCredential(err error, credential secret.Bytes) error {
	e := &fault.Error{Kind: fault.Unauthenticated, Cause: err}
	e.Message = s.URL + " refuses the login '" + s.Who + "' of account '" + s.Account + "'"
	if s.Source != "" {
		e.Message += " (from " + s.Source + ")"
	}
	isHost := strings.HasPrefix(s.Who, "host/")
	if flaw := apikey.Flaw(credential); flaw != "" && (isHost || resemblesKey(credential)) {
		e.Message += ": " + flaw
		e.Advice = "copy the key again, all of it and nothing else"
		return e
	}
	if _, err := s.API.ServerVersion(); err != nil {
		return s.wrongURL(err) // many web servers answer 401 to what they do not know
	}
	e.Advice = "the account or the login does not exist, or the key or password is another one (rotated since?)"
	switch {
	case s.Source != "":
		e.Advice += "; log in again with `rekey login -i " + s.Who + "`"
	case !isHost:
		e.Advice += "; a host logs in as host/" + s.Who
	}
	if s.Source == SourceEnvironment {
		e.Advice = "the account or the login does not exist, or the key in CONJUR_AUTHN_API_KEY is another one (rotated since?)"
	}
	return e
}

// resemblesKey tells a key with a flaw from a password: nearly all of it are small
// letters and digits, and there are many of them.
func resemblesKey(credential secret.Bytes) bool {
	n := 0
	for _, c := range credential.Reveal() {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			n++
		}
	}
	return n >= 40 && n >= credential.Len()-4
}

// subject reads the login name in the session's access token.
func (s *Session) subject() string {
	text, err := s.Token()
	if err != nil {
		return ""
	}
	var token struct{ Payload string }
	var claims struct{ Sub string }
	if json.Unmarshal(text.Reveal(), &token) != nil {
		return ""
	}
	payload, err := base64.StdEncoding.DecodeString(token.Payload)
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Sub
}

// Token is a fresh access token, as JSON.
func (s *Session) Token() (secret.Bytes, error) {
	token, err := s.freshToken()
	return token, s.refusedLogin(err, s.key)
}

// ChangePassword sets the password of the session's user. It takes the API key.
func (s *Session) ChangePassword(password string) error {
	if s.key.Len() == 0 {
		return s.needsKey("change its password")
	}
	_, err := s.API.ChangeUserPassword(s.Who, s.key.RevealString(), password)
	return s.Explain(err, Task{Do: "change the password of", On: string(s.Role())})
}

func (s *Session) needsKey(to string) error {
	e := fault.New(fault.Invalid, "'%s' is logged in by a token, with which nobody can %s", s.Who, to)
	e.Advice = "log in with the key: `rekey login -i " + s.Who + "`"
	return e
}
