package server

import (
	"context"
	"errors"
	"io"
	"time"

	"rekey/internal/audit"
	"rekey/internal/backup"
	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/seal"
	"rekey/internal/server/admin"
)

// Verify reads an archive to its end. key is nil if it was written for the root key.
func Verify(cfg config.Config, from io.Reader, key *seal.Root) (backup.Summary, error) {
	archive, root, err := openArchive(&cfg, from, key)
	if err != nil {
		return backup.Summary{}, err
	}
	return archive.Verify(root)
}

// Restore fills the empty store that the configuration names from an archive. Nothing is
// there afterwards if it fails. Unless act is set, rotations are held until somebody
// resumes them. key is nil if the archive was written for the root key.
func Restore(ctx context.Context, cfg config.Config, from io.Reader, key *seal.Root, act bool, auditOut io.Writer) (backup.Summary, error) {
	archive, root, err := openArchive(&cfg, from, key)
	if err != nil {
		return backup.Summary{}, err
	}
	if err := stopped(ctx, cfg.DataDir); err != nil {
		return backup.Summary{}, err
	}
	records, err := openAudit(cfg.Audit, auditOut)
	if err != nil {
		return backup.Summary{}, err
	}
	rows, err := openStore(ctx, &cfg)
	if err != nil {
		return backup.Summary{}, errors.Join(err, records.Close())
	}
	summary, err := archive.Restore(ctx, rows, root, act, time.Now())
	by := audit.Origin{Role: "local", Time: time.Now()}
	return summary, errors.Join(err, records.Write(by.Restore(archive.Created.Format(time.RFC3339), summary.Digest, err)), rows.Close(), records.Close())
}

func openArchive(cfg *config.Config, from io.Reader, key *seal.Root) (*backup.Archive, *seal.Root, error) {
	root, err := openRoot(cfg)
	if err != nil {
		return nil, nil, err
	}
	if key == nil {
		key = root
	}
	archive, err := backup.Open(from, key)
	return archive, root, err
}

// stopped is the error if a server runs on a data directory.
func stopped(ctx context.Context, dir string) error {
	running, err := admin.Dial(ctx, dir)
	if err == nil && running != nil {
		e := fault.New(fault.Conflict, "a server runs on %s", dir)
		e.Advice = "stop it first"
		err = e
	}
	return err
}
