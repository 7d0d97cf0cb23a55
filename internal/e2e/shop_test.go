package e2e

import (
	"path/filepath"
	"testing"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"
)

const shopPolicy = `
- !policy
  id: shop
  annotations:
    description: a shop
  body:
    - &variables
      - !variable db/username
      - !variable db/password
      - !variable
        id: db/certificate
        mime_type: application/x-pem-file
      - !variable a b/c+d/é:x
    - !variable unset
    - !layer web
    - !group readers
    - !group operators
    - !host web-1
    - !host web-2
    - !host
      id: no-key
      annotations:
        authn/api-key: false
    - !user bob
    - !grant
      role: !layer web
      members: [!host web-1, !host web-2]
    - !grant
      role: !group readers
      member: !layer web
    - !permit
      role: !group readers
      privileges: [read, execute]
      resources: *variables
    - !permit
      role: !group operators
      privileges: [read, update]
      resources: *variables
    - !permit
      role: !group operators
      privileges: [read, update]
      resource: !host web-1
    - !host-factory
      id: web
      layers: [!layer web]
- !user
  id: alice
  public_keys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrJz4WcHvHRBbPWg0Dnk4O4xVRSMWJEw1w0hTDxJYxC alice@laptop
- !grant
  role: !group shop/operators
  member: !user alice
`

// shop is a server with the sample policy, and the API keys that it made.
type shop struct {
	*server
	keys map[string]string // by login
}

func openShop(t *testing.T, flags ...string) shop {
	t.Helper()
	s, key := start(t, flags...)
	keys := newClient(s.url).as(t, "admin", key).load(t, "POST", "root", shopPolicy)
	keys["admin"] = key
	return shop{s, keys}
}

// config is a client's, with a file of its own to keep credentials in.
func (s shop) config(t *testing.T) conjurapi.Config {
	return conjurapi.Config{
		ApplianceURL: s.url, Account: account, Environment: "oss",
		CredentialStorage: conjurapi.CredentialStorageFile, NetRCPath: filepath.Join(t.TempDir(), "netrc"),
	}
}

// as is the official client with a role's key.
func (s shop) as(t *testing.T, login string) *conjurapi.Client {
	t.Helper()
	c, err := conjurapi.NewClientFromKey(s.config(t), authn.LoginPair{Login: login, APIKey: s.keys[login]})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
