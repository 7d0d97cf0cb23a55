// Package azuretest starts endpoints for tests that do what Microsoft's token endpoint and
// Graph do. It imports rotation/target/azure and rotation/target/targettest.
package azuretest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"rekey/internal/rotation/target/targettest"
)

// Tenant is the one that the endpoint knows.
const Tenant = "contoso.onmicrosoft.com"

// Cloud is the token endpoint and Microsoft Graph as far as they are needed: applications
// of one tenant with their secrets, and tokens that were granted to them.
type Cloud struct {
	sync.Mutex
	URL  string
	Apps map[string]*App                             // by client id
	Say  func(path string) (status int, body string) // instead of an answer; status 0: not this time

	tokens map[string]*App
	site   *targettest.Site
}

// App is an application.
type App struct {
	ID      string
	Secrets []*Key
	Owners  map[string]bool // by client id
	Delay   int             // how often a new secret is refused until it is known
}

// Key is a secret of one.
type Key struct {
	ID, Secret, name string
	End              string
	refusals         int // that are left until it is known
}

// Start starts one.
func Start(site *targettest.Site) (*Cloud, error) {
	c := &Cloud{Apps: map[string]*App{}, tokens: map[string]*App{}, site: site}
	var err error
	c.URL, err = site.HTTPS(c)
	return c, err
}

// Register makes an application with a secret. The caller holds the cloud.
func (c *Cloud) Register() *App {
	a := &App{ID: uuid.NewString(), Owners: map[string]bool{}}
	a.Make("by hand", 0)
	c.Apps[a.ID] = a
	return a
}

// Make makes a secret. The caller holds the cloud.
func (a *App) Make(name string, refusals int) *Key {
	k := &Key{ID: uuid.NewString(), Secret: "8Q~" + rand.Text() + "._-~" + strings.ToLower(rand.Text()), name: name, refusals: refusals}
	a.Secrets = append(a.Secrets, k)
	return k
}

func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.Lock()
	defer c.Unlock()
	if c.Say != nil {
		if status, text := c.Say(r.URL.Path); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
			return
		}
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
		c.login(w, r)
		return
	}
	c.graph(w, r, body)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client tells
}

// login is RFC 6749, section 4.4, with the errors that Microsoft documents.
func (c *Cloud) login(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, name string, code int) {
		answer(w, status, map[string]any{"error": name, "error_description": fmt.Sprintf("AADSTS%d: %s", code, r.FormValue("client_secret")), "error_codes": []int{code}})
	}
	a := c.Apps[r.PostFormValue("client_id")]
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != c.URL+"/.default" || r.URL.RawQuery != "":
		refuse(400, "invalid_request", 900144)
	case r.URL.Path != "/"+Tenant+"/oauth2/v2.0/token":
		refuse(400, "invalid_request", 90002)
	case a == nil:
		refuse(400, "unauthorized_client", 700016)
	default:
		for _, k := range a.Secrets {
			if k.Secret != r.PostFormValue("client_secret") {
				continue
			}
			if k.refusals > 0 {
				k.refusals--
				break
			}
			token := "eyJ0." + rand.Text()
			c.tokens[token] = a
			answer(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": token})
			return
		}
		refuse(401, "invalid_client", 7000215)
	}
}

func (c *Cloud) graph(w http.ResponseWriter, r *http.Request, body []byte) {
	refuse := func(status int, code string) {
		answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": r.Header.Get("Authorization")}})
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	by := c.tokens[token]
	rest, ok := strings.CutPrefix(r.URL.Path, "/v1.0/applications(appId='")
	id, what, _ := strings.Cut(rest, "')")
	a := c.Apps[id]
	switch {
	case by == nil:
		refuse(401, "InvalidAuthenticationToken")
		return
	case !ok || a == nil:
		refuse(404, "Request_ResourceNotFound")
		return
	case r.Method == http.MethodGet && what == "" && r.URL.Query().Get("$select") == "passwordCredentials":
		all := []map[string]any{}
		for _, k := range a.Secrets {
			all = append(all, map[string]any{"keyId": k.ID, "displayName": k.name, "hint": k.Secret[:3], "secretText": nil})
		}
		answer(w, 200, map[string]any{"passwordCredentials": all})
		return
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		refuse(400, "Request_BadRequest")
		return
	case !a.Owners[by.ID]:
		refuse(403, "Authorization_RequestDenied")
		return
	}
	var request struct {
		KeyID string `json:"keyId"`
		Made  struct {
			DisplayName string `json:"displayName"`
			EndDateTime string `json:"endDateTime"`
		} `json:"passwordCredential"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(400, "Request_BadRequest")
		return
	}
	switch what {
	case "/addPassword":
		k := a.Make(request.Made.DisplayName, a.Delay)
		k.End = request.Made.EndDateTime
		answer(w, 200, map[string]any{"keyId": k.ID, "displayName": k.name, "secretText": k.Secret, "hint": k.Secret[:3]})
	case "/removePassword":
		before := len(a.Secrets)
		a.Secrets = slices.DeleteFunc(a.Secrets, func(k *Key) bool { return k.ID == request.KeyID })
		if len(a.Secrets) == before {
			refuse(400, "Request_BadRequest")
			return
		}
		w.WriteHeader(204)
	default:
		refuse(404, "Request_ResourceNotFound")
	}
}
