package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cyberark/conjur-api-go/conjurapi/authn"
	"github.com/cyberark/conjur-api-go/conjurapi/response"

	"rekey/internal/apikey"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// mayStage refuses to replace keys at a server that would do so at once: there a lost
// answer would be a lost key.
func (i *Identity) mayStage() error {
	if i.stages {
		return nil
	}
	request, err := http.NewRequest(http.MethodGet, i.session.URL+"/openapi.yaml", nil)
	if err != nil {
		return fault.Wrap(err, "asking whether keys are staged")
	}
	answer, err := i.session.API.GetHttpClient().Do(request)
	var description []byte
	if err == nil {
		description, err = response.DataResponse(answer)
	}
	if e := i.session.unreachable(err); e != nil {
		return e
	}
	if err == nil && strings.Contains(string(description), "/api_key:") && strings.Contains(string(description), "name: staged") {
		i.stages = true
		return nil
	}
	if status := i.session.refusedStatus(err); status >= http.StatusInternalServerError {
		return i.session.Explain(err, Task{Do: "ask", On: i.session.URL})
	}
	e := fault.New(fault.NotAllowed, "%s cannot stage API keys, and to replace one at once could lock '%s' out", i.session.URL, i.session.Who)
	e.Advice = "let a person do it with `rekey host rotate-api-key`, and turn the rotation of the key off"
	return e
}

// stage asks for the next key. Asking again for the one that follows the same key gives
// the same one.
func (i *Identity) stage(k kept, plan Upkeep) (secret.Bytes, error) {
	name := hmac.New(sha256.New, k.key.Reveal())
	name.Write([]byte("rekey: the key after this one"))
	parameters := url.Values{"staged": {"true"}, "lapse": {longestLapse}, "request": {hex.EncodeToString(name.Sum(nil))}}
	if plan.OldKey != "" {
		parameters.Set("old_key", plan.OldKey)
	}
	i.session.key = k.key
	next, err := i.session.askForKey(parameters)
	if err == nil {
		if flaw := apikey.Flaw(secret.New(next)); flaw != "" {
			return secret.Bytes{}, fault.New(fault.Unavailable, "%s answers no API key: %s", i.session.URL, flaw)
		}
		return secret.New(next), nil
	}
	return secret.Bytes{}, i.refused(err, k.key)
}

// prove logs in with a key, and returns the one that is current. It is Unauthenticated
// if the key does not work. A staged key is current by that.
func (i *Identity) prove(key secret.Bytes) (secret.Bytes, error) {
	current, err := i.session.API.Login(i.session.Who, key.RevealString())
	if err != nil {
		return secret.Bytes{}, i.refused(err, key)
	}
	if flaw := apikey.Flaw(secret.New(current)); flaw != "" {
		return secret.Bytes{}, fault.New(fault.Unavailable, "%s answers no API key: %s", i.session.URL, flaw)
	}
	return secret.New(current), nil
}

// refused takes only the server's own word for it that a key is wrong.
func (i *Identity) refused(err error, key secret.Bytes) error {
	if e := i.session.unreachable(err); e != nil {
		return e
	}
	if i.session.refusedStatus(err) == http.StatusUnauthorized {
		return i.session.wrongCredential(err, key)
	}
	return i.session.Explain(err, Task{Do: "ask for the key of", On: string(i.session.Role())})
}

// age is how long the key has been the key, by the server's clock; -1 if it does not
// say.
func (i *Identity) age(k kept) (time.Duration, error) {
	request, err := i.session.API.RotateCurrentRoleAPIKeyRequest(k.login, k.key.RevealString())
	if err != nil {
		return 0, fault.Wrap(err, "asking for the age of the key")
	}
	request.Method = http.MethodGet
	answer, err := i.session.API.GetHttpClient().Do(request)
	if err != nil {
		return 0, i.refused(err, k.key)
	}
	date := answer.Header.Get("Date")
	body, err := response.DataResponse(answer)
	if err != nil {
		return 0, i.refused(err, k.key)
	}
	var said struct{ Timestamp string }
	if err := json.Unmarshal(body, &said); err != nil {
		return -1, nil // the server is one that does not say
	}
	since, err := time.Parse(time.RFC3339, said.Timestamp)
	if err != nil {
		return -1, nil
	}
	now, err := http.ParseTime(date)
	if err != nil {
		now = time.Now()
	}
	return max(0, now.Sub(since)), nil
}

// Token buys an access token, as JSON, with the key in the place; if that does not work,
// after a look at what has become of it.
func (i *Identity) Token() (secret.Bytes, error) {
	token, err := i.buy()
	if !fault.Is(err, fault.Unauthenticated) {
		return token, err
	}
	if done, kept := i.Keep(Upkeep{}); kept != nil || !done.Found {
		if fault.Is(kept, fault.Unavailable) {
			return secret.Bytes{}, kept
		}
		return secret.Bytes{}, err
	}
	return i.buy()
}

func (i *Identity) buy() (secret.Bytes, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for {
		login, key, err := i.keep.Read()
		if err != nil {
			return secret.Bytes{}, err
		}
		i.session.Who = login
		token, err := i.session.API.Authenticate(authn.LoginPair{Login: login, APIKey: key.RevealString()})
		if err == nil {
			return secret.New(token), nil
		}
		err = i.refused(err, key)
		if fault.Is(err, fault.Unauthenticated) {
			if _, now, reread := i.keep.Read(); reread == nil && !now.Equal(key) {
				continue // another process has replaced it just now
			}
		}
		return secret.Bytes{}, err
	}
}
