package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

const otherSecrets = "pipe it in with --password-stdin or --api-key-stdin"

func loginCommand() *cobra.Command {
	var id, password string
	var passwordStdin, keyStdin bool
	cmd := &cobra.Command{
		Use: "login [-i LOGIN]", Short: "Log in and keep the API key for the next commands",
		Long: "Trades a password for the API key, or takes the key itself, and keeps it in the keyring or in a netrc\n" +
			"file. Users log in as NAME, hosts as host/NAME. If the server refuses, the form of the key is looked at,\n" +
			"to tell what is wrong with it.",
		Example: "  rekey login -i alice\n  rekey login -i host/shop/web-1 --api-key-stdin < web-1.key",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := client.Anonymous(cmd.Context(), remoteOptions(cmd))
			if err != nil {
				return err
			}
			if kind := s.API.GetConfig().AuthnType; kind != "" && kind != "authn" && kind != "ldap" {
				return loginElsewhere(cmd, kind)
			}
			if id == "" {
				if id, err = ask(cmd, cmd.ErrOrStderr(), "Login: ", "give it with -i LOGIN"); err != nil {
					return err
				}
			}
			login, err := s.Login(id)
			if err != nil {
				return err
			}
			switch {
			case passwordStdin, keyStdin:
				password, err = secretFromStdin(cmd)
			case password == "" && strings.HasPrefix(login, "host/"):
				password, err = askSecret(cmd, "API key of "+login+": ", otherSecrets)
			case password == "":
				password, err = askSecret(cmd, "Password or API key of "+login+": ", otherSecrets)
			}
			if err == nil && password == "" {
				what := "password or API key"
				if keyStdin || strings.HasPrefix(login, "host/") {
					what = "key"
				}
				e := fault.New(fault.Invalid, "the %s is empty", what)
				e.Advice = "type it, or " + otherSecrets
				err = e
			}
			if err != nil {
				return err
			}
			return logIn(cmd, s, login, secret.FromString(password), keyStdin)
		},
	}
	cmd.Flags().StringVarP(&id, "id", "i", "", "login: NAME, host/NAME, or the id of the role")
	cmd.Flags().StringVarP(&id, "username", "u", "", "the same as --id")
	cmd.Flags().StringVarP(&password, "password", "p", "", "password or API key; others on this machine may see it")
	cmd.Flags().BoolVar(&passwordStdin, "password-stdin", false, "read the password or API key from standard input")
	cmd.Flags().BoolVar(&keyStdin, "api-key-stdin", false, "read the API key from standard input")
	cmd.MarkFlagsMutuallyExclusive("id", "username")
	cmd.MarkFlagsMutuallyExclusive("password", "password-stdin", "api-key-stdin")
	hide(cmd, "username")
	outcomeFlag(cmd.Flags())
	addRemoteFlags(cmd)
	return cmd
}

func logIn(cmd *cobra.Command, s *client.Session, login string, credential secret.Bytes, isKey bool) error {
	cfg, err := client.Load(remoteOptions(cmd))
	if err != nil {
		return err
	}
	key, err := s.LogIn(login, credential, isKey)
	if err != nil {
		return err
	}
	keep, err := client.OpenKeep(&cfg)
	if err != nil {
		return err
	}
	client.ForgetTokens(&cfg)
	if keep != nil && !client.ReadOnly(&cfg) {
		if err := client.Store(keep, login, key); err != nil {
			return err
		}
	}
	warnOfEnvironment(cmd)
	return formOf(cmd).say(cmd, "Logged in\n", map[string]any{"url": s.URL, "account": s.Account, "login": login})
}

// loginElsewhere tries a login that needs nothing but the configuration.
func loginElsewhere(cmd *cobra.Command, kind string) error {
	if kind == "oidc" {
		e := fault.New(fault.Invalid, "the configuration says that logins go through OpenID Connect, which needs a browser")
		e.Advice = "put an access token into CONJUR_AUTHN_TOKEN, or configure another way: `rekey init -t authn`"
		return e
	}
	s, err := client.Open(cmd.Context(), remoteOptions(cmd))
	if err != nil {
		return err
	}
	return formOf(cmd).say(cmd, "Logged in\n", map[string]any{"url": s.URL, "account": s.Account, "login": s.Who})
}

// warnOfEnvironment tells that other credentials come first.
func warnOfEnvironment(cmd *cobra.Command) {
	for _, name := range [...]string{"CONJUR_AUTHN_TOKEN_FILE", "CONJUR_AUTHN_TOKEN", "CONJUR_AUTHN_API_KEY"} {
		if os.Getenv(name) != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s is set and comes before what is stored: unset it\n", name)
		}
	}
}

func logoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "logout", Short: "Forget the stored API key", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := client.Load(remoteOptions(cmd))
			if err != nil {
				return err
			}
			keep, err := client.OpenKeep(&cfg)
			if err == nil && keep != nil {
				err = keep.Forget()
			}
			client.ForgetTokens(&cfg)
			if err != nil {
				return err
			}
			warnOfEnvironment(cmd)
			return formOf(cmd).say(cmd, "Logged out\n", map[string]any{"url": cfg.ApplianceURL, "account": cfg.Account})
		},
	}
	outcomeFlag(cmd.Flags())
	addRemoteFlags(cmd)
	return cmd
}

// hide takes flags out of the help that are answered for older scripts only.
func hide(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		cmd.Flags().Lookup(name).Hidden = true
	}
}
