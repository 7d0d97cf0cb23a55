package client

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"go.yaml.in/yaml/v4"

	"rekey/internal/fault"
)

// Setting is one that somebody has made, and where.
type Setting struct {
	Name   string
	Value  string // *** for what is secret
	Source string // a file, or "environment NAME"
}

// settings are those of the ecosystem's client, with their variables. Those that have
// no key in a file have no name.
var settings = []struct {
	name, variable string
	secret         bool
}{
	{"appliance_url", "CONJUR_APPLIANCE_URL", false},
	{"account", "CONJUR_ACCOUNT", false},
	{"cert_file", "CONJUR_CERT_FILE", false},
	{"", "CONJUR_SSL_CERTIFICATE", true},
	{"authn_type", "CONJUR_AUTHN_TYPE", false},
	{"service_id", "CONJUR_SERVICE_ID", false},
	{"credential_storage", "CONJUR_CREDENTIAL_STORAGE", false},
	{"", "CONJUR_CREDENTIAL_STORAGE_MODE", false},
	{"keychain_namespace", "CONJUR_KEYCHAIN_NAMESPACE", false},
	{"netrc_path", "CONJUR_NETRC_PATH", false},
	{"jwt_file", "JWT_TOKEN_PATH", false},
	{"jwt_host_id", "CONJUR_AUTHN_JWT_HOST_ID", false},
	{"http_timeout", "CONJUR_HTTP_TIMEOUT", false},
	{"disable_keep_alives", "CONJUR_DISABLE_KEEP_ALIVES", false},
	{"environment", "CONJUR_ENVIRONMENT", false},
	{"proxy", "", true}, // its URL may have a password
	{"client_cert_file", "CONJUR_AUTHN_CERT_FILE", false},
	{"client_cert_key_file", "CONJUR_AUTHN_CERT_KEY_FILE", false},
	{"", "CONJUR_AUTHN_LOGIN", false},
	{"", "CONJUR_AUTHN_API_KEY", true},
	{"", "CONJUR_AUTHN_TOKEN", true},
	{"", "CONJUR_AUTHN_TOKEN_FILE", false},
}

// configurationFiles are those that are read, the later ones win.
func configurationFiles() []string {
	system := "/etc"
	if runtime.GOOS == "windows" {
		system = `C:\Windows`
	}
	files := []string{filepath.Join(system, "conjur.conf")}
	if own := os.Getenv("CONJURRC"); own != "" {
		return append(files, own)
	}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".conjurrc"))
	}
	return files
}

// Settings are all that somebody has made, as the client reads them: each once, from
// where it counts.
func Settings() ([]Setting, error) {
	made := map[string]Setting{}
	for _, file := range configurationFiles() {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var values map[string]yaml.Node
		if err == nil {
			err = yaml.Unmarshal(text, &values)
		}
		if err != nil {
			e := fault.New(fault.Invalid, "%s cannot be read: %v", file, err)
			e.Advice = "mend the file, or write it anew with `rekey init`"
			return nil, e
		}
		for name, value := range values {
			made[name] = Setting{name, value.Value, file}
		}
	}
	var all []Setting
	for _, s := range settings {
		found, ok := made[s.name]
		if value := os.Getenv(s.variable); value != "" {
			found, ok = Setting{s.name, value, "environment " + s.variable}, true
		}
		if !ok {
			continue
		}
		if found.Name == "" {
			found.Name = s.variable
		}
		if s.secret {
			found.Value = "***"
		}
		if u, err := url.Parse(found.Value); err == nil && u.User != nil {
			u.User = nil
			found.Value = u.String()
		}
		all = append(all, found)
	}
	return all, nil
}
