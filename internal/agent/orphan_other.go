//go:build !linux

package agent

import (
	"log/slog"
	"syscall"
)

// Elsewhere the system takes care of orphans.
func adoptOrphans(*slog.Logger) {}

func (c *child) reap() {}

// withAgent: elsewhere a command outlives an agent that is killed.
func withAgent() *syscall.SysProcAttr { return nil }
