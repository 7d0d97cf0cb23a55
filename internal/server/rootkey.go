package server

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"al.essio.dev/pkg/shellescape"

	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// rootKey gives the text of the root key that the configuration names.
func rootKey(cfg *config.Config) (secret.Bytes, error) {
	if cfg.DataKey.Len() > 0 {
		return cfg.DataKey, nil
	}
	text, err := os.ReadFile(cfg.DataKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		e := fault.New(fault.Invalid, "there is no root key: %s does not exist and REKEY_DATA_KEY is not set", cfg.DataKeyFile)
		e.Advice = "give the root key that the data was made with; for a new data directory make one: " + NewRootKeyCommand(cfg)
		return secret.Bytes{}, e
	}
	if err != nil {
		e := fault.New(fault.Invalid, "the root key cannot be read: %v", err)
		e.Advice, e.Cause = "mend the file, or name another one with --data-key-file or REKEY_DATA_KEY_FILE", err
		return secret.Bytes{}, e
	}
	return secret.New(text), nil
}

// NewRootKeyCommand is the shell command that makes a root key where the
// configuration looks for it.
func NewRootKeyCommand(cfg *config.Config) string {
	dir, file := shellescape.Quote(filepath.Dir(cfg.DataKeyFile)), shellescape.Quote(cfg.DataKeyFile)
	return "mkdir -p -m 700 " + dir + " && (umask 077; rekey data-key generate > " + file + ")"
}

// warnOfReaders says so if others than the file's owner may read the root key. It is
// no error, because mounted secrets often are like that.
func warnOfReaders(cfg *config.Config, log *slog.Logger) {
	if cfg.DataKey.Len() > 0 {
		return
	}
	if info, err := os.Stat(cfg.DataKeyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("others may read the root key: chmod 600 the file", "file", cfg.DataKeyFile, "mode", info.Mode().Perm())
	}
}

// warnOfWriters says so if everybody may put files into the data directory: a socket for
// the passwords of local commands, a root key, another database. It is no error, because
// some volumes are like that.
func warnOfWriters(cfg *config.Config, log *slog.Logger) {
	if info, err := os.Stat(cfg.DataDir); err == nil && info.Mode().Perm()&0o002 != 0 {
		log.Warn("everybody may write into the data directory: chmod 700 it", "data_dir", cfg.DataDir, "mode", info.Mode().Perm())
	}
}

// WriteRootKey makes a file with mode 0600 and a root key in it. It fails if the
// file is there.
func WriteRootKey(path string, text secret.Bytes) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.Wrap(err, "keeping the new root key")
	}
	_, err = io.WriteString(file, text.RevealString()+"\n")
	return fault.Wrap(errors.Join(err, file.Sync(), file.Close()), "keeping the new root key")
}
