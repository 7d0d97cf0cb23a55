package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
)

func hostFactoryCommand() *cobra.Command {
	group := &cobra.Command{Use: "hostfactory", Short: "Let machines enrol themselves as hosts"}
	tokens := &cobra.Command{Use: "tokens", Short: "Make and revoke the tokens that machines enrol with"}
	tokens.AddCommand(factoryTokensCreate("create"), factoryTokensRevoke("revoke"))
	hosts := &cobra.Command{Use: "hosts", Short: "Enrol a machine as a host"}
	hosts.AddCommand(factoryHostsCreate("create"))
	create := &cobra.Command{Use: "create", Short: "Older spellings", Hidden: true}
	create.AddCommand(factoryTokensCreate("token"), factoryHostsCreate("host"))
	revoke := &cobra.Command{Use: "revoke", Short: "Older spellings", Hidden: true}
	revoke.AddCommand(factoryTokensRevoke("token"))
	group.AddCommand(tokens, hosts, create, revoke)
	return group
}

func factoryTokensCreate(name string) *cobra.Command {
	var factory string
	var duration time.Duration
	var networks []string
	var count, days, hours, minutes int
	cmd := newRemote(&cobra.Command{
		Use: name + " -i FACTORY", Short: "Make tokens of a host factory",
		Example: "  rekey hostfactory tokens create -i shop/web --duration 1h --cidr 10.0.0.0/8",
		Args: func(cmd *cobra.Command, args []string) error {
			if factory == "" && len(args) == 1 {
				factory, args = args[0], nil
			}
			if factory == "" {
				return errors.New("give the host factory with -i")
			}
			return noArguments(cmd, args)
		},
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		id, err := s.ID(factory, "host_factory")
		if err != nil {
			return err
		}
		if older := time.Duration(days)*24*time.Hour + time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute; older > 0 {
			duration = older
		}
		tokens, err := s.API.CreateToken(duration.String(), string(id), networks, count)
		if err != nil {
			return s.Explain(err, client.Task{Do: "make tokens of", On: string(id), Privilege: "execute"})
		}
		var rows [][]string
		for _, token := range tokens {
			rows = append(rows, []string{token.Token, token.Expiration, strings.Join(token.Cidr, ",")})
		}
		return formOf(cmd).print(cmd, tokens, []string{"TOKEN", "EXPIRES", "NETWORKS"}, rows)
	})
	formatFlag(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVarP(&factory, "id", "i", "", "id of the host factory")
	flags.StringVar(&factory, "hostfactoryid", "", "the same as --id")
	flags.StringVar(&factory, "hostfactory-id", "", "the same as --id")
	flags.DurationVar(&duration, "duration", 10*time.Minute, "how long the tokens are good for, as in 10m or 2h")
	flags.StringSliceVarP(&networks, "cidr", "c", nil, "networks from which they are good, with commas between")
	flags.IntVarP(&count, "count", "n", 1, "how many")
	flags.IntVar(&days, "duration-days", 0, "part of the duration")
	flags.IntVar(&hours, "duration-hours", 0, "part of the duration")
	flags.IntVar(&minutes, "duration-minutes", 0, "part of the duration")
	hide(cmd, "hostfactoryid", "hostfactory-id", "duration-days", "duration-hours", "duration-minutes")
	return cmd
}

func factoryTokensRevoke(name string) *cobra.Command {
	var token string
	cmd := newRemote(&cobra.Command{
		Use: name + " -t TOKEN", Short: "Revoke a token of a host factory",
		Args: func(cmd *cobra.Command, args []string) error {
			if token == "" && len(args) == 1 {
				token, args = args[0], nil
			}
			if token == "" {
				return errors.New("give the token with -t")
			}
			return noArguments(cmd, args)
		},
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		if err := s.API.DeleteToken(token); err != nil {
			return s.Explain(err, client.Task{Do: "revoke", On: "the token", Privilege: "update"})
		}
		return formOf(cmd).say(cmd, "Token has been revoked.\n", map[string]any{"revoked": true})
	})
	outcomeFlag(cmd.Flags())
	cmd.Flags().StringVarP(&token, "token", "t", "", "the token")
	return cmd
}

// factoryHostsCreate needs no login: the token is the credential.
func factoryHostsCreate(name string) *cobra.Command {
	var id, token string
	cmd := &cobra.Command{
		Use: name + " -i HOST -t TOKEN", Short: "Make a host, or give one that the factory has made a new key",
		Long: "Prints the host and its API key. It needs no login but the token.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && id == "" && token == "" {
				token, id, args = args[0], args[1], nil
			}
			if id == "" || token == "" {
				return errors.New("give the host with -i and the token with -t")
			}
			return noArguments(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := client.Anonymous(cmd.Context(), remoteOptions(cmd))
			if err != nil {
				return err
			}
			host, err := s.Enrol(strings.TrimPrefix(id, "host/"), token)
			if err != nil {
				return err
			}
			return formOf(cmd).reprint(cmd, host, "id", "api_key", "owner", "created_at", "annotations")
		},
	}
	formatFlag(cmd.Flags())
	cmd.Flags().StringVarP(&id, "id", "i", "", "name of the host")
	cmd.Flags().StringVarP(&token, "token", "t", "", "the token")
	addRemoteFlags(cmd)
	return cmd
}

func publicKeysCommand() *cobra.Command {
	show := func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.ID(args[0], "user")
		if err != nil {
			return err
		}
		keys, err := s.API.PublicKeys("user", id.Identifier())
		if err != nil {
			return s.Explain(err, client.Task{Do: "read the public keys of", On: string(id)})
		}
		fields := map[string]any{"id": string(id), "public_keys": strings.Split(strings.TrimSpace(string(keys)), "\n")}
		return formOf(cmd).say(cmd, string(keys), fields)
	}
	cmd := newRemote(&cobra.Command{
		Use: "pubkeys USER", Short: "Print the public keys of a user", Args: exactly(1),
	}, show)
	older := newRemote(&cobra.Command{Use: "show USER", Short: "An older spelling", Args: exactly(1), Hidden: true}, show)
	outcomeFlag(cmd.Flags())
	outcomeFlag(older.Flags())
	cmd.AddCommand(older)
	return cmd
}
