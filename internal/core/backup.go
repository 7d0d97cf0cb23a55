package core

import (
	"context"
	"io"

	"rekey/internal/backup"
	"rekey/internal/fault"
	"rekey/internal/seal"
)

// Backup writes an archive of everything, as of one moment, readable with key, or with
// the root key if key is nil. Only the operator may have one. It is recorded before the
// first byte leaves; nothing waits for it.
func (c *Core) Backup(ctx context.Context, caller Caller, key *seal.Root, to io.Writer) (backup.Summary, error) {
	if key == nil {
		key = c.root
	}
	var err error
	if !caller.operator {
		err = fault.New(fault.Forbidden, "%s may not take a backup: only the operator of the server may", caller.Role)
	}
	if err := c.decided(err, c.by(caller).Backup(key.Fingerprint(), err)); err != nil {
		return backup.Summary{}, err
	}
	summary, err := backup.Write(ctx, to, c.store, key, c.rand, c.now())
	if err != nil {
		return backup.Summary{}, c.decided(err, c.by(caller).Backup(key.Fingerprint(), err))
	}
	return summary, nil
}
