package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bgentry/go-netrc/netrc"
	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/storage"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// Keep is where the credentials of a login are kept between commands: a netrc file
// or the keyring of the desktop. Other tools read and write the same entries.
type Keep interface {
	// Name says which keep it is, for people.
	Name() string
	// Read returns the login and the key; it is NotFound if there are none.
	Read() (login string, key secret.Bytes, err error)
	// Reserve makes sure that a credential of this size can be stored. What Commit
	// of the result stores is there whole or, if it fails, not at all; until then
	// the old one stays. Release gives up what was reserved and not committed.
	Reserve(login string, size int) (Reserved, error)
	// Forget removes the credentials, if there are any.
	Forget() error
}

// Reserved is a place for a credential that is not known yet.
type Reserved interface {
	Commit(key secret.Bytes) error
	Release()
}

// Store reserves and commits.
func Store(k Keep, login string, key secret.Bytes) error {
	place, err := k.Reserve(login, key.Len())
	if err != nil {
		return err
	}
	defer place.Release()
	return place.Commit(key)
}

// OpenKeep returns the configured keep, nil if credentials are not to be kept. As
// other tools do, it takes the keyring if there is one and nothing else is said.
func OpenKeep(cfg *conjurapi.Config) (Keep, error) {
	kind := cfg.CredentialStorage
	if kind == "" {
		kind = conjurapi.CredentialStorageFile
		if storage.IsKeyringAvailable() {
			kind = conjurapi.CredentialStorageKeyring
		}
	}
	switch kind {
	case conjurapi.CredentialStorageNone:
		return nil, nil
	case conjurapi.CredentialStorageKeyring:
		service := machine(cfg)
		if cfg.KeychainNamespace != "" {
			service += ":" + cfg.KeychainNamespace
		}
		return keyring{storage.NewKeyringStorageProvider(service)}, nil
	case conjurapi.CredentialStorageFile:
		path := cfg.NetRCPath
		if path == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				e := fault.New(fault.Invalid, "there is no home directory for the netrc file: %v", err)
				e.Advice = "name the file in CONJUR_NETRC_PATH"
				return nil, e
			}
			path = filepath.Join(home, ".netrc")
		}
		return netrcFile{path: path, machine: machine(cfg)}, nil
	}
	e := fault.New(fault.Invalid, "credential_storage is '%s'", kind)
	e.Advice = "set it, or CONJUR_CREDENTIAL_STORAGE, to file, keyring or none"
	return nil, e
}

// ReadOnly tells whether the configuration forbids to store credentials.
func ReadOnly(cfg *conjurapi.Config) bool {
	return cfg.CredentialStorageMode == conjurapi.CredentialStorageModeReadOnly
}

// machine is the name of the entry, the same for all tools.
func machine(cfg *conjurapi.Config) string {
	if cfg.AuthnType != "" && cfg.AuthnType != "authn" {
		return fmt.Sprintf("%s/authn-%s/%s", cfg.ApplianceURL, cfg.AuthnType, cfg.ServiceID)
	}
	return cfg.ApplianceURL + "/authn"
}

// keyring keeps credentials in the keyring of the desktop.
type keyring struct {
	provider *storage.KeyringStorageProvider
}

func (k keyring) Name() string { return "the keyring" }

func (k keyring) Read() (string, secret.Bytes, error) {
	login, key, err := k.provider.ReadCredentials()
	if err != nil {
		return "", secret.Bytes{}, fault.Wrap(err, "reading the keyring")
	}
	if login == "" || key == "" {
		return "", secret.Bytes{}, fault.New(fault.NotFound, "the keyring has no credentials for this server")
	}
	return login, secret.FromString(key), nil
}

func (k keyring) Reserve(login string, _ int) (Reserved, error) { return keyringEntry{k, login}, nil }

func (k keyring) Forget() error {
	return fault.Wrap(k.provider.PurgeCredentials(), "removing the credentials from the keyring")
}

type keyringEntry struct {
	keyring
	login string
}

func (e keyringEntry) Commit(key secret.Bytes) error {
	return fault.Wrap(e.provider.StoreCredentials(e.login, key.RevealString()), "writing to the keyring")
}

func (e keyringEntry) Release() {}

// netrcFile keeps credentials in an entry of a netrc file.
type netrcFile struct {
	path, machine string
	passing       bool // the file goes with its last entry
	steps         steps
}

func (f netrcFile) Name() string { return f.path }

func (f netrcFile) Read() (string, secret.Bytes, error) {
	parsed, err := f.parse()
	if err != nil {
		return "", secret.Bytes{}, err
	}
	m := parsed.FindMachine(f.machine)
	if m == nil || m.IsDefault() {
		e := fault.New(fault.NotFound, "%s has no entry for %s", f.path, f.machine)
		e.Advice = "log in with `rekey login`, or write the entry: machine " + f.machine + " login LOGIN password KEY"
		return "", secret.Bytes{}, e
	}
	return m.Login, secret.FromString(m.Password), nil
}

func (f netrcFile) parse() (*netrc.Netrc, error) {
	parsed, err := netrc.ParseFile(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &netrc.Netrc{}, nil
	case err != nil:
		e := fault.New(fault.Invalid, "%s cannot be read: %v", f.path, err)
		e.Advice = "mend the file, or name another one in CONJUR_NETRC_PATH"
		return nil, e
	}
	return parsed, nil
}

func (f netrcFile) with(login string, key secret.Bytes) ([]byte, error) {
	parsed, err := f.parse()
	if err != nil {
		return nil, err
	}
	switch m := parsed.FindMachine(f.machine); {
	case m == nil:
		parsed.NewMachine(f.machine, login, key.RevealString(), "")
	case m.IsDefault(): // the new entry goes before it, and the library forgets to end the line
		parsed.NewMachine(f.machine, login, key.RevealString()+"\n", "")
	default:
		m.UpdateLogin(login)
		m.UpdatePassword(key.RevealString())
	}
	return text(parsed)
}

func text(parsed *netrc.Netrc) ([]byte, error) {
	written, err := parsed.MarshalText()
	if err == nil && len(written) > 0 && written[len(written)-1] != '\n' {
		written = append(written, '\n')
	}
	return written, fault.Wrap(err, "writing the netrc file")
}

func (f netrcFile) Reserve(login string, size int) (Reserved, error) {
	if strings.ContainsAny(login, " \t\r\n") {
		e := fault.New(fault.Invalid, "a netrc file cannot have the login '%s': it has a blank", login)
		e.Advice = "set credential_storage to keyring or none, or use CONJUR_AUTHN_LOGIN and CONJUR_AUTHN_API_KEY"
		return nil, e
	}
	draft, err := f.with(login, secret.New([]byte(strings.Repeat("x", size))))
	if err != nil {
		return nil, err
	}
	place, err := reserveFile(f.path, len(draft), nil, f.steps)
	if err != nil {
		return nil, err
	}
	return &netrcEntry{f, login, place}, nil
}

func (f netrcFile) Forget() error {
	parsed, err := f.parse()
	if err != nil {
		return err
	}
	if m := parsed.FindMachine(f.machine); m == nil || m.IsDefault() {
		return nil
	}
	parsed.RemoveMachine(f.machine)
	written, err := text(parsed)
	if err != nil {
		return err
	}
	if f.passing && len(bytes.TrimSpace(written)) == 0 {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) { // another process may have come first
			return unwritable(f.path, err)
		}
		return syncDir(filepath.Dir(f.path))
	}
	return WriteFile(f.path, written)
}

type netrcEntry struct {
	netrcFile
	login string
	place *reservedFile
}

// Commit reads the file once more: another command may have changed it since.
func (e *netrcEntry) Commit(key secret.Bytes) error {
	written, err := e.with(e.login, key)
	if err != nil {
		return err
	}
	return e.place.commit(written)
}

func (e *netrcEntry) Release() { e.place.release() }
