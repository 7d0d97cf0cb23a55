package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

func whoAmICommand() *cobra.Command {
	cmd := newRemote(&cobra.Command{
		Use: "whoami", Short: "Show who is logged in, as the server sees it", Args: noArguments,
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		text, err := s.API.WhoAmI()
		if err != nil {
			return s.Explain(err, client.Task{Do: "ask who it is at", On: s.URL})
		}
		var answer map[string]any
		if err := json.Unmarshal(text, &answer); err != nil {
			return fault.Wrap(err, "reading the answer")
		}
		rows := describe(answer, "account", "username", "client_ip", "user_agent", "token_issued_at")
		return formOf(cmd).print(cmd, answer, []string{"FIELD", "VALUE"}, rows)
	})
	formatFlag(cmd.Flags())
	return cmd
}

func authenticateCommand() *cobra.Command {
	var asHeader bool
	var shape string
	cmd := &cobra.Command{
		Use: "authenticate [-H]", Short: "Print an access token",
		Long:    "Prints an access token, good for some minutes, as JSON or as the header of a request.",
		Example: "  curl -H \"$(rekey authenticate -H)\" \"$URL/secrets/demo/variable/shop/db/password\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if asHeader {
				shape = tokenHeader
			}
			if !slices.Contains(tokenShapes, shape) {
				return fmt.Errorf("'%s' is none of %s", shape, strings.Join(tokenShapes, ", "))
			}
			return noArguments(cmd, args)
		},
	}
	newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		token, err := s.Token()
		if err != nil {
			return err
		}
		switch shape {
		case tokenHeader:
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Authorization: Token token=\"%s\"\n", base64.StdEncoding.EncodeToString(token.Reveal()))
			return fault.Wrap(err, "writing the token")
		case tokenRaw:
			_, err = cmd.OutOrStdout().Write(token.Reveal())
			return fault.Wrap(err, "writing the token")
		}
		return formOf(cmd).reprint(cmd, token.Reveal(), "protected", "payload", "signature")
	})
	cmd.Flags().BoolVarP(&asHeader, "header", "H", false, "the same as --format header")
	cmd.Flags().StringVar(&shape, "format", tokenJSON, "json, raw (on one line as the server writes it, for CONJUR_AUTHN_TOKEN) or header")
	formatFlag(cmd.Flags())
	return cmd
}

// The shapes of an access token.
const (
	tokenJSON   = "json"
	tokenRaw    = "raw"
	tokenHeader = "header"
)

var tokenShapes = []string{tokenJSON, tokenRaw, tokenHeader}

// authnCommand has the spellings of older command lines.
func authnCommand() *cobra.Command {
	group := &cobra.Command{Use: "authn", Short: "Older spellings of login, logout, whoami and authenticate", Hidden: true}
	group.AddCommand(loginCommand(), logoutCommand(), whoAmICommand(), authenticateCommand())
	return group
}
