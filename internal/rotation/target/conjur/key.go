package conjur

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// keys are what servers hand out, now and in the past.
var keys = regexp.MustCompile(`^[!-~]{8,256}$`)

// Apply is part of target.Target: it has a key made. Handed one that was, it only sees
// whether that works.
func (r *role) Apply(ctx context.Context, current, next target.Credential) (target.Credential, error) {
	if next[target.Main].Len() > 0 {
		err := r.Probe(ctx, next)
		if err != nil && target.ClassOf(err) == target.AuthFailed {
			return nil, target.Errorf(target.Refused, err, "the API key has been replaced, and cannot be brought back")
		}
		return next, err
	}
	name := next[request]
	if name.Len() == 0 {
		return nil, target.Errorf(target.Refused, nil, "the rotation has no name")
	}
	var made secret.Bytes
	var err error
	if r.admin != nil {
		made, err = r.asAdmin(ctx, name)
	} else {
		made, err = r.asItself(ctx, current[target.Main], name)
	}
	if err != nil {
		return nil, err
	}
	return target.Credential{target.Main: made, request: name}, nil
}

// asItself has a key staged. A Conjur does not look at the parameters, which it does not
// know, and replaces the key at once.
func (r *role) asItself(ctx context.Context, current, name secret.Bytes) (secret.Bytes, error) {
	basic, err := r.basic(current)
	if err != nil {
		return secret.Bytes{}, err
	}
	how := r.how(name)
	how.Set("staged", "true")
	return r.rotate(ctx, basic, how)
}

// asAdmin has the key replaced. Asked again by the same name, a rekey gives the same key,
// and a Conjur makes another one.
func (r *role) asAdmin(ctx context.Context, name secret.Bytes) (secret.Bytes, error) {
	token, err := r.enter(ctx)
	if err != nil {
		return secret.Bytes{}, err
	}
	how := r.how(name)
	how.Set("role", roleOf(r.login))
	return r.rotate(ctx, token, how)
}

// enter logs the administrator in, and returns a header that says so.
func (r *role) enter(ctx context.Context) (secret.Bytes, error) {
	token, err := r.authenticate(ctx, *r.admin)
	if err != nil && target.ClassOf(err) == target.AuthFailed {
		// The administrator's key says nothing about the rotated one.
		err = target.Errorf(target.Refused, err, "the administrator %q cannot log in: correct the variables that %s and %s name", r.admin.name, adminUsername, adminKey)
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.FromString(`Token token="` + base64.StdEncoding.EncodeToString(token.Reveal()) + `"`), nil
}

// Rehearse is part of target.Rehearser: the server is asked whether the administrator has
// update on the role. Nobody needs it for the own key.
func (r *role) Rehearse(ctx context.Context, _ target.Credential) (told bool, err error) {
	if r.admin == nil {
		return false, nil
	}
	token, err := r.enter(ctx)
	if err != nil {
		return false, err
	}
	kind, id, _ := strings.Cut(roleOf(r.login), ":")
	path := "/resources/" + url.PathEscape(r.account) + "/" + kind + "/" + url.PathEscape(id)
	status, _, err := r.ask(ctx, http.MethodGet, path, url.Values{"check": {"true"}, "privilege": {"update"}}, token, secret.Bytes{})
	switch {
	case err != nil:
		return false, cloud.Unchanged(err)
	case status/100 == 2:
		return true, nil
	case status == http.StatusForbidden, status == http.StatusNotFound:
		return true, r.forbidden(status)
	case status == http.StatusUnauthorized:
		return false, r.fickle()
	}
	return false, cloud.Unchanged(cloud.Failure(cloud.Address(r.server), status))
}

// forbidden and fickle are refusals of what the administrator asks.
func (r *role) forbidden(status int) error {
	return target.Errorf(target.Refused, nil, "%s does not let it rotate the key of %s (status %d): see whether that is there, and grant update on it to the administrator", cloud.Address(r.server), roleOf(r.login), status)
}

func (r *role) fickle() error {
	return target.Errorf(target.Unreachable, nil, "%s does not take the token that it has just granted", cloud.Address(r.server))
}

// how a key is to be replaced.
func (r *role) how(name secret.Bytes) url.Values {
	how := url.Values{request: {name.RevealString()}}
	if r.grace > 0 {
		how.Set("old_key", seconds(r.grace))
	}
	return how
}

// rotate asks for a key.
func (r *role) rotate(ctx context.Context, authorization secret.Bytes, how url.Values) (secret.Bytes, error) {
	status, body, err := r.ask(ctx, http.MethodPut, "/authn/"+url.PathEscape(r.account)+"/api_key", how, authorization, secret.Bytes{})
	at := cloud.Address(r.server)
	switch {
	case err != nil:
		return secret.Bytes{}, err
	case status == http.StatusOK && keys.Match(body.Reveal()):
		return body, nil
	case status/100 == 2:
		return secret.Bytes{}, target.Errorf(target.Uncertain, nil, "%s answers without an API key", at)
	case status == http.StatusUnauthorized && r.admin == nil:
		return secret.Bytes{}, target.Errorf(target.AuthFailed, nil, "%s does not accept the API key", at)
	case status == http.StatusUnauthorized:
		return secret.Bytes{}, r.fickle()
	case status == http.StatusForbidden, status == http.StatusNotFound && r.admin != nil:
		return secret.Bytes{}, r.forbidden(status)
	case status == http.StatusMethodNotAllowed:
		return secret.Bytes{}, target.Errorf(target.Refused, nil, "%s has no API key for %s", at, roleOf(r.login))
	}
	return secret.Bytes{}, cloud.Failure(at, status)
}

// Probe is part of target.Target. It is the use that makes a staged key the key.
func (r *role) Probe(ctx context.Context, c target.Credential) error {
	_, err := r.authenticate(ctx, login{r.login, c[target.Main]})
	return err
}

// Retire is part of target.Target. There is no way to end an old key but another rotation:
// the server does it when the time is over that it was told. A candidate that was given up
// is not tried, since that could make it the key; it lapses.
func (r *role) Retire(ctx context.Context, current, old target.Credential) error {
	if _, candidate := old[request]; candidate || r.grace == 0 || old[target.Main].Equal(current[target.Main]) {
		return nil
	}
	err := r.Probe(ctx, old)
	switch {
	case err == nil:
		return target.Errorf(target.Refused, nil, "%s lets the old API key go on until its time is over, or the key is rotated again", cloud.Address(r.server))
	case target.ClassOf(err) == target.AuthFailed:
		return nil
	}
	return err
}
