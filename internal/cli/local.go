package cli

import (
	"errors"
	"io/fs"
	"os"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/server"
	"rekey/internal/server/admin"
)

// localWork is what a command does where no server runs.
type localWork int

const (
	works   localWork = iota
	creates           // may meet a directory that is not there
	reads             // works on a database that takes no writes, too
)

// newLocal makes a command that works on a data directory, whether its server runs
// or not.
func newLocal(cmd *cobra.Command, work localWork, run func(cmd *cobra.Command, local *admin.Client, args []string) error) *cobra.Command {
	addSettings(cmd.Flags(), localSettings...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		loaded, err := config.LoadLocal(sources(cmd))
		if err != nil {
			return err
		}
		local, err := admin.Dial(cmd.Context(), loaded.DataDir)
		if err != nil {
			return err
		}
		if local != nil {
			return run(cmd, local, args)
		}
		if _, err := os.Stat(loaded.DataDir); errors.Is(err, fs.ErrNotExist) && work != creates && loaded.DatabaseURL.Len() == 0 {
			e := fault.New(fault.NotFound, "there is no data directory %s", loaded.DataDir)
			e.Advice = "name the right one with --data-dir or REKEY_DATA_DIR; to make a new one: " +
				server.NewRootKeyCommand(&loaded.Config) + " && rekey account create NAME --data-dir " + shellescape.Quote(loaded.DataDir)
			return e
		}
		open := server.Open
		if work == reads {
			open = server.OpenToRead
		}
		backend, err := open(cmd.Context(), loaded.Config, cmd.ErrOrStderr(), logger(&loaded.Config, cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		return errors.Join(run(cmd, backend.Local(), args), backend.Close())
	}
	return cmd
}
