package azure_test

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
)

const tenant = "contoso.onmicrosoft.com"

// cloud is the token endpoint and Microsoft Graph as far as they are needed: applications
// of one tenant with their secrets, and tokens that were granted to them.
type cloud struct {
	mu     sync.Mutex
	url    string
	apps   map[string]*app
	tokens map[string]*app
	say    func(path string) (status int, body string) // instead of an answer
}

type app struct {
	id      string
	secrets []*key
	owners  map[string]bool // by client id
	delay   int
}

type key struct {
	id, secret, name string
	end              string
	refusals         int // that are left until it is known
}

func newCloud() *cloud { return &cloud{apps: map[string]*app{}, tokens: map[string]*app{}} }

// register makes an application with a secret. The caller holds the cloud.
func (c *cloud) register() *app {
	a := &app{id: uuid.NewString(), owners: map[string]bool{}}
	a.make("by hand", 0)
	c.apps[a.id] = a
	return a
}

func (a *app) make(name string, refusals int) *key {
	k := &key{id: uuid.NewString(), secret: "8Q~" + rand.Text() + "._-~" + strings.ToLower(rand.Text()), name: name, refusals: refusals}
	a.secrets = append(a.secrets, k)
	return k
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.say != nil {
		if status, text := c.say(r.URL.Path); status != 0 {
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
func (c *cloud) login(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, name string, code int) {
		answer(w, status, map[string]any{"error": name, "error_description": fmt.Sprintf("AADSTS%d: %s", code, r.FormValue("client_secret")), "error_codes": []int{code}})
	}
	a := c.apps[r.PostFormValue("client_id")]
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != c.url+"/.default" || r.URL.RawQuery != "":
		refuse(400, "invalid_request", 900144)
	case r.URL.Path != "/"+tenant+"/oauth2/v2.0/token":
		refuse(400, "invalid_request", 90002)
	case a == nil:
		refuse(400, "unauthorized_client", 700016)
	default:
		for _, k := range a.secrets {
			if k.secret != r.PostFormValue("client_secret") {
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

func (c *cloud) graph(w http.ResponseWriter, r *http.Request, body []byte) {
	refuse := func(status int, code string) {
		answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": r.Header.Get("Authorization")}})
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	by := c.tokens[token]
	rest, ok := strings.CutPrefix(r.URL.Path, "/v1.0/applications(appId='")
	id, what, _ := strings.Cut(rest, "')")
	a := c.apps[id]
	switch {
	case by == nil:
		refuse(401, "InvalidAuthenticationToken")
		return
	case !ok || a == nil:
		refuse(404, "Request_ResourceNotFound")
		return
	case r.Method == http.MethodGet && what == "" && r.URL.Query().Get("$select") == "passwordCredentials":
		all := []map[string]any{}
		for _, k := range a.secrets {
			all = append(all, map[string]any{"keyId": k.id, "displayName": k.name, "hint": k.secret[:3], "secretText": nil})
		}
		answer(w, 200, map[string]any{"passwordCredentials": all})
		return
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		refuse(400, "Request_BadRequest")
		return
	case !a.owners[by.id]:
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
		k := a.make(request.Made.DisplayName, a.delay)
		k.end = request.Made.EndDateTime
		answer(w, 200, map[string]any{"keyId": k.id, "displayName": k.name, "secretText": k.secret, "hint": k.secret[:3]})
	case "/removePassword":
		before := len(a.secrets)
		a.secrets = slices.DeleteFunc(a.secrets, func(k *key) bool { return k.id == request.KeyID })
		if len(a.secrets) == before {
			refuse(400, "Request_BadRequest")
			return
		}
		w.WriteHeader(204)
	default:
		refuse(404, "Request_ResourceNotFound")
	}
}
