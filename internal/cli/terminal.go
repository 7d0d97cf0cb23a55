package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"rekey/internal/fault"
)

// isTerminal tells whether a stream of a command is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// promptPassword asks for a new password twice, without showing it. The flag is the
// other way to give it.
func promptPassword(cmd *cobra.Command, flag string) (string, error) {
	if !isTerminal(cmd.InOrStdin()) {
		return "", fault.New(fault.Invalid, "standard input is no terminal to ask for the password: use %s", flag)
	}
	password, err := askSecret(cmd, "Enter new password: ", flag)
	if err != nil {
		return "", err
	}
	again, err := askSecret(cmd, "Re-enter password: ", flag)
	if err != nil {
		return "", err
	}
	if again != password {
		return "", fault.New(fault.Invalid, "passwords do not match: try again")
	}
	return password, nil
}

func trimNewline(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}
