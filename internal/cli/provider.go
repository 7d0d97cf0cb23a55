package cli

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// providerPrefix begins the names under which the program is a provider of Summon's,
// such as summon-rekey.
const providerPrefix = "summon-"

func providerCommand() *cobra.Command {
	cmd := newRemote(&cobra.Command{
		Use: "provider [ID]", Aliases: []string{"summon"}, Short: "Hand secrets to Summon",
		Long: "Speaks the protocol of Summon's providers. With an id it prints the value of that variable as it is.\n" +
			"Without one it reads ids from standard input, one a line, and answers each at once by a line with the value\n" +
			"in base64, or by a line on standard error.\n\n" +
			"Called by a name that begins with summon-, the program is a provider by itself: link it into the folder where\n" +
			"Summon looks for them.",
		Example: "  rekey provider shop/db/password\n" +
			"  ln -s \"$(command -v rekey)\" summon-rekey && ./summon-rekey shop/db/password",
		Args:    arguments(0, 1),
		Version: Version,
	}, func(cmd *cobra.Command, s *client.Session, args []string) error {
		if len(args) == 0 {
			return provideAll(cmd, s)
		}
		value, err := s.Value(args[0])
		if err == nil {
			_, err = cmd.OutOrStdout().Write(value)
		}
		return fault.Wrap(err, "providing '%s'", args[0])
	})
	cmd.SetVersionTemplate("{{.Version}}\n")
	return cmd
}

// provideAll answers line by line: whoever asks may wait for an answer before the next
// question.
func provideAll(cmd *cobra.Command, s *client.Session) error {
	var failed error
	lines := bufio.NewScanner(cmd.InOrStdin())
	for lines.Scan() {
		value, err := s.Value(lines.Text())
		if err != nil {
			failed = errors.Join(failed, err)
			printFailure(cmd.ErrOrStderr(), err, false)
			continue
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), base64.StdEncoding.EncodeToString(value)); err != nil {
			return fault.Wrap(err, "providing secrets")
		}
	}
	if failed != nil {
		return ended(exitStatus(failed)) // each failure has been told
	}
	return fault.Wrap(lines.Err(), "reading the ids")
}
