// Package gcp rotates a key of a service account of Google Cloud: kind
// gcp/service-account-key.
//
// The rotated variable holds the whole key file, in JSON, as Google makes it; whose key it
// is stands in there. The service account changes its own keys, for which it needs
// roles/iam.serviceAccountKeyAdmin on itself; or another one does, whose key file is in
// the variable that annotation admin-key names.
//
// Annotations token-endpoint and iam-endpoint name private endpoints; ca and lost-keys are
// those of package cloud. What the key file says about endpoints is not followed: whoever
// writes it does not decide where the server connects to.
//
// It imports target, cloud and secret.
package gcp

import (
	"cmp"
	"net/url"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

const (
	tokenEndpoint = "token-endpoint"
	iamEndpoint   = "iam-endpoint"
	adminKey      = "admin-key"
)

// Kind is gcp/service-account-key.
func Kind() target.Kind {
	return cloud.Kind{
		Kind: "gcp/service-account-key",
		Settings: map[string]func(string) error{
			tokenEndpoint: cloud.CheckEndpoint, iamEndpoint: cloud.CheckEndpoint, adminKey: nil, cloud.LostKeys: cloud.CheckLostKeys,
		},
		Beside: func(settings map[string]string) target.Siblings {
			if name := settings[adminKey]; name != "" {
				return target.Siblings{Reads: []string{name}}
			}
			return target.Siblings{}
		},
		Open: open,
	}
}

// account is a service account, of which nothing is known but a key.
type account struct {
	admin      *file // nil: it changes its own keys
	token, iam *url.URL
	client     *cloud.Client
	deletes    bool // keys that were lost
}

var (
	_ target.Target   = (*account)(nil)
	_ target.Surveyor = (*account)(nil)
	_ target.Resetter = (*account)(nil)
)

func open(p cloud.Place) (target.Target, error) {
	a := &account{client: p.Client, deletes: p.Settings[cloud.LostKeys] == cloud.Delete}
	var err error
	if name := p.Settings[adminKey]; name != "" {
		if a.admin, err = read(p.Values[name]); err != nil {
			return nil, target.Errorf(target.Refused, err, "variable %s: %s", name, err)
		}
	}
	if a.token, err = cloud.ParseEndpoint(cmp.Or(p.Settings[tokenEndpoint], "https://oauth2.googleapis.com")); err != nil {
		return nil, target.Errorf(target.Refused, err, "%s: %s", tokenEndpoint, err)
	}
	if a.iam, err = cloud.ParseEndpoint(cmp.Or(p.Settings[iamEndpoint], "https://iam.googleapis.com")); err != nil {
		return nil, target.Errorf(target.Refused, err, "%s: %s", iamEndpoint, err)
	}
	return a, nil
}

// Identity is part of target.Target. Which account it is follows from the key.
func (a *account) Identity() string {
	by := "itself"
	if a.admin != nil {
		by = a.admin.Email
	}
	return cloud.Address(a.iam) + " with " + cloud.Address(a.token) + " service account by " + by + " " + a.client.Security()
}

// Resets is part of target.Resetter.
func (a *account) Resets() bool { return a.admin != nil }

// Candidate is part of target.Target: Google makes the keys.
func (a *account) Candidate(target.Credential) (target.Credential, error) { return nil, nil }

// current reads the file in a credential.
func current(c target.Credential) (*file, error) {
	f, err := read(c[target.Main])
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "the rotated variable: %s", err)
	}
	return f, nil
}

// credential is a file as it came.
func credential(text []byte) target.Credential {
	return target.Credential{target.Main: secret.New(text), cloud.Fresh: secret.FromString("yes")}
}
