package cli_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"rekey/internal/config"
	"rekey/internal/server"
)

// serve starts a real server in this process with an account demo, and puts into the
// environment of the script: URL, ADMIN_KEY, and with TLS FINGERPRINT.
//
//	serve [tls]
//
// With `private` the certificate is one of an authority, which is in ca.pem, and the
// server sends that one, too; with `leaf` it does not. The folder is server, server2...
func serve(ts *testscript.TestScript, _ bool, args []string) {
	dir, before := ts.MkAbs("server"), 1
	for ; exists(dir); dir = ts.MkAbs("server" + strconv.Itoa(before)) {
		before++
	}
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "root.key"), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 0o600))
	flags := map[string]string{"data-dir": dir, "listen": "127.0.0.1:0", "audit": "file:" + filepath.Join(dir, "audit.log")}
	switch {
	case len(args) == 0:
	case args[0] == "tls":
		flags["tls-self-signed"] = "true"
	default:
		own, ok := ts.Value(authorityKey{}).(*authority)
		if !ok {
			ts.Fatalf("this script has no authority")
		}
		if own.certificate == nil {
			*own = newAuthority(ts)
		}
		flags["tls-certificate"], flags["tls-key"] = own.issue(ts, dir, int64(before+1), args[0] == "private")
	}
	loaded, err := config.Load(config.Sources{Flags: flags})
	ts.Check(err)
	log := slog.New(slog.DiscardHandler)
	backend, err := server.Open(context.Background(), loaded.Config, io.Discard, log)
	ts.Check(err)
	created, err := backend.Local().CreateAccount(context.Background(), "demo", nil)
	ts.Check(err)
	srv := backend.Server()
	ts.Check(srv.Listen())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	ts.Defer(func() {
		stop()
		ts.Check(<-done)
		ts.Check(backend.Close())
	})
	ts.Setenv("URL", srv.URL())
	ts.Setenv("ADMIN_KEY", created.APIKey)
	ts.Setenv("FINGERPRINT", srv.Fingerprint())
}

// authorityKey is where a script has its authority.
type authorityKey struct{}

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

// keep puts what the last command printed into the environment: keep NAME.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSuffix(ts.ReadFile("stdout"), "\n"))
}
