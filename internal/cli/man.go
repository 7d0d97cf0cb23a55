package cli

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"rekey/internal/fault"
)

func manCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "man DIRECTORY", Short: "Write the manual pages",
		Long: "Writes a manual page for each command into a directory, which it makes if need be. The pages have today's\n" +
			"date, or that of SOURCE_DATE_EPOCH.",
		Example: "  rekey man share/man/man1",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fault.Wrap(err, "making the directory")
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Source: "rekey " + Version, Manual: "rekey"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fault.Wrap(err, "writing the manual pages")
			}
			return formOf(cmd).say(cmd, "Wrote the manual pages to "+args[0]+"\n", map[string]any{"directory": args[0]})
		},
	}
	outcomeFlag(cmd.Flags())
	return cmd
}
