// Package azure rotates a client secret of an application in Microsoft Entra ID by
// Microsoft Graph: kind azure/client-secret.
//
// The rotated variable holds the client secret. Beside it, variable key_id, which holds
// the id of the secret, is read and written together with it; tenant_id and client_id are
// read. The application changes its own secrets, for which it needs the permission
// Application.ReadWrite.OwnedBy and has to be an owner of itself; or another one does,
// whose client id and secret are in the variables that annotations admin-client-id and
// admin-client-secret name.
//
// Annotations login-endpoint and graph-endpoint name those of a national cloud; lifetime
// is how long a new secret is good for, in ISO 8601; ca is that of package cloud.
//
// Each secret that is made here has a mark in its display name that is durable before it
// is asked for. So one whose answer was lost is found again with certainty, and nobody
// else's is touched.
//
// It imports target, cloud, period and secret.
package azure

import (
	"cmp"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"rekey/internal/period"
	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// KeyID is the variable that is written together with the client secret.
const KeyID = "key_id"

const (
	tenantID      = "tenant_id"
	clientID      = "client_id"
	loginEndpoint = "login-endpoint"
	graphEndpoint = "graph-endpoint"
	adminID       = "admin-client-id"
	adminSecret   = "admin-client-secret"
	lifetime      = "lifetime"
)

// Kind is azure/client-secret.
func Kind() target.Kind {
	return cloud.Kind{
		Kind: "azure/client-secret",
		Settings: map[string]func(string) error{
			loginEndpoint: cloud.CheckEndpoint, graphEndpoint: cloud.CheckEndpoint, adminID: nil, adminSecret: nil,
			lifetime: func(text string) error { _, err := period.Parse(text); return err },
		},
		Pairs: [][2]string{{adminID, adminSecret}},
		Beside: func(settings map[string]string) target.Siblings {
			s := target.Siblings{Reads: []string{tenantID, clientID}, Writes: []string{KeyID}}
			if settings[adminID] != "" {
				s.Reads = append(s.Reads, settings[adminID], settings[adminSecret])
			}
			return s
		},
		Open: open,
	}
}

// application is one in a tenant.
type application struct {
	tenant, id   string
	admin        *client // nil: it changes its own secrets
	login, graph *url.URL
	client       *cloud.Client
	rand         io.Reader
	lifetime     time.Duration // of a new secret; 0: as Microsoft has it
}

// client is an application that logs in.
type client struct {
	id     string
	secret secret.Bytes
}

var (
	_ target.Target    = (*application)(nil)
	_ target.Resetter  = (*application)(nil)
	_ target.Rehearser = (*application)(nil)
)

// tenants are ids or domains; clients are ids only.
var (
	tenants = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,253}$`)
	uuids   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func open(p cloud.Place) (target.Target, error) {
	text := func(variable string) string { return strings.TrimSpace(p.Values[variable].RevealString()) }
	a := &application{tenant: text(tenantID), id: text(clientID), client: p.Client, rand: p.Rand}
	if !tenants.MatchString(a.tenant) {
		return nil, target.Errorf(target.Refused, nil, "variable %s holds neither the id nor a domain of a tenant", tenantID)
	}
	if !uuids.MatchString(a.id) {
		return nil, target.Errorf(target.Refused, nil, "variable %s holds no client id, such as 11111111-2222-3333-4444-555555555555", clientID)
	}
	if name := p.Settings[adminID]; name != "" {
		a.admin = &client{text(name), p.Values[p.Settings[adminSecret]]}
		if !uuids.MatchString(a.admin.id) {
			return nil, target.Errorf(target.Refused, nil, "variable %s holds no client id", name)
		}
	}
	var err error
	if text := p.Settings[lifetime]; text != "" {
		if a.lifetime, err = period.Parse(text); err != nil || a.lifetime <= 0 {
			return nil, target.Errorf(target.Refused, err, "annotation %s is no time: write P180D for 180 days", lifetime)
		}
	}
	if a.login, err = cloud.ParseEndpoint(cmp.Or(p.Settings[loginEndpoint], "https://login.microsoftonline.com")); err != nil {
		return nil, target.Errorf(target.Refused, err, "%s: %s", loginEndpoint, err)
	}
	if a.graph, err = cloud.ParseEndpoint(cmp.Or(p.Settings[graphEndpoint], "https://graph.microsoft.com")); err != nil {
		return nil, target.Errorf(target.Refused, err, "%s: %s", graphEndpoint, err)
	}
	return a, nil
}

// Identity is part of target.Target.
func (a *application) Identity() string {
	by := "itself"
	if a.admin != nil {
		by = a.admin.id
	}
	return cloud.Address(a.login) + " with " + cloud.Address(a.graph) + " tenant " + a.tenant + " application " + a.id + " by " + by + " " + a.client.Security()
}

// Resets is part of target.Resetter.
func (a *application) Resets() bool { return a.admin != nil }

// mark is what an intent has: the display name of the secret that is to be made.
const mark = "mark"

// Candidate is part of target.Target: an intent, since Microsoft makes the secrets.
func (a *application) Candidate(target.Credential) (target.Credential, error) {
	name, err := uuid.NewRandomFromReader(a.rand)
	if err != nil {
		return nil, target.Errorf(target.Refused, err, "there is no randomness for the name of a secret")
	}
	return target.Credential{mark: secret.FromString(cloud.Agent + " " + name.String())}, nil
}
