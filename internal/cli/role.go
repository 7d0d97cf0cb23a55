package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/fault"
	"rekey/internal/server/admin"
)

func roleCommand() *cobra.Command {
	role := &cobra.Command{Use: "role", Short: "Look at roles; as the operator, retrieve keys and reset passwords"}

	retrieve := newLocal(&cobra.Command{
		Use: "retrieve-key ROLE...", Short: "Print the API keys of roles, one a line",
		Long:    "Prints the API keys of users and hosts, one a line, in the order asked.",
		Example: "  rekey role retrieve-key demo:user:admin demo:host:shop/web-1",
		Args:    arguments(1, many),
	}, works, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		var failed error
		keys := map[string]string{}
		for _, name := range args {
			key, err := local.RetrieveKey(cmd.Context(), name)
			if fault.Is(err, fault.NotFound) {
				err = &fault.Error{Kind: fault.NotFound, Message: "role does not exist: " + name, Advice: "look for its id with `rekey list`", Cause: err}
			}
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			if keys[name] = key; formOf(cmd) == formatText {
				fmt.Fprintln(cmd.OutOrStdout(), key)
			}
		}
		if formOf(cmd) == formatText {
			return failed
		}
		return errors.Join(formOf(cmd).print(cmd, keys, []string{"ROLE", "API KEY"}, keyRows(keys)), failed)
	})
	outcomeFlag(retrieve.Flags())

	var fromStdin bool
	reset := newLocal(&cobra.Command{
		Use: "reset-password ROLE", Short: "Set a user's password and replace its API key",
		Long:    "Sets the password of a user and replaces its API key, which it prints.",
		Example: "  rekey role reset-password demo:user:admin",
		Args:    exactly(1),
	}, works, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		ask := func() (string, error) { return promptPassword(cmd, "--password-from-stdin") }
		if fromStdin {
			ask = func() (string, error) { return passwordFromStdin(cmd) }
		}
		password, err := ask()
		if err != nil {
			return err
		}
		key, err := local.ResetPassword(cmd.Context(), args[0], password)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("Password changed and API key rotated for '%s'.\n\nNew API key: %s\n", args[0], key)
		return formOf(cmd).say(cmd, text, map[string]any{"id": args[0], "api_key": key})
	})
	outcomeFlag(reset.Flags())
	reset.Flags().BoolVar(&fromStdin, "password-from-stdin", false, "read the password from standard input")

	role.AddCommand(roleShowCommand(), roleExistsCommand(), roleMembersCommand(), roleMembershipsCommand(), roleTreeCommand(), retrieve, reset)
	return role
}
