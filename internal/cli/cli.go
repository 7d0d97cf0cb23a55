// Package cli has the commands of rekey. Those for the operator of a server work on
// its data directory: through the server's socket while it runs, and by themselves
// while it is stopped. Those for everybody speak HTTP only, through package client.
//
// It promises that results go to standard output and everything else to standard
// error; that a failure ends with a line "error: ..." that says how to go on and
// with an exit status by kind; that there is colour only on terminals, and not if
// NO_COLOR is set; that no value of a variable is destroyed without a yes. It imports
// cli/client, server and what is below it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"rekey/internal/fault"
)

// Exit statuses.
const (
	exitOK              = 0
	exitFailed          = 1
	exitUsage           = 2
	exitPolicyInvalid   = 3
	exitUnauthenticated = 4
	exitForbidden       = 5
	exitNotFound        = 6
	exitConflict        = 7
	exitUnavailable     = 8
)

// Main runs the command line of the process and returns its exit status.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := command()
	refuseTypos(root)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case !started:
		fmt.Fprintf(os.Stderr, "error: %v; see `%s --help`\n", err, cmd.CommandPath())
		return exitUsage
	case errors.As(err, new(answeredNo)):
		return exitFailed
	}
	printError(os.Stderr, err)
	return exitStatus(err)
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "rekey",
		Short:         "A secrets manager whose trade is rotation",
		Long:          "rekey keeps secrets, hands them to those who may have them, and rotates keys.\n\nTo see it work: rekey quickstart",
		Version:       versionLine(),
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddGroup(&cobra.Group{ID: "work", Title: "Work with a server:"}, &cobra.Group{ID: "run", Title: "Run a server:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add("work", initCommand(), loginCommand(), logoutCommand(), whoAmICommand(), authenticateCommand(), variableCommand(),
		policyCommand(), hostCommand(), userCommand(), listCommand(), resourceCommand(), roleCommand(), checkCommand(),
		hostFactoryCommand(), publicKeysCommand(), authnCommand(), showCommand())
	add("run", quickstartCommand(), serverCommand(), accountCommand(), signingKeyCommand(), dataKeyCommand(), configCommand(), waitCommand())
	root.AddCommand(versionCommand())
	return root
}

// printError writes a line for each error that is joined in err.
func printError(w io.Writer, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			printError(w, e)
		}
		return
	}
	text := err.Error()
	var known *fault.Error
	if errors.As(err, &known) {
		if at := fmt.Sprintf("line %d, column %d", known.Line, known.Column); known.Line > 0 && !strings.Contains(text, at) {
			text += " (" + at + ")"
		}
		if known.Advice != "" {
			text += ": " + known.Advice
		}
	}
	fmt.Fprintln(w, "error: "+text)
}

// exitStatus is that of the first error of the vocabulary in err.
func exitStatus(err error) int {
	var known *fault.Error
	if !errors.As(err, &known) {
		return exitFailed
	}
	switch known.Kind {
	case fault.PolicyInvalid:
		return exitPolicyInvalid
	case fault.Unauthenticated:
		return exitUnauthenticated
	case fault.Forbidden:
		return exitForbidden
	case fault.NotFound:
		return exitNotFound
	case fault.Conflict, fault.Busy:
		return exitConflict
	case fault.Internal, fault.Unavailable:
		return exitUnavailable
	}
	return exitFailed
}
