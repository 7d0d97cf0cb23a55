package conjur

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// ask makes a request, and reads the answer. It fails with an Uncertain error when the
// request may have arrived.
func (r *role) ask(ctx context.Context, method, path string, parameters url.Values, authorization, body secret.Bytes) (int, secret.Bytes, error) {
	u := strings.TrimSuffix(r.server.String(), "/") + path
	if len(parameters) > 0 {
		u += "?" + parameters.Encode()
	}
	q, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body.Reveal()))
	if err != nil {
		return 0, secret.Bytes{}, target.Errorf(target.Refused, err, "the request to %s cannot be made", cloud.Address(r.server))
	}
	q.Header.Set("User-Agent", cloud.Agent)
	if body.Len() > 0 {
		q.Header.Set("Content-Type", "text/plain")
	}
	if authorization.Len() > 0 {
		q.Header.Set("Authorization", authorization.RevealString())
	}
	answer, err := r.client.Do(q)
	if err != nil {
		return 0, secret.Bytes{}, err
	}
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, secret.New(text), err // it is all there already
}

// authenticate is an access token for a login name and its key.
func (r *role) authenticate(ctx context.Context, l login) (secret.Bytes, error) {
	if err := sound(l.key); err != nil {
		return secret.Bytes{}, err
	}
	path := "/authn/" + url.PathEscape(r.account) + "/" + url.PathEscape(l.name) + "/authenticate"
	status, token, err := r.ask(ctx, http.MethodPost, path, nil, secret.Bytes{}, l.key)
	at := cloud.Address(r.server)
	switch {
	case err != nil:
		return secret.Bytes{}, cloud.Unchanged(err)
	case status == http.StatusOK && bytes.HasPrefix(token.Reveal(), []byte("{")):
		return token, nil
	case status == http.StatusOK:
		return secret.Bytes{}, target.Errorf(target.Refused, nil, "%s answers without an access token: see whether variable %s is right", at, address)
	case status == http.StatusUnauthorized:
		return secret.Bytes{}, target.Errorf(target.AuthFailed, nil, "%s does not accept the API key of %q", at, l.name)
	}
	return secret.Bytes{}, cloud.Unchanged(cloud.Failure(at, status))
}

// sound refuses what is no key, so that it is not sent.
func sound(key secret.Bytes) error {
	switch {
	case key.Len() == 0:
		return target.Errorf(target.Refused, nil, "the API key has no value: set it")
	case !keys.Match(key.Reveal()):
		return target.Errorf(target.Refused, nil, "the variable does not hold an API key, which has neither blanks nor line breaks: set it without")
	}
	return nil
}

// basic is a header that proves who asks (RFC 7617).
func (r *role) basic(key secret.Bytes) (secret.Bytes, error) {
	if err := sound(key); err != nil {
		return secret.Bytes{}, err
	}
	text := append([]byte(r.login+":"), key.Reveal()...)
	return secret.FromString("Basic " + base64.StdEncoding.EncodeToString(text)), nil
}

// seconds is a time in ISO 8601, at least one second.
func seconds(d time.Duration) string {
	return "PT" + strconv.FormatInt(int64(max(d, time.Second)/time.Second), 10) + "S"
}
