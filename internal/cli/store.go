package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/backup"
	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/server"
)

func storeCommand() *cobra.Command {
	group := &cobra.Command{Use: "store", Short: "Move everything between a data directory and a database"}
	var o server.CopyOptions
	cmd := &cobra.Command{
		Use: "copy --from STORE --to STORE", Short: "Copy everything from one store into an empty one",
		Long: "Copies everything, whichever way. A STORE is a data directory or a URL as in postgres://USER@HOST/DATABASE; the\n" +
			"password may stand in ~/.pgpass. Stop the servers of both first. If the command dies, start it again: it goes on\n" +
			"where it was. Nobody can use the copy before it has ended, and was read back and compared. Rotations go on\n" +
			"where the copy is served, so do not serve the source any more. A database may be a standby: then the copy\n" +
			"has what the standby has.",
		Example: "  rekey store copy --from old --to new",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.From == "" || o.To == "" {
				e := fault.New(fault.Invalid, "two stores are needed")
				e.Advice = "name them with --from and --to"
				return e
			}
			src := sources(cmd)
			for _, name := range []string{o.To, o.From} {
				if dir, ok := server.StoreDir(name); ok {
					src.Flags["data-dir"] = dir // where the root key is looked for
				}
			}
			loaded, err := config.LoadLocal(src)
			if err != nil {
				return err
			}
			said := -1
			o.Progress = func(rows, of int) {
				if said < 0 || rows/progressEvery > said/progressEvery || rows == of {
					fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s\n", rows, plural(of, "row"))
				}
				said = rows
			}
			o.Replica = func(newest time.Time) {
				fmt.Fprintf(cmd.ErrOrStderr(), "The source is a standby; the newest that it has is of %s. What was stored later is not copied.\n", newest.UTC().Format(time.RFC3339))
			}
			began := time.Now()
			copied, err := server.Copy(cmd.Context(), loaded.Config, o)
			if err != nil {
				return err
			}
			return sayCopied(cmd, copied, time.Since(began))
		},
	}
	cmd.Flags().StringVar(&o.From, "from", "", "the store that is copied")
	cmd.Flags().StringVar(&o.To, "to", "", "the empty store that is filled")
	cmd.Flags().BoolVar(&o.Restart, "restart", false, "throw away what a copy that has not ended has left, and begin again")
	addSettings(cmd.Flags(), "data_key_file")
	outcomeFlag(cmd.Flags())
	group.AddCommand(cmd)
	return group
}

// progressEvery is how many rows are between two lines about how far it has come.
const progressEvery = 10_000

func sayCopied(cmd *cobra.Command, c backup.Copied, took time.Duration) error {
	done := fmt.Sprintf("Copied %s in %s", plural(c.Rows, "row"), took.Round(time.Millisecond))
	switch {
	case c.Earlier == c.Rows && c.Rows > 0:
		done = fmt.Sprintf("The copy is there already: %s", plural(c.Rows, "row"))
	case c.Earlier > 0:
		done += fmt.Sprintf(", %d of them were there already", c.Earlier)
	}
	return formOf(cmd).say(cmd, fmt.Sprintf("%s\nDigest %s\n", done, c.Digest),
		map[string]any{"rows": c.Rows, "earlier": c.Earlier, "tables": c.Tables, "digest": c.Digest})
}
