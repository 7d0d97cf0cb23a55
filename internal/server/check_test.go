package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rekey/internal/config"
	"rekey/internal/secret"
	"rekey/internal/server"
)

func TestCheckFindsWhatTheServerWouldRefuse(t *testing.T) {
	made := newServer(t, func(s *server.Server) { s.Config.TLSSelfSigned = true }).start(t)
	other := newServer(t, func(s *server.Server) { s.Config.TLSSelfSigned = true }).start(t)
	certFile, keyFile := filepath.Join(made.Config.DataDir, "tls.crt"), filepath.Join(made.Config.DataDir, "tls.key")
	soon, late := time.Now(), time.Now().AddDate(11, 0, 0)
	for _, c := range []struct {
		name   string
		change func(*config.Config)
		now    time.Time
		want   string // "" if there is nothing to find
	}{
		{"nothing is wrong", func(*config.Config) {}, soon, ""},
		{"a directory that the server makes", func(c *config.Config) { c.DataDir = filepath.Join(c.DataDir, "new") }, soon, ""},
		{"a file instead of a directory", func(c *config.Config) { c.DataDir = certFile }, soon, "is no directory"},
		{"no root key", func(c *config.Config) { c.DataKey = secret.Bytes{} }, soon, "there is no root key"},
		{"a root key that is none", func(c *config.Config) { c.DataKey, c.DataKeyFile = secret.Bytes{}, certFile }, soon, "root key"},
		{"no place for the audit file", func(c *config.Config) { c.Audit = "file:" + certFile + "/no/audit" }, soon, "audit file"},
		{"webhooks that cannot be read", func(c *config.Config) { c.Webhooks = certFile }, soon, "cannot be understood"},
		{"a certificate and its key", func(c *config.Config) { c.TLSCertificate, c.TLSKey = certFile, keyFile }, soon, ""},
		{"another's key", func(c *config.Config) {
			c.TLSCertificate, c.TLSKey = certFile, filepath.Join(other.Config.DataDir, "tls.key")
		}, soon, "cannot be used"},
		{"an expired certificate", func(c *config.Config) { c.TLSCertificate, c.TLSKey = certFile, keyFile }, late, "is good from"},
		{"a self-signed one to make", func(c *config.Config) { c.TLSSelfSigned = true }, soon, ""},
		{"a self-signed one for other names", func(c *config.Config) {
			c.DataDir, c.TLSSelfSigned, c.TLSNames = made.Config.DataDir, true, []string{"x.example.com"}
		}, soon, "is not for x.example.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Audit: "stdout", DataKeyName: "test"}
			cfg.DataKey = secret.FromString("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
			cfg.DataKeyFile = filepath.Join(cfg.DataDir, "root.key")
			c.change(&cfg)
			err := server.Check(&cfg, c.now)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(cfg.DataDir, "tls.crt")); err == nil && cfg.DataDir != made.Config.DataDir {
				t.Error("it has made a certificate")
			}
		})
	}
}
