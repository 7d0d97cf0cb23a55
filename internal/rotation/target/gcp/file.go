package gcp

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// file is a key file. What else is in it is for those who use it.
type file struct {
	Type    string `json:"type"`
	Email   string `json:"client_email"`
	KeyID   string `json:"private_key_id"`
	Private string `json:"private_key"`

	key *rsa.PrivateKey
}

var (
	emails = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*@[A-Za-z0-9][A-Za-z0-9.-]*$`)
	keyIDs = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)
)

var errFile = errors.New("it is not the key file of a service account, in JSON, as Google makes it")

// read reads a key file. Its errors hold nothing of it.
func read(text secret.Bytes) (*file, error) {
	var f file
	if json.Unmarshal(text.Reveal(), &f) != nil || f.Type != "service_account" || !emails.MatchString(f.Email) || !keyIDs.MatchString(f.KeyID) {
		return nil, errFile
	}
	block, _ := pem.Decode([]byte(f.Private))
	if block == nil {
		return nil, errFile
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errFile
	}
	var ok bool
	if f.key, ok = key.(*rsa.PrivateKey); !ok {
		return nil, errFile
	}
	return &f, nil
}

// validity is how long an assertion is good for: long enough for a clock that is a little
// off, and no longer.
const validity = 10 * time.Minute

// assertion is a signed claim to be the account (RFC 7523), for an audience.
func (f *file) assertion(audience string, now time.Time) (string, error) {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic("strings and numbers cannot be written as JSON: " + err.Error()) // they always can
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": f.KeyID}) + "." + part(map[string]any{
		"iss": f.Email, "scope": "https://www.googleapis.com/auth/cloud-platform", "aud": audience, "iat": now.Unix(), "exp": now.Add(validity).Unix(),
	})
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, sum[:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// login exchanges an assertion for a token.
func (a *account) login(ctx context.Context, f *file) (secret.Bytes, error) {
	address, at := cloud.Address(a.token), a.token.JoinPath("token")
	assertion, err := f.assertion(at.String(), time.Now())
	if err != nil {
		return secret.Bytes{}, target.Errorf(target.Refused, err, "the private key in the key file cannot sign")
	}
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	answer, err := a.client.JSON(ctx, cloud.Request{Method: http.MethodPost, URL: at, Form: url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion},
	}}, &granted)
	switch {
	case err != nil:
		return secret.Bytes{}, cloud.Unchanged(err)
	case !answer.OK():
		return secret.Bytes{}, cloud.Unchanged(loginFailure(address, answer))
	case granted.AccessToken == "":
		return secret.Bytes{}, target.Errorf(target.Refused, nil, "%s grants no token: see whether it is the right endpoint", address)
	}
	return secret.FromString(granted.AccessToken), nil
}

// loginFailure classifies a refusal (RFC 6749, section 5.2). Its description stays out.
func loginFailure(address string, answer cloud.Answer) error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(answer.Refusal, &said) != nil || said.Error != "invalid_grant" {
		return cloud.Failure(address, answer.Status)
	}
	if strings.Contains(said.Description, "reasonable timeframe") {
		return target.Errorf(target.Refused, nil, "%s takes the login for one of another time: correct the clock of this server", address)
	}
	return target.Errorf(target.AuthFailed, nil, "%s does not accept the key", address)
}
