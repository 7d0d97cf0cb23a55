package client

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"rekey/internal/config"
	"rekey/internal/server"
)

// serve starts a real server with an account demo, and makes it the configured one.
func serve(t *testing.T) (url, adminKey string) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "root.key"), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 0o600))
	loaded, err := config.Load(config.Sources{Flags: map[string]string{"data-dir": dir, "listen": "127.0.0.1:0", "audit": "file:" + filepath.Join(dir, "audit.log")}})
	check(t, err)
	backend, err := server.Open(t.Context(), loaded.Config, io.Discard, slog.New(slog.DiscardHandler))
	check(t, err)
	account, err := backend.Local().CreateAccount(t.Context(), "demo", nil)
	check(t, err)
	srv := backend.Server()
	check(t, srv.Listen())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		check(t, <-done)
		check(t, backend.Close())
	})
	configure(t, srv.URL())
	return srv.URL(), account.APIKey
}

// configure makes a server the configured one, for somebody who has no files.
func configure(t *testing.T, url string) {
	t.Helper()
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "CONJURRC": "", "CONJUR_CREDENTIAL_STORAGE": "file", "CONJUR_ENVIRONMENT": "oss",
		"CONJUR_APPLIANCE_URL": url, "CONJUR_ACCOUNT": "demo", "CONJUR_AUTHN_LOGIN": "", "CONJUR_AUTHN_API_KEY": "",
	} {
		t.Setenv(name, value)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
