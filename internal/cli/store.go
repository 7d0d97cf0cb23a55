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
	var from, to string
	cmd := &cobra.Command{
		Use: "copy --from STORE --to STORE", Short: "Copy everything from one store into an empty one",
		Long: "Copies everything, whichever way, completely or not at all; what dies on the way is begun again. A STORE is a data\n" +
			"directory or a URL as in postgres://USER@HOST/DATABASE; the password may stand in ~/.pgpass. Stop the servers of\n" +
			"both first. Rotations go on where the copy is served, so do not serve the source any more.",
		Example: "  rekey store copy --from old --to new",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				e := fault.New(fault.Invalid, "two stores are needed")
				e.Advice = "name them with --from and --to"
				return e
			}
			src := sources(cmd)
			for _, name := range []string{to, from} {
				if dir, ok := server.StoreDir(name); ok {
					src.Flags["data-dir"] = dir // where the root key is looked for
				}
			}
			loaded, err := config.LoadLocal(src)
			if err != nil {
				return err
			}
			progress := func(rows int) { fmt.Fprintln(cmd.ErrOrStderr(), rows, "rows") }
			began := time.Now()
			copied, err := server.Copy(cmd.Context(), loaded.Config, from, to, progress)
			if err != nil {
				return err
			}
			return sayCopied(cmd, copied, time.Since(began))
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the store that is copied")
	cmd.Flags().StringVar(&to, "to", "", "the empty store that is filled")
	addSettings(cmd.Flags(), "data_key_file")
	outcomeFlag(cmd.Flags())
	group.AddCommand(cmd)
	return group
}

func sayCopied(cmd *cobra.Command, s backup.Summary, took time.Duration) error {
	return formOf(cmd).say(cmd, fmt.Sprintf("Copied %s in %s\nDigest %s\n", plural(s.Rows, "row"), took.Round(time.Millisecond), s.Digest),
		map[string]any{"rows": s.Rows, "tables": s.Tables, "digest": s.Digest})
}
