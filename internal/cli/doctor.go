package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Find out why a command does not reach the server or is not let in",
		Long: "Looks at each setting and where it comes from, the modes of the files, the certificate, the server, the\n" +
			"clocks and the login, and tells how to mend what is wrong. It shows no secrets and changes nothing. The exit\n" +
			"status is 1 if something is wrong.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found := client.Examine(cmd.Context(), remoteOptions(cmd))
			if err := printFindings(cmd, found); err != nil {
				return err
			}
			bad := slices.ContainsFunc(found, func(f client.Finding) bool { return f.State == client.Bad })
			if bad {
				return ended(exitFailed)
			}
			return nil
		},
	}
	outcomeFlag(cmd.Flags())
	addRemoteFlags(cmd)
	return cmd
}

func printFindings(cmd *cobra.Command, found []client.Finding) error {
	form := formOf(cmd)
	if form != formatText {
		rows := make([][]string, len(found))
		for i, f := range found {
			rows[i] = []string{string(f.State), f.Check, f.Detail, f.Advice}
		}
		return form.print(cmd, found, []string{"STATE", "CHECK", "DETAIL", "ADVICE"}, rows)
	}
	out := cmd.OutOrStdout()
	paint := painter(out)
	colours := map[client.State]color.Attribute{client.Good: color.FgGreen, client.Warning: color.FgYellow, client.Bad: color.FgRed}
	var text strings.Builder
	for _, f := range found {
		fmt.Fprintf(&text, "%s %s: %s\n", paint(colours[f.State], fmt.Sprintf("%-7s", f.State)), f.Check, client.Visible(f.Detail))
		if f.Advice != "" {
			fmt.Fprintf(&text, "        %s\n", client.Visible(f.Advice))
		}
	}
	_, err := fmt.Fprint(out, text.String())
	return fault.Wrap(err, "writing what was found")
}
