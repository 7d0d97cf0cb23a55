package client

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/storage"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

func TestOtherToolsFindTheSameEntry(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    string
		service string
		machine string
	}{
		{"API keys", "", "", "http://x/authn"},
		{"the same, spelled out", "authn", "", "http://x/authn"},
		{"LDAP", "ldap", "corp", "http://x/authn-ldap/corp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "netrc")
			cfg := conjurapi.Config{ApplianceURL: "http://x", AuthnType: c.kind, ServiceID: c.service, NetRCPath: path, CredentialStorage: "file"}
			keep, err := OpenKeep(&cfg)
			check(t, err)
			if _, _, err := keep.Read(); !fault.Is(err, fault.NotFound) {
				t.Errorf("before: %v", err)
			}
			check(t, Store(keep, "host/web", secret.FromString("one")))
			check(t, Store(keep, "host/web", secret.FromString("two")))

			theirs, err := storage.NewNetrcStorageProvider(path, c.machine)
			check(t, err)
			if login, key, err := theirs.ReadCredentials(); login != "host/web" || key != "two" || err != nil {
				t.Errorf("they read %q, %q, %v", login, key, err)
			}
			check(t, theirs.StoreCredentials("alice", "three"))
			if login, key, err := keep.Read(); login != "alice" || key.RevealString() != "three" || err != nil {
				t.Errorf("we read %q, %v", login, err)
			}
			check(t, keep.Forget())
			check(t, keep.Forget())
			if _, _, err := keep.Read(); !fault.Is(err, fault.NotFound) {
				t.Errorf("after: %v", err)
			}
		})
	}
}

func TestADefaultEntryIsNobodys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "netrc")
	check(t, os.WriteFile(path, []byte("default\n\tlogin ftp\n\tpassword guest\n"), 0o600))
	keep := netrcFile{path: path, machine: "http://x/authn"}
	if _, _, err := keep.Read(); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	check(t, keep.Forget())
	check(t, Store(keep, "alice", secret.FromString("key")))
	if login, _, err := keep.Read(); login != "alice" || err != nil {
		t.Errorf("%q, %v", login, err)
	}
}

func TestWhatANetrcFileCannotHaveIsRefused(t *testing.T) {
	keep := netrcFile{path: filepath.Join(t.TempDir(), "netrc"), machine: "http://x/authn"}
	if err := Store(keep, "host/my web", secret.FromString("key")); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
