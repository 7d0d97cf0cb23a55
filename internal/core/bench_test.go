package core_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/seal"
	"rekey/internal/store/sqlite"
)

// BenchmarkAuthenticate is an access token for an API key, its audit going nowhere.
func BenchmarkAuthenticate(b *testing.B) {
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	text, err := seal.NewRootText(rand.Reader)
	ok(err)
	root, err := seal.ParseRoot("BENCH_KEY", text)
	ok(err)
	st, err := sqlite.Open(b.TempDir())
	ok(err)
	c, err := core.Open(context.Background(), core.Options{Store: st, Audit: audit.To(io.Discard), RootKey: root, Config: core.Default(),
		Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	ok(err)
	b.Cleanup(func() { ok(c.Close()); ok(st.Close()) })
	key, err := c.CreateAccount(context.Background(), core.Operator(), "acme", nil)
	ok(err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.AuthenticateKey(context.Background(), here, "acme", "admin", key); err != nil {
			b.Fatal(err)
		}
	}
}
