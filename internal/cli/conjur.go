package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi/response"
	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// conjurName is what the program is called to behave as the ecosystem's command line
// does, to the letter: exit statuses 0 and 1, errors in the words of the client
// library, no question before a policy load. Scripts that were written for that
// command line depend on it.
const conjurName = "conjur"

// conjurVersion is the version of the command line that it behaves as.
const conjurVersion = "9.1.0"

// called gives the root command the part that the program is to play, by the name that
// it was called by or by REKEY_COMPAT, and returns the arguments that are left.
func called(root *cobra.Command, args []string, compat string) []string {
	if len(args) == 0 {
		return args
	}
	switch name := strings.TrimSuffix(filepath.Base(args[0]), ".exe"); {
	case name == conjurName, compat == conjurName:
		playConjur(root)
	case strings.HasPrefix(name, providerPrefix):
		return append([]string{"provider"}, args[1:]...)
	}
	return args[1:]
}

func playConjur(root *cobra.Command) {
	root.Use = conjurName
	root.Version = "Conjur CLI version " + conjurVersion + " (" + versionLine() + ")"
	root.Short, root.Long = "Work with a server that speaks Conjur's protocol", ""
	for _, cmd := range root.Commands() {
		cmd.Hidden = cmd.Hidden || cmd.GroupID == groupRun
		renameExamples(cmd)
	}
}

// renameExamples writes the examples of a command as they work under the other name.
func renameExamples(cmd *cobra.Command) {
	cmd.Example = strings.ReplaceAll(cmd.Example, "rekey ", conjurName+" ")
	for _, below := range cmd.Commands() {
		renameExamples(below)
	}
}

// isConjur tells whether a command is to behave as that command line does.
func isConjur(cmd *cobra.Command) bool { return cmd.Root().Name() == conjurName }

// endAsConjur tells what came of a command, and returns the exit status.
func endAsConjur(cmd *cobra.Command, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(missingArgument)):
		_ = cmd.Help() // as there, it is no failure
		return exitOK
	case errors.As(err, new(ended)):
		printFailure(os.Stderr, err, false) // what else there is
		return exitStatus(err)
	case !errors.As(err, new(answeredNo)):
		fmt.Fprintln(os.Stderr, "Error: "+client.VisibleLines(conjurWords(cmd, err)))
	}
	return exitFailed
}

// conjurWords are those of the client library where the server has refused something:
// tools look for "401 Unauthorized" and "404 Not Found" in them.
func conjurWords(cmd *cobra.Command, err error) string {
	var refused *response.ConjurError
	switch {
	case cmd.Name() == "login" && fault.Is(err, fault.Unauthenticated):
		return "Unable to authenticate with Conjur. Please check your credentials."
	case errors.As(err, &refused):
		return refused.Error()
	}
	return strings.ReplaceAll(inWords(err), "\n", "; ")
}
