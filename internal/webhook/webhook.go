// Package webhook tells other programs what has happened to rotations. What is to be
// told is a row, made in the same transaction as what has happened; here it is signed
// and sent, again and again until it is received or three days are over.
//
// It promises: at least once, whenever the process dies; that a receiver which is slow
// or gone holds up neither the others nor any rotation; that nothing is sent to an
// address that the operator has not named, and no redirect is followed; that TLS is
// verified. Requests follow the conventions of Standard Webhooks, so that receivers
// find libraries that check them.
//
// It imports core, row, fault and secret.
package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// Hook is one receiver.
type Hook struct {
	core.Hook
	URL        string
	SecretFile string         // is read for each request, so that a secret can be replaced
	Trust      *x509.CertPool // nil: the authorities of the system
}

// entry is a hook as the file has it.
type entry struct {
	Name       string   `yaml:"name"`
	URL        string   `yaml:"url"`
	SecretFile string   `yaml:"secret_file"`
	CAFile     string   `yaml:"ca_file"`
	Events     []string `yaml:"events"`
	About      []string `yaml:"about"`
}

// Read reads the file with all hooks. Its fault names the hook and what is wrong with it.
func Read(path string) ([]Hook, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, invalid("name a file that can be read in setting webhooks", "the webhooks cannot be read: %v", err)
	}
	var entries []entry
	if err := yaml.Load(text, &entries, yaml.WithKnownFields()); err != nil {
		return nil, invalid("it is a list of mappings with name, url, secret_file, ca_file, events and about", "%s cannot be understood: %v", path, err)
	}
	var hooks []Hook
	for i, e := range entries {
		h, err := e.hook(filepath.Dir(path))
		if err == nil && slices.ContainsFunc(hooks, func(other Hook) bool { return other.Name == h.Name }) {
			err = invalid("give each a name of its own", "there is another one of this name")
		}
		if err != nil {
			return nil, invalid(err.Advice, "%s: webhook %d '%s': %s", path, i+1, e.Name, err.Message)
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// hook checks an entry. Paths are relative to the file's directory.
func (e *entry) hook(dir string) (Hook, *fault.Error) {
	at := func(path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	h := Hook{Hook: core.Hook{Name: e.Name, Events: e.Events, About: e.About}, URL: e.URL, SecretFile: at(e.SecretFile)}
	if e.Name == "" || strings.ContainsAny(e.Name, " \t\r\n,&") {
		return h, invalid("write `name:` and a word", "it has no name, or one with blanks")
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return h, invalid("write `url: https://HOST/PATH`", "its url is none, or has a password")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return h, invalid("write https://, which may be left out only for localhost", "its url is not https")
	case e.SecretFile == "":
		return h, invalid("make one: (umask 077; echo \"whsec_$(openssl rand -base64 32)\" > FILE), and write `secret_file: FILE`", "it has no secret_file")
	}
	for _, event := range e.Events {
		if !slices.Contains(core.NewsEvents(), event) {
			return h, invalid("choose of: "+strings.Join(core.NewsEvents(), ", "), "there is no event '%s'", event)
		}
	}
	if _, err := readSecrets(h.SecretFile); err != nil {
		return h, err
	}
	if e.CAFile != "" {
		text, err := os.ReadFile(at(e.CAFile))
		h.Trust = x509.NewCertPool()
		if err != nil || !h.Trust.AppendCertsFromPEM(text) {
			return h, invalid("name a file with certificates in PEM form", "its ca_file has no certificate, or cannot be read")
		}
	}
	return h, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

func invalid(advice, format string, args ...any) *fault.Error {
	e := fault.New(fault.Invalid, format, args...)
	e.Advice = advice
	return e
}

// shortestSecret and longestSecret bound the bytes of a secret, as Standard Webhooks does.
const (
	shortestSecret = 24
	longestSecret  = 64
)

// readSecrets reads the secrets of a hook, one on each line: whsec_ and base64. With two
// of them each request is signed twice, so that a receiver can change from one to the other.
func readSecrets(path string) ([]secret.Bytes, *fault.Error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, invalid("name a file that can be read", "its secret cannot be read: %v", err)
	}
	defer clear(text)
	var secrets []secret.Bytes
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		encoded, ok := bytes.CutPrefix(line, []byte("whsec_"))
		key, err := base64.StdEncoding.DecodeString(string(encoded))
		if !ok || err != nil || len(key) < shortestSecret || len(key) > longestSecret {
			return nil, invalid("make one: echo \"whsec_$(openssl rand -base64 32)\"", "a line of %s is not whsec_ and base64 of %d to %d bytes", path, shortestSecret, longestSecret)
		}
		secrets = append(secrets, secret.New(key))
	}
	if len(secrets) == 0 {
		return nil, invalid("make one: echo \"whsec_$(openssl rand -base64 32)\"", "%s is empty", path)
	}
	return secrets, nil
}

// sign is the value of header webhook-signature: HMAC-SHA256 (RFC 2104) over id, time in
// Unix seconds and body with dots between, by each secret.
func sign(secrets []secret.Bytes, id string, at int64, body string) string {
	signed := fmt.Appendf(nil, "%s.%s.%s", id, strconv.FormatInt(at, 10), body)
	var all []string
	for _, key := range secrets {
		mac := hmac.New(sha256.New, key.Reveal())
		_, _ = mac.Write(signed) // a hash does not fail
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
