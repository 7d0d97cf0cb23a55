package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rekey/internal/backup"
	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/server"
	"rekey/internal/server/admin"
)

func backupCommand() *cobra.Command {
	var keyFile string
	cmd := newLocal(&cobra.Command{
		Use: "backup FILE", Short: "Write everything into an encrypted file",
		Long: "Writes everything that the server keeps into a new file, as of one moment, while the server runs or is stopped.\n" +
			"The file is encrypted and authenticated under a key that the root key wraps, or a key of its own. It does\n" +
			"not have the root key, the configuration, certificates, or the audit. The file appears when it is complete.",
		Example: "  rekey backup tuesday.backup",
		Args:    exactly(1),
	}, reads, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		var key admin.BackupKey
		if keyFile != "" {
			text, err := readKeyFile(keyFile)
			if err != nil {
				return err
			}
			key = admin.BackupKey{Name: keyFile, Text: text.RevealString()}
		}
		var written backup.Summary
		err := writeNew(args[0], func(w io.Writer) error {
			return working(cmd, "writing the backup", func() (err error) {
				written, err = local.Backup(cmd.Context(), key, w)
				return err
			})
		})
		if err != nil {
			return err
		}
		return sayCarried(cmd, "Wrote "+args[0], written)
	})
	outcomeFlag(cmd.Flags())
	keyFileFlag(cmd.Flags(), &keyFile)
	return cmd
}

func keyFileFlag(flags *pflag.FlagSet, file *string) {
	flags.StringVar(file, "key-file", "", "file with the key of the backup, as 'rekey data-key generate' prints it, instead of the root key")
}

func readKeyFile(path string) (secret.Bytes, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		e := fault.New(fault.Invalid, "the key of the backup cannot be read: %v", err)
		e.Advice, e.Cause = "name a file with a key, as `rekey data-key generate` prints it, with --key-file", err
		return secret.Bytes{}, e
	}
	return secret.New(text), nil
}

// sayCarried tells what has been done, and what was in it.
func sayCarried(cmd *cobra.Command, done string, s backup.Summary) error {
	created := s.Created.Format(time.RFC3339)
	return formOf(cmd).say(cmd, fmt.Sprintf("%s: %s, as of %s\nDigest %s\n", done, plural(s.Rows, "row"), created, s.Digest),
		map[string]any{"created": created, "rows": s.Rows, "tables": s.Tables, "digest": s.Digest})
}

func restoreCommand() *cobra.Command {
	var keyFile string
	var check, act bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Fill a new data directory or an empty database from a backup",
		Long: "Restores a backup into the data directory or the database that the settings name, completely or not at all. It\n" +
			"takes the root key of the server that was backed up, and refuses a store that is not empty. Rotations are held:\n" +
			"targets may have got newer passwords since. See how they stand with 'rekey rotation plan', and let them go on\n" +
			"with 'rekey rotation resume'.",
		Example: "  rekey restore monday.backup --check\n  rekey restore monday.backup --data-dir new --data-key-file root.key",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			loaded, err := config.LoadLocal(sources(cmd))
			if err != nil {
				return err
			}
			var key *seal.Root
			if keyFile != "" {
				text, err := readKeyFile(keyFile)
				if err != nil {
					return err
				}
				if key, err = seal.ParseRoot(keyFile, text); err != nil {
					return err
				}
			}
			file, err := os.Open(args[0])
			if err != nil {
				e := fault.New(fault.NotFound, "the backup cannot be read: %v", err)
				e.Advice, e.Cause = "name a file that `rekey backup` has written", err
				return e
			}
			done, carry := "Restored "+args[0], func() (backup.Summary, error) {
				return server.Restore(cmd.Context(), loaded.Config, file, key, act, cmd.ErrOrStderr())
			}
			if check {
				done, carry = args[0]+" is complete", func() (backup.Summary, error) { return server.Verify(loaded.Config, file, key) }
			}
			var carried backup.Summary
			err = working(cmd, "reading the backup", func() (err error) {
				carried, err = carry()
				return errors.Join(err, file.Close())
			})
			if err != nil {
				return err
			}
			return sayCarried(cmd, done, carried)
		},
	}
	addSettings(cmd.Flags(), localSettings...)
	outcomeFlag(cmd.Flags())
	keyFileFlag(cmd.Flags(), &keyFile)
	cmd.Flags().BoolVar(&check, "check", false, "only read the backup to its end, and tell whether it is complete and unchanged")
	cmd.Flags().BoolVar(&act, "resume-rotations", false, "let rotations and webhooks go on at once: only if no target has been touched since the backup")
	return cmd
}

// writeNew writes a file that nobody else may read, and that appears when it is complete
// and on the disk. A file that is there is left alone.
func writeNew(path string, write func(io.Writer) error) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return &fault.Error{Kind: fault.Conflict, Message: path + " is there already, and was left as it is", Cause: err, Advice: "name another file"}
	}
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return unwritable(path, err)
	}
	if err := write(file); err != nil {
		return errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return errors.Join(unwritable(path, err), os.Remove(file.Name()))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return errors.Join(unwritable(path, err), os.Remove(file.Name()))
	}
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	return unwritable(path, err)
}

func unwritable(path string, err error) error {
	if err == nil {
		return nil
	}
	return &fault.Error{Kind: fault.Unavailable, Message: "the backup cannot be written: " + err.Error(), Cause: err,
		Advice: "look at the directory and its free space, or name another file than " + path}
}
