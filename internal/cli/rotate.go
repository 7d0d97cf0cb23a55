package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

func hostCommand() *cobra.Command {
	group := &cobra.Command{Use: "host", Short: "Rotate the API keys of hosts"}
	group.AddCommand(rotateCommand("host"))
	return group
}

func userCommand() *cobra.Command {
	group := &cobra.Command{Use: "user", Short: "Rotate the API keys of users, change one's password"}
	group.AddCommand(rotateCommand("user"), changePasswordCommand())
	return group
}

func rotateCommand(kind string) *cobra.Command {
	var id, output string
	cmd := &cobra.Command{
		Use: "rotate-api-key [-i ID]", Aliases: []string{"rotate_api_key"}, Short: "Replace the API key of a " + kind,
		Long: "Prints a new API key; the old one is dead at once. Without -i it is the key of whoever is logged in, and\n" +
			"the new one is stored where the old one was: the place for it is made before the old one is given up.",
		Example: "  rekey " + kind + " rotate-api-key -i " + map[string]string{"host": "shop/web-1", "user": "alice"}[kind] + " --out new.key",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" {
				return rotateOwn(cmd, kind, output)
			}
			s, err := client.Open(cmd.Context(), remoteOptions(cmd))
			if err != nil {
				return err
			}
			role, err := s.ID(id, kind)
			if err != nil {
				return err
			}
			if role == s.Role() {
				return rotateOwn(cmd, kind, output)
			}
			key, err := s.API.RotateAPIKey(string(role))
			if err != nil {
				return s.Explain(err, client.Task{Do: "rotate the key of", On: string(role), Privilege: "update"})
			}
			return handOut(cmd, key, output)
		},
	}
	cmd.Flags().StringVarP(&id, "id", "i", "", "id of another "+kind)
	cmd.Flags().StringVar(&output, "out", "", "write the key to a file for its user only, instead of printing it")
	addRemoteFlags(cmd)
	return cmd
}

func rotateOwn(cmd *cobra.Command, kind, output string) error {
	key, where, err := client.RotateOwnKey(cmd.Context(), remoteOptions(cmd), kind)
	if key.Len() == 0 {
		return err
	}
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: the old key is dead, and the new one could not be stored: keep what is printed here")
		fmt.Fprintln(cmd.OutOrStdout(), key.RevealString())
		return err
	}
	if where == "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: the old key is dead; put the new one where the old one came from, such as CONJUR_AUTHN_API_KEY")
	} else {
		fmt.Fprintln(cmd.ErrOrStderr(), "The new key is stored in "+where)
	}
	return handOut(cmd, key.Reveal(), output)
}

// handOut prints a key or writes it to a file. If that fails, it is printed after all.
func handOut(cmd *cobra.Command, key []byte, output string) error {
	if output == "" {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", key)
		return fault.Wrap(err, "writing the key")
	}
	err := client.WriteFile(output, append(key[:len(key):len(key)], '\n'))
	if err != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", key)
	}
	return err
}

func changePasswordCommand() *cobra.Command {
	var password string
	var fromStdin bool
	cmd := newRemote(&cobra.Command{
		Use: "change-password", Aliases: []string{"update_password"}, Short: "Change one's own password",
		Long:    "Changes the password of the user who is logged in. The API key stays the same.",
		Example: "  rekey user change-password",
		Args:    noArguments,
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		var err error
		switch {
		case fromStdin:
			password, err = secretFromStdin(cmd)
		case password == "":
			password, err = promptPassword(cmd, "--password-stdin")
		}
		if err != nil {
			return err
		}
		if err := s.ChangePassword(password); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), "Password changed")
		return nil
	})
	cmd.Flags().StringVarP(&password, "password", "p", "", "new password; others on this machine may see it")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the new password from standard input")
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin")
	return cmd
}
