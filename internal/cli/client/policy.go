package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/response"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// modes are the methods of the three ways to load a policy.
var modes = map[string]conjurapi.PolicyMode{
	"load": conjurapi.PolicyModePost, "update": conjurapi.PolicyModePatch, "replace": conjurapi.PolicyModePut,
}

// Loaded is the answer to a policy load, in the shape that scripts know.
type Loaded struct {
	CreatedRoles map[string]*CreatedRole `json:"created_roles"`
	Version      int                     `json:"version"`
	Warnings     []string                `json:"-"`
}

// CreatedRole is a user or host that a load has made.
type CreatedRole struct {
	ID     string `json:"id"`
	APIKey string `json:"api_key,omitempty"`
}

// HideKeys takes the API keys out.
func (l *Loaded) HideKeys() {
	for _, role := range l.CreatedRoles {
		role.APIKey = ""
	}
}

// Report is what loading a policy would do.
type Report struct {
	Created, Deleted struct{ Items []Item }
	Updated          struct{ Before, After struct{ Items []Item } }
	Errors           []struct {
		Line, Column int
		Message      string
	}
	Warnings []string
	Values   struct {
		Count     int
		Variables []string
	} `json:"deleted_values"`
	Text []byte `json:"-"` // as the server wrote it
}

// Item is a resource in a report. Roles have Permissions, others Permitted.
type Item struct {
	Identifier, Owner      string
	Annotations            map[string]string
	Permissions, Permitted map[string][]string
	Members, Memberships   []string
	RestrictedTo           []string `json:"restricted_to"`
}

// Load loads a policy: mode is load, update or replace.
func (s *Session) Load(mode string, branch ident.ID, text string) (*Loaded, error) {
	body, err := s.Get(s.API.LoadPolicyRequest(modes[mode], string(branch), strings.NewReader(text), false))
	if err != nil {
		return nil, s.Explain(err, loadTask(mode, branch))
	}
	var answer struct {
		Loaded
		Warnings []string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fault.Wrap(err, "reading what was loaded")
	}
	answer.Loaded.Warnings = answer.Warnings
	return &answer.Loaded, nil
}

// Rehearse asks what Load would do. If the policy cannot be loaded, there is both a
// report and an error.
func (s *Session) Rehearse(mode string, branch ident.ID, text string) (*Report, error) {
	body, err := s.Get(s.API.LoadPolicyRequest(modes[mode], string(branch), strings.NewReader(text), true))
	var refused *response.ConjurError
	if errors.As(err, &refused) && refused.Code == http.StatusUnprocessableEntity && s.wire.refused != nil {
		body, err = s.wire.refused.body, nil
	}
	if err != nil {
		return nil, s.Explain(err, loadTask(mode, branch))
	}
	r := &Report{Text: body}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fault.Wrap(err, "reading what would be loaded")
	}
	if len(r.Errors) == 0 {
		return r, nil
	}
	first := r.Errors[0]
	message, advice, _ := strings.Cut(strings.TrimSpace(first.Message), "\n")
	return r, &fault.Error{Kind: fault.PolicyInvalid, Message: message, Advice: advice, Line: first.Line, Column: first.Column}
}

// PolicyVersion is a load of a policy. The address is null if nobody sent it over HTTP.
type PolicyVersion struct {
	Version   int
	CreatedAt string `json:"created_at"`
	Role      string
	ClientIP  *string `json:"client_ip"`
	SHA256    string  `json:"policy_sha256"`
}

// PolicyVersions has the loads of a policy that are kept, oldest first, each as the
// server describes it: a PolicyVersion with its text.
func (s *Session) PolicyVersions(policy ident.ID) ([]json.RawMessage, error) {
	type described struct {
		Versions []json.RawMessage `json:"policy_versions"`
	}
	path := "/resources/" + url.PathEscape(policy.Account()) + "/policy/" + url.PathEscape(policy.Identifier())
	found, err := ask[described](s, "GET", path, nil, Task{Do: "look at", On: string(policy), Privilege: "read"})
	if found.Is.Versions == nil {
		found.Is.Versions = []json.RawMessage{} // a list all the same
	}
	return found.Is.Versions, err
}

// LoadedText is the text of a load (parameter version) or how two differ (parameter diff).
func (s *Session) LoadedText(policy ident.ID, parameter, value string) ([]byte, error) {
	path := "/policies/" + url.PathEscape(policy.Account()) + "/policy/" + url.PathEscape(policy.Identifier())
	text, err := s.Get(http.NewRequest(http.MethodGet, s.URL+path+"?"+url.Values{parameter: {value}}.Encode(), nil))
	if err != nil {
		return nil, s.Explain(err, Task{Do: "look at", On: string(policy), Privilege: "read"})
	}
	return text, nil
}

func loadTask(mode string, branch ident.ID) Task {
	privilege := map[string]string{"load": "create", "update": "update", "replace": "update"}[mode]
	return Task{Do: mode + " the policy", On: string(branch), Privilege: privilege}
}
