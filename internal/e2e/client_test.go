package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// client sends requests as one role, on connections of its own.
type client struct {
	url   string
	token string // of the Authorization header, "" for none
	http  *http.Client
}

func newClient(base string) *client {
	return &client{url: base, http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 8},
		Timeout:   2 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// answer is a response that has been read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// send sends a request; headers are pairs of name and value.
func (c *client) send(method, path string, body []byte, headers ...string) (answer, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequest(method, c.url+path, reader)
	if err != nil {
		return answer{}, err
	}
	if c.token != "" {
		request.Header.Set("Authorization", c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return c.do(request)
}

func (c *client) do(request *http.Request) (answer, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

// must sends a request and wants a status.
func (c *client) must(t testing.TB, want int, method, path, body string, headers ...string) answer {
	t.Helper()
	got, err := c.send(method, path, []byte(body), headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if got.status != want {
		t.Fatalf("%s %s: %v, want %d", method, path, got, want)
	}
	return got
}

// authenticate trades a key for a token. It is no error if the server refuses.
func (c *client) authenticate(login, key string) (answer, error) {
	return c.send("POST", "/authn/"+account+"/"+url.PathEscape(login)+"/authenticate", []byte(key))
}

// as returns a client with a token of a role.
func (c *client) as(t testing.TB, login, key string) *client {
	t.Helper()
	got, err := c.authenticate(login, key)
	if err != nil || got.status != http.StatusOK {
		t.Fatalf("%s does not authenticate: %v, %v", login, got, err)
	}
	fresh := newClient(c.url)
	fresh.token = tokenHeader(got.body)
	return fresh
}

func tokenHeader(token string) string {
	return `Token token="` + base64.StdEncoding.EncodeToString([]byte(token)) + `"`
}

func basic(login, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

// load loads a policy and returns the API keys that it made, by login.
func (c *client) load(t testing.TB, method, policy, text string) map[string]string {
	t.Helper()
	got := c.must(t, http.StatusCreated, method, "/policies/"+account+"/policy/"+policy, text)
	keys, err := createdKeys(got.body)
	if err != nil {
		t.Fatalf("%v in %v", err, got)
	}
	return keys
}

// createdKeys reads the API keys in the answer to a policy load, by login.
func createdKeys(body string) (map[string]string, error) {
	var loaded struct {
		CreatedRoles map[string]struct {
			APIKey string `json:"api_key"`
		} `json:"created_roles"`
	}
	if err := json.Unmarshal([]byte(body), &loaded); err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for id, role := range loaded.CreatedRoles {
		_, rest, _ := strings.Cut(id, ":")
		kind, name, _ := strings.Cut(rest, ":")
		if kind != "user" {
			name = kind + "/" + name
		}
		keys[name] = role.APIKey
	}
	return keys, nil
}

type resource struct {
	ID   string
	text string // as the server has sent it
}

func (c *client) resources(t testing.TB) []resource {
	t.Helper()
	var raw []json.RawMessage
	all := c.must(t, http.StatusOK, "GET", "/resources/"+account+"?limit=10000", "")
	if err := json.Unmarshal([]byte(all.body), &raw); err != nil {
		t.Fatal(err)
	}
	list := make([]resource, len(raw))
	for i := range raw {
		list[i].text = string(raw[i])
		if err := json.Unmarshal(raw[i], &list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// listing is everything that an API client can see of the account: resources with
// their permissions, annotations, versions and restrictions, and the members of roles.
func (c *client) listing(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, r := range c.resources(t) {
		text.WriteString(r.text + "\n")
		parts := strings.SplitN(r.ID, ":", 3)
		if slices.Contains([]string{"user", "host", "group", "layer", "policy", "host_factory"}, parts[1]) {
			text.WriteString(c.must(t, http.StatusOK, "GET", "/roles/"+parts[0]+"/"+parts[1]+"/"+url.PathEscape(parts[2]), "").body + "\n")
		}
		if parts[1] == "variable" {
			got, err := c.send("GET", "/secrets/"+parts[0]+"/variable/"+url.PathEscape(parts[2]), nil)
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(r.ID + " = " + got.body + "\n")
		}
	}
	return text.String()
}

// unchanged compares two listings.
func unchanged(t testing.TB, before, after string) {
	t.Helper()
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			t.Errorf("this is gone: %s", line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("this is new: %s", line)
		}
	}
}
