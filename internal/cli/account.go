package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/fault"
	"rekey/internal/server/admin"
)

func accountCommand() *cobra.Command {
	account := &cobra.Command{Use: "account", Short: "Create, delete and list accounts"}

	var fromStdin bool
	create := newLocal(&cobra.Command{
		Use: "create NAME", Short: "Create an account, its signing key and its admin",
		Long: "Creates an account with a signing key and a user admin. Prints the public half of the signing key as PEM,\n" +
			"and in the last line the admin's API key, unless a password was given.",
		Args: exactly(1),
	}, creates, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		var password *string
		if fromStdin {
			text, err := passwordFromStdin(cmd)
			if err != nil {
				return err
			}
			password = &text
		}
		created, err := local.CreateAccount(cmd.Context(), args[0], password)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Created new account '%s'\n", created.Name)
		fields := map[string]any{"id": created.Name, "public_key": created.PublicKey}
		if created.APIKey != "" {
			fields["api_key"] = created.APIKey
		}
		return formOf(cmd).say(cmd, accountText(created), fields)
	})
	outcomeFlag(create.Flags())
	create.Flags().BoolVar(&fromStdin, "password-from-stdin", false, "read the admin's password from standard input")

	var yes bool
	remove := newLocal(&cobra.Command{
		Use: "delete NAME", Short: "Delete an account and everything in it",
		Long: "Deletes an account and everything in it. On a terminal it tells what is going to be destroyed, and asks;\n" +
			"where nobody can be asked, as in a script, it goes on.",
		Args: exactly(1),
	}, works, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		if err := agreeToDelete(cmd, local, args[0], yes); err != nil {
			return err
		}
		if err := local.DeleteAccount(cmd.Context(), args[0]); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Deleted account '%s'\n", args[0])
		return formOf(cmd).say(cmd, "", map[string]any{"deleted": args[0]})
	})
	outcomeFlag(remove.Flags())
	remove.Flags().BoolVar(&yes, "yes", false, "do not ask")

	list := newLocal(&cobra.Command{
		Use: "list", Short: "List the accounts, one a line", Args: noArguments,
	}, works, func(cmd *cobra.Command, local *admin.Client, _ []string) error {
		names, err := local.ListAccounts(cmd.Context())
		return errors.Join(formOf(cmd).lines(cmd, "ACCOUNT", names), err)
	})
	outcomeFlag(list.Flags())

	account.AddCommand(create, remove, list)
	return account
}

// agreeToDelete asks on a terminal before an account is deleted.
func agreeToDelete(cmd *cobra.Command, local *admin.Client, name string, yes bool) error {
	if yes || !isTerminal(cmd.InOrStdin()) {
		return nil
	}
	weight, err := local.WeighAccount(cmd.Context(), name)
	if err != nil {
		return err
	}
	agreed, err := agrees(cmd, cmd.ErrOrStderr(), fmt.Sprintf("This destroys the account '%s' for good: %s, and the values of %s. Destroy it?",
		name, plural(weight.Roles, "role"), plural(weight.Values, "variable")), "say --yes")
	if err == nil && !agreed {
		e := fault.New(fault.Invalid, "the account '%s' was not deleted", name)
		e.Advice = "answer yes, or say --yes"
		return e
	}
	return err
}

// accountText is the lines that scripts read the key from.
func accountText(created admin.Account) string {
	if created.APIKey == "" {
		return "Token-Signing Public Key: " + created.PublicKey + "Password is set\n"
	}
	return "Token-Signing Public Key: " + created.PublicKey + "API key for admin: " + created.APIKey + "\n"
}

func signingKeyCommand() *cobra.Command {
	key := &cobra.Command{Use: "signing-key", Short: "Rotate the key that signs access tokens"}
	rotate := newLocal(&cobra.Command{
		Use: "rotate ACCOUNT", Short: "Give an account a new signing key",
		Long: "Gives an account a new signing key and prints its id. Tokens that the previous key has signed stay\n" +
			"good until they expire.",
		Args: exactly(1),
	}, works, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		id, err := local.RotateSigningKey(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return formOf(cmd).say(cmd, id+"\n", map[string]any{"account": args[0], "key_id": id})
	})
	outcomeFlag(rotate.Flags())
	key.AddCommand(rotate)
	return key
}

// passwordFromStdin reads to the end and drops one final newline.
func passwordFromStdin(cmd *cobra.Command) (string, error) {
	if isTerminal(cmd.InOrStdin()) {
		return "", fault.New(fault.Invalid, "standard input is a terminal: pipe the password in, as in `rekey ... --password-from-stdin < FILE`")
	}
	text, err := readAll(cmd)
	return trimNewline(text), err
}
