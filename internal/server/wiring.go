package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"rekey/internal/audit"
	"rekey/internal/config"
	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/httpapi"
	"rekey/internal/metrics"
	"rekey/internal/rotation/engine"
	"rekey/internal/seal"
	"rekey/internal/server/admin"
	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/sqlite"
	"rekey/internal/webhook"
)

// Backend is what a data directory or a database holds, opened. Only one process at a
// time has a data directory.
type Backend struct {
	Core  *core.Core
	store store.Store
	audit *audit.Log
	hooks []webhook.Hook
	cfg   config.Config
	log   *slog.Logger
	count *metrics.Metrics // nil without telemetry
}

// Open opens a data directory, which it makes if it is missing, or the database that the
// configuration names. Audit records go to
// auditOut where the configuration says stdout.
func Open(ctx context.Context, cfg config.Config, auditOut io.Writer, log *slog.Logger) (*Backend, error) {
	return open(ctx, cfg, openStore, auditOut, log)
}

// OpenToRead is Open for who changes nothing. A database may be one that takes no writes.
func OpenToRead(ctx context.Context, cfg config.Config, auditOut io.Writer, log *slog.Logger) (*Backend, error) {
	if cfg.DatabaseURL.Len() == 0 {
		return Open(ctx, cfg, auditOut, log)
	}
	cfg.ReadOnly = true
	return open(ctx, cfg, func(ctx context.Context, cfg *config.Config) (store.Store, error) {
		return postgres.OpenSource(ctx, cfg.DatabaseURL.RevealString())
	}, auditOut, log)
}

func open(ctx context.Context, cfg config.Config, openStore func(context.Context, *config.Config) (store.Store, error), auditOut io.Writer, log *slog.Logger) (*Backend, error) {
	root, err := openRoot(&cfg)
	if err != nil {
		return nil, err
	}
	hooks, err := webhooks(&cfg)
	if err != nil {
		return nil, err
	}
	warnOfReaders(&cfg, log)
	records, err := openAudit(cfg.Audit, auditOut)
	if err != nil {
		return nil, err
	}
	rows, err := openStore(ctx, &cfg)
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	warnOfWriters(&cfg, log)
	var count *metrics.Metrics
	if cfg.Telemetry {
		count = metrics.New()
	}
	useCases, err := core.Open(ctx, core.Options{
		Store: rows, Audit: records, RootKey: root, Config: coreConfig(&cfg), Targets: rotationTargets(&cfg), Hooks: toTell(hooks), Metrics: count,
		Now: time.Now, Rand: rand.Reader, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, rows.Close(), records.Close())
	}
	return &Backend{Core: useCases, store: rows, audit: records, hooks: hooks, cfg: cfg, log: log, count: count}, nil
}

func openRoot(cfg *config.Config) (*seal.Root, error) {
	text, err := rootKey(cfg)
	if err != nil {
		return nil, err
	}
	return seal.ParseRoot(cfg.DataKeyName, text)
}

func openStore(ctx context.Context, cfg *config.Config) (store.Store, error) {
	if cfg.DatabaseURL.Len() == 0 {
		return sqlite.Open(cfg.DataDir)
	}
	// The socket for local commands is still there.
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "the data directory cannot be made: " + err.Error(), Cause: err,
			Advice: "name another one with --data-dir or REKEY_DATA_DIR"}
	}
	if cfg.ReadOnly {
		return postgres.OpenReadOnly(ctx, cfg.DatabaseURL.RevealString())
	}
	return postgres.Open(ctx, cfg.DatabaseURL.RevealString())
}

func openAudit(destination string, stdout io.Writer) (*audit.Log, error) {
	if path, ok := strings.CutPrefix(destination, "file:"); ok {
		return audit.Open(path)
	}
	return audit.To(stdout), nil
}

func coreConfig(cfg *config.Config) core.Config {
	c := core.Default()
	c.UserTokenTTL, c.HostTokenTTL = cfg.UserTokenTTL, cfg.HostTokenTTL
	c.APIKeyDefault, c.EnforceKeyAge = cfg.APIKeyDefault, cfg.APIKeyMaxAgeEnforced
	c.SecretVersions, c.PolicyVersions = cfg.SecretVersions, cfg.PolicyVersions
	c.EffectiveDepth, c.EffectiveLimit = cfg.EffectiveDepth, cfg.EffectiveLimit
	c.UsersInRootOnly = cfg.UsersInRootOnly
	c.Staleness, c.ReadOnly, c.Leader = cfg.Staleness(), cfg.ReadOnly, cfg.LeaderURL
	c.Passwords = map[string]string{}
	for user, password := range cfg.Passwords {
		c.Passwords[user] = password.RevealString()
	}
	return c
}

// Server makes the server of this backend.
func (b *Backend) Server() *Server {
	return &Server{
		Config: b.cfg,
		Handler: httpapi.New(b.Core, httpapi.Options{
			TrustedProxies: b.cfg.TrustedProxies, ListLimit: b.cfg.ListLimitMax, NoHostFactories: !b.cfg.HostFactories, Log: b.log,
			Metrics: b.count, OverdueLimit: b.cfg.RotationOverdueLimit, Leader: b.cfg.LeaderURL,
		}),
		Admin:  admin.Handler(b.Core),
		Rotate: b.rotate(),
		Notify: b.notify(),
		Drain:  b.Core.EndListening,
		Reopen: b.audit.Reopen,
		Log:    b.log,
	}
}

// rotate is the engine that rotates values on their targets, nil if it is turned off or
// nothing may be changed.
func (b *Backend) rotate() func(context.Context) {
	if !b.cfg.Rotation || b.cfg.ReadOnly {
		return nil
	}
	o := engine.Default(b.log)
	o.Metrics = b.count
	return engine.New(b.Core, o).Run
}

// Local makes a client of this backend for local commands.
func (b *Backend) Local() *admin.Client { return admin.InProcess(b.Core) }

// Close makes everything durable and releases the data directory.
func (b *Backend) Close() error { return errors.Join(b.Core.Close(), b.store.Close(), b.audit.Close()) }
