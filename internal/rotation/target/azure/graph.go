package azure

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// token logs in by client credentials (RFC 6749, section 4.4).
func (a *application) token(ctx context.Context, id string, key secret.Bytes) (secret.Bytes, error) {
	if key.Len() == 0 {
		return secret.Bytes{}, target.Errorf(target.Refused, nil, "the client secret has no value: set it")
	}
	scope := *a.graph
	scope.Path = "/.default"
	request := cloud.Request{Method: http.MethodPost, URL: a.login.JoinPath(a.tenant, "oauth2/v2.0/token"), Form: url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {key.RevealString()}, "scope": {scope.String()},
	}}
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	answer, err := a.client.JSON(ctx, request, &granted)
	switch {
	case err != nil:
		return secret.Bytes{}, cloud.Unchanged(err)
	case !answer.OK():
		return secret.Bytes{}, cloud.Unchanged(loginFailure(cloud.Address(a.login), answer))
	case granted.AccessToken == "":
		return secret.Bytes{}, target.Errorf(target.Refused, nil, "%s grants no token: see whether it is the right endpoint", cloud.Address(a.login))
	}
	return secret.FromString(granted.AccessToken), nil
}

// The error codes (AADSTS...) of secrets that are wrong, or over.
var wrongSecret = []int{7000215, 7000222}

// loginFailure classifies a refusal (RFC 6749, section 5.2). Its description stays out.
func loginFailure(address string, answer cloud.Answer) error {
	var said struct {
		Error string `json:"error"`
		Codes []int  `json:"error_codes"`
	}
	status := answer.Status
	if json.Unmarshal(answer.Refusal, &said) != nil {
		return cloud.Failure(address, status)
	}
	code := 0
	if len(said.Codes) > 0 {
		code = said.Codes[0]
	}
	switch {
	case said.Error == "invalid_client" && (code == 0 || slices.Contains(wrongSecret, code)):
		return target.Errorf(target.AuthFailed, nil, "%s does not accept the client secret", address)
	case said.Error == "temporarily_unavailable":
		return target.Errorf(target.Unreachable, nil, "%s cannot do it now", address)
	case status/100 == 4 && status != http.StatusTooManyRequests && code != 0:
		return target.Errorf(target.Refused, nil, "%s refuses (AADSTS%d): see whether tenant and client id are right and the application is enabled", address, code)
	}
	return cloud.Failure(address, status)
}

// list are the application's secrets, without their text.
func (a *application) list(ctx context.Context, token secret.Bytes) ([]password, error) {
	var all struct {
		Passwords *[]password `json:"passwordCredentials"`
	}
	if err := a.ask(ctx, token, http.MethodGet, "?$select=passwordCredentials", nil, &all); err != nil {
		return nil, cloud.Unchanged(err)
	}
	if all.Passwords == nil {
		return nil, target.Errorf(target.Refused, nil, "%s does not list the secrets of the application: see whether it is the right endpoint", cloud.Address(a.graph))
	}
	return *all.Passwords, nil
}

func (a *application) remove(ctx context.Context, token secret.Bytes, id string) error {
	return a.ask(ctx, token, http.MethodPost, "/removePassword", map[string]string{"keyId": id}, nil)
}

// ask makes a request about the application to Graph. What follows is a path or a query.
func (a *application) ask(ctx context.Context, token secret.Bytes, method, what string, body, result any) error {
	u, err := a.graph.Parse("/v1.0/applications(appId='" + a.id + "')" + what)
	if err != nil {
		return target.Errorf(target.Refused, err, "the request cannot be made")
	}
	answer, err := a.client.JSON(ctx, cloud.Request{Method: method, URL: u, JSON: body, Bearer: token}, result)
	if err != nil || answer.OK() {
		return err
	}
	address, status := cloud.Address(a.graph), answer.Status
	var said struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(answer.Refusal, &said) != nil {
		return cloud.Failure(address, status)
	}
	switch {
	case said.Error.Code == "Authorization_RequestDenied" || status == http.StatusForbidden:
		return target.Errorf(target.Refused, nil, "%s does not allow it: grant Application.ReadWrite.OwnedBy (application permission, with admin consent) and make the application that asks an owner of %s", address, a.id)
	case strings.HasPrefix(said.Error.Code, "CredentialInvalidLifetime"):
		return target.Errorf(target.Refused, nil, "%s makes no secret that is good for so long: the tenant has a policy. Give annotation %s, longer than the ttl and the grace together", address, lifetime)
	case strings.HasPrefix(said.Error.Code, "CredentialTypeNotAllowed"):
		return target.Errorf(target.Refused, nil, "%s makes no secret: a policy of the tenant allows none", address)
	case status == http.StatusNotFound:
		return target.Errorf(target.Refused, nil, "%s knows no application %s in the tenant", address, a.id)
	case status == http.StatusUnauthorized:
		return target.Errorf(target.Unreachable, nil, "%s does not take the token that was just granted", address)
	case status == http.StatusConflict || said.Error.Code == "Directory_ConcurrencyViolation":
		return target.Errorf(target.Unreachable, nil, "%s cannot do it now: somebody else changes the application", address)
	}
	return cloud.Failure(address, status)
}
