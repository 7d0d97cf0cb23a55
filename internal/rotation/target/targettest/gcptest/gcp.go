// Package gcptest starts endpoints for tests that do what Google's token endpoint and IAM do.
// It imports rotation/target/targettest.
package gcptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"rekey/internal/rotation/target/targettest"
)

// Cloud is Google's token endpoint and IAM as far as they are needed: service accounts
// with their keys, and assertions that must be signed by one of them.
type Cloud struct {
	sync.Mutex
	URL string
	Say func(r *http.Request) (status int, body string) // instead of an answer; status 0: not this time

	site     *targettest.Site
	pairs    []*rsa.PrivateKey // that are used over and over: to make one takes long
	accounts map[string]*Account
	tokens   map[string]string // email by token
}

// Account is a service account.
type Account struct {
	Email    string
	Keys     []*Key
	Managers map[string]bool // by email
	Delay    int             // how often a new key is refused until it is known
}

// Key is a key of one.
type Key struct {
	ID       string
	Pair     *rsa.PrivateKey
	made     time.Time
	refusals int // that are left until it is known
}

// Start starts one.
func Start(site *targettest.Site) (*Cloud, error) {
	c := &Cloud{accounts: map[string]*Account{}, tokens: map[string]string{}, site: site}
	for range 6 {
		pair, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		c.pairs = append(c.pairs, pair)
	}
	var err error
	c.URL, err = site.HTTPS(c)
	return c, err
}

// Create makes a service account with a key. The caller holds the cloud.
func (c *Cloud) Create() *Account {
	a := &Account{Email: strings.ToLower(rand.Text()) + "@project.iam.gserviceaccount.com", Managers: map[string]bool{}}
	c.accounts[a.Email] = a
	c.Make(a, 0)
	return a
}

// Make makes a key. The caller holds the cloud.
func (c *Cloud) Make(a *Account, refusals int) *Key {
	id := make([]byte, 20)
	_, _ = rand.Read(id) // it never fails
	k := &Key{ID: hex.EncodeToString(id), Pair: c.pairs[len(a.Keys)%(len(c.pairs)-1)], made: time.Now().Truncate(time.Second), refusals: refusals}
	a.Keys = append(a.Keys, k)
	return k
}

// Wrong is a pair that no key has.
func (c *Cloud) Wrong() *rsa.PrivateKey { return c.pairs[len(c.pairs)-1] }

// File is a key file. Its endpoints are not to be believed.
func File(a *Account, id string, pair *rsa.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		panic(err)
	}
	text, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": "project", "private_key_id": id, "client_email": a.Email, "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"auth_uri":    "https://evil.example/auth", "token_uri": "https://evil.example/token", "universe_domain": "evil.example",
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	return text
}

func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.Lock()
	defer c.Unlock()
	if c.Say != nil {
		if status, text := c.Say(r); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
			return
		}
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if r.URL.Path == "/token" {
		c.login(w, r)
		return
	}
	c.iam(w, r, body)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client tells
}

// login is RFC 7523 as Google has it.
func (c *Cloud) login(w http.ResponseWriter, r *http.Request) {
	refuse := func(description string) {
		answer(w, 400, map[string]string{"error": "invalid_grant", "error_description": description})
	}
	if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		answer(w, 400, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	parts := strings.Split(r.PostFormValue("assertion"), ".")
	if len(parts) != 3 {
		refuse("Invalid JWT")
		return
	}
	var header struct{ Alg, Typ, Kid string }
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	for i, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			refuse("Invalid JWT")
			return
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	a := c.accounts[claims.Iss]
	now := time.Now()
	switch {
	case err != nil || header.Alg != "RS256" || header.Typ != "JWT" || claims.Aud != c.URL+"/token" || !strings.HasSuffix(claims.Scope, "/auth/cloud-platform"):
		refuse("Invalid JWT")
		return
	case now.Sub(time.Unix(claims.Iat, 0)).Abs() > time.Minute || claims.Exp <= now.Unix() || claims.Exp-claims.Iat > 3600:
		refuse("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
		return
	case a == nil:
		refuse("Invalid grant: account not found")
		return
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range a.Keys {
		if k.ID != header.Kid || rsa.VerifyPKCS1v15(&k.Pair.PublicKey, crypto.SHA256, sum[:], signature) != nil {
			continue
		}
		if k.refusals > 0 {
			k.refusals--
			break
		}
		token := "ya29." + rand.Text()
		c.tokens[token] = a.Email
		answer(w, 200, map[string]any{"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
		return
	}
	refuse("Invalid JWT Signature. " + r.PostFormValue("assertion"))
}

func (c *Cloud) iam(w http.ResponseWriter, r *http.Request, body []byte) {
	refuse := func(code int, status string) {
		answer(w, code, map[string]any{"error": map[string]any{"code": code, "status": status, "message": r.Header.Get("Authorization")}})
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	by := c.tokens[token]
	rest, ok := strings.CutPrefix(r.URL.Path, "/v1/projects/-/serviceAccounts/")
	email, what, _ := strings.Cut(rest, "/keys")
	a := c.accounts[email]
	switch {
	case by == "":
		refuse(401, "UNAUTHENTICATED")
		return
	case !ok || a == nil:
		refuse(404, "NOT_FOUND")
		return
	}
	name := func(k *Key) string { return "projects/project/serviceAccounts/" + a.Email + "/keys/" + k.ID }
	switch {
	case r.Method == http.MethodGet && what == "" && r.URL.Query().Get("keyTypes") == "USER_MANAGED":
		all := []map[string]any{}
		for _, k := range a.Keys {
			all = append(all, map[string]any{"name": name(k), "validAfterTime": k.made.UTC().Format(time.RFC3339), "validBeforeTime": "9999-12-31T23:59:59Z", "keyOrigin": "GOOGLE_PROVIDED", "keyType": "USER_MANAGED"})
		}
		answer(w, 200, map[string]any{"keys": all})
	case !a.Managers[by]:
		refuse(403, "PERMISSION_DENIED")
	case r.Method == http.MethodPost && what == "":
		var request struct{ PrivateKeyType, KeyAlgorithm string }
		if json.Unmarshal(body, &request) != nil || request.PrivateKeyType != "TYPE_GOOGLE_CREDENTIALS_FILE" || request.KeyAlgorithm != "KEY_ALG_RSA_2048" {
			refuse(400, "INVALID_ARGUMENT")
			return
		}
		if len(a.Keys) >= 10 {
			refuse(400, "FAILED_PRECONDITION")
			return
		}
		k := c.Make(a, a.Delay)
		answer(w, 200, map[string]any{"name": name(k), "privateKeyType": request.PrivateKeyType, "privateKeyData": base64.StdEncoding.EncodeToString(File(a, k.ID, k.Pair)), "validAfterTime": k.made.UTC().Format(time.RFC3339)})
	case r.Method == http.MethodDelete:
		before := len(a.Keys)
		a.Keys = slices.DeleteFunc(a.Keys, func(k *Key) bool { return "/"+k.ID == what })
		if len(a.Keys) == before {
			refuse(404, "NOT_FOUND")
			return
		}
		answer(w, 200, map[string]any{})
	default:
		refuse(400, "INVALID_ARGUMENT")
	}
}
