package server

import (
	"context"
	"io"
	"log/slog"

	"rekey/internal/config"
	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/server/admin"
)

// Backend is what a data directory holds, opened. Only one process at a time has it.
type Backend struct {
	Core *core.Core
	cfg  config.Config
	log  *slog.Logger
}

// Open opens a data directory, and makes it if it is missing. Audit records go to
// auditOut where the configuration says stdout.
func Open(ctx context.Context, cfg config.Config, auditOut io.Writer, log *slog.Logger) (*Backend, error) {
	_, err := rootKey(&cfg)
	if err != nil {
		return nil, err
	}
	return nil, fault.New(fault.Internal, "the store is missing")
}

// Server makes the server of this backend.
func (b *Backend) Server() *Server {
	return &Server{Config: b.cfg, Admin: admin.Handler(b.Core), Log: b.log}
}

// Local makes a client of this backend for local commands.
func (b *Backend) Local() *admin.Client { return admin.InProcess(b.Core) }

// Close makes everything durable and releases the data directory.
func (b *Backend) Close() error { return nil }
