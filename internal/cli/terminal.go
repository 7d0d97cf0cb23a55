package cli

import (
	"fmt"
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

// promptPassword asks for a new password twice, without showing it.
func promptPassword(cmd *cobra.Command) (string, error) {
	file, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(file) {
		return "", fault.New(fault.Invalid, "standard input is no terminal to ask for the password: use --password-from-stdin")
	}
	var answers [2]string
	for i, prompt := range [...]string{"Enter new password: ", "Re-enter password: "} {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fault.Wrap(err, "reading the password")
		}
		answers[i] = string(text)
	}
	if answers[0] != answers[1] {
		return "", fault.New(fault.Invalid, "passwords do not match: try again")
	}
	return answers[0], nil
}

func trimNewline(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}
