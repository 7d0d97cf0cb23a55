// Package cli has the commands of rekey. Those for the operator of a server work on
// its data directory: through the server's socket while it runs, and by themselves
// while it is stopped. Those for everybody speak HTTP only, through package client.
//
// It promises that results go to standard output and everything else to standard
// error; that every result can be had as JSON, YAML or a table; that a failure ends
// with a line "error: ..." that says how to go on, or an object where JSON was asked
// for, and with an exit status by kind; that there is colour only on terminals, and not
// if NO_COLOR is set; that no value of a variable is destroyed without a yes. Called
// conjur it keeps the habits of that command line instead. It imports cli/client,
// server and what is below it.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rekey/internal/fault"
)

// Main runs the command line of the process and returns its exit status.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := command()
	root.SetArgs(called(root, os.Args, os.Getenv("REKEY_COMPAT")))
	refuseTypos(root)
	if err := addCompletions(root); err != nil {
		printFailure(os.Stderr, fault.Wrap(err, "preparing the completions"), false)
		return exitUnavailable
	}
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	cmd, err := root.ExecuteContextC(ctx)
	if isConjur(cmd) {
		return endAsConjur(cmd, err)
	}
	switch {
	case err == nil:
		return exitOK
	case !started && wantsJSON(cmd):
		printCompact(os.Stderr, failure{Code: "usage", Message: err.Error(), Advice: "see `" + cmd.CommandPath() + " --help`", Status: exitUsage})
		return exitUsage
	case !started:
		fmt.Fprintf(os.Stderr, "error: %v; see `%s --help`\n", err, cmd.CommandPath())
		return exitUsage
	case errors.As(err, new(answeredNo)):
		return exitFailed
	}
	printFailure(os.Stderr, err, wantsJSON(cmd))
	return exitStatus(err)
}

// The groups of commands in the help.
const (
	groupWork = "work"
	groupRun  = "run"
)

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "rekey",
		Short:         "A secrets manager whose trade is rotation",
		Long:          "rekey keeps secrets, hands them to those who may have them, and rotates keys.\n\nTo see it work: rekey quickstart",
		Version:       versionLine(),
		SilenceErrors: true, SilenceUsage: true,
	}
	remoteFlags(root.PersistentFlags()) // also before the verb, as in older command lines
	root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddGroup(&cobra.Group{ID: groupWork, Title: "Work with a server:"}, &cobra.Group{ID: groupRun, Title: "Run a server:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add(groupWork, initCommand(), loginCommand(), logoutCommand(), whoAmICommand(), doctorCommand(), authenticateCommand(), variableCommand(), rotationCommand(),
		policyCommand(), hostCommand(), userCommand(), listCommand(), resourceCommand(), roleCommand(), checkCommand(),
		hostFactoryCommand(), authenticatorCommand(), publicKeysCommand(), authnCommand(), showCommand(), execCommand(), providerCommand(), envCommand(), agentCommand())
	add(groupRun, quickstartCommand(), serverCommand(), accountCommand(), signingKeyCommand(), dataKeyCommand(), backupCommand(), restoreCommand(), storeCommand(), configCommand(), waitCommand())
	root.AddCommand(versionCommand(), manCommand())
	return root
}
