package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

func hostCommand() *cobra.Command {
	group := &cobra.Command{Use: "host", Short: "Make hosts, rotate their API keys"}
	group.AddCommand(createCommand("host"), rotateCommand("host"))
	return group
}

func userCommand() *cobra.Command {
	group := &cobra.Command{Use: "user", Short: "Make users, rotate their API keys, change one's password"}
	group.AddCommand(createCommand("user"), rotateCommand("user"), changePasswordCommand())
	return group
}

func rotateCommand(kind string) *cobra.Command {
	var id, output string
	var how client.Rotation
	cmd := &cobra.Command{
		Use: "rotate-api-key [-i ID]", Aliases: []string{"rotate_api_key"}, Short: "Replace the API key of a " + kind,
		Long: "Prints a new API key; then the old one is dead. Without -i it is the key of whoever is logged in, and the\n" +
			"new one is stored where the old one was. There is a place for it before the server is asked, and the old\n" +
			"key goes on until the new one is stored: wherever this stops, a key that works is left.",
		Example: "  rekey " + kind + " rotate-api-key -i " + map[string]string{"host": "shop/web-1", "user": "alice"}[kind] + " --out new.key",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if id == "" {
				return rotateOwn(cmd, kind, how, output)
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
				return rotateOwn(cmd, kind, how, output)
			}
			key, err := s.RotateKey(role, how)
			if err != nil {
				return err
			}
			return handOut(cmd, role, key, output)
		},
	}
	cmd.Flags().StringVarP(&id, "id", "i", "", "id of another "+kind)
	outcomeFlag(cmd.Flags())
	cmd.Flags().StringVar(&output, "out", "", "write the key to a file for its user only, instead of printing it")
	cmd.Flags().StringVar(&how.OldKey, "old-key", "", "how long the old key still logs in, as an ISO 8601 duration such as PT15M")
	addRemoteFlags(cmd)
	return cmd
}

func rotateOwn(cmd *cobra.Command, kind string, how client.Rotation, output string) error {
	return client.RotateOwnKey(cmd.Context(), remoteOptions(cmd), kind, how, func(role ident.ID, key secret.Bytes, where string) error {
		if where == "" {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: the new key is stored nowhere: put it where the old one came from, such as CONJUR_AUTHN_API_KEY")
		} else {
			fmt.Fprintln(cmd.ErrOrStderr(), "The new key is stored in "+where)
		}
		return handOut(cmd, role, key, output)
	})
}

// handOut prints a key or writes it to a file. If that fails, it is printed after all.
func handOut(cmd *cobra.Command, role ident.ID, key secret.Bytes, output string) error {
	var failed error
	line := key.RevealString() + "\n"
	if output != "" {
		if failed = client.WriteFile(output, []byte(line)); failed == nil {
			return formOf(cmd).say(cmd, "", map[string]any{"id": string(role), "written_to": output})
		}
	}
	return errors.Join(failed, formOf(cmd).say(cmd, line, map[string]any{"id": string(role), "api_key": key.RevealString()}))
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
		return formOf(cmd).say(cmd, "Password changed\n", map[string]any{"id": string(s.Role())})
	})
	outcomeFlag(cmd.Flags())
	cmd.Flags().StringVarP(&password, "password", "p", "", "new password; others on this machine may see it")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the new password from standard input")
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin")
	return cmd
}
