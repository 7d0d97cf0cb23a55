package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

func authenticatorCommand() *cobra.Command {
	group := &cobra.Command{Use: "authenticator", Short: "Enable and look at the ways to log in"}
	group.AddCommand(switchCommand("enable"), switchCommand("disable"), authenticatorStatusCommand(), authenticatorListCommand())
	return group
}

// splitAuthenticator reads authn-TYPE/SERVICE. Some types have no service.
func splitAuthenticator(s *client.Session, text string) (kind, service string, err error) {
	kind, service, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(text, s.Account+":webservice:"), "conjur/"), "/")
	if !strings.HasPrefix(kind, "authn") {
		e := fault.New(fault.Invalid, "'%s' is no authenticator", text)
		e.Advice = "write it as authn-TYPE/SERVICE, as in authn-jwt/ci"
		return "", "", e
	}
	return strings.TrimPrefix(kind, "authn-"), service, nil
}

// named gives a command an authenticator: as -i or as an argument.
func named(cmd *cobra.Command, id *string) *cobra.Command {
	cmd.Flags().StringVarP(id, "id", "i", "", "authn-TYPE/SERVICE")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *id == "" {
			if len(args) == 0 {
				return arguments(1, 1)(cmd, args)
			}
			*id, args = args[0], args[1:]
		}
		return noArguments(cmd, args)
	}
	outcomeFlag(cmd.Flags())
	return cmd
}

func switchCommand(verb string) *cobra.Command {
	var id string
	cmd := newRemote(&cobra.Command{
		Use: verb + " -i ID", Short: strings.ToUpper(verb[:1]) + verb[1:] + " an authenticator",
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		kind, service, err := splitAuthenticator(s, id)
		if err != nil {
			return err
		}
		if err := s.API.EnableAuthenticator(kind, service, verb == "enable"); err != nil {
			err = s.Explain(err, client.Task{Do: verb, On: id, Privilege: "update"})
			if fault.Is(err, fault.Unauthenticated) { // which is what servers say of one that they do not know
				e := &fault.Error{Kind: fault.NotFound, Message: "there is no authenticator " + id, Cause: err}
				e.Advice = "`rekey list -k webservice` shows those that a policy has"
				return e
			}
			return err
		}
		return formOf(cmd).say(cmd, "Authenticator "+id+" is "+verb+"d\n", map[string]any{"id": id, "enabled": verb == "enable"})
	})
	return named(cmd, &id)
}

func authenticatorStatusCommand() *cobra.Command {
	var id string
	cmd := newRemote(&cobra.Command{
		Use: "status -i ID", Short: "Tell whether an authenticator is set up well",
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		kind, service, err := splitAuthenticator(s, id)
		if err != nil {
			return err
		}
		status, err := s.API.AuthenticatorStatus(kind, service)
		if err != nil {
			return s.Explain(err, client.Task{Do: "ask about", On: id, Privilege: "read"})
		}
		text := status.Status
		if status.Error != "" {
			text += ": " + status.Error
		}
		return formOf(cmd).say(cmd, text+"\n", map[string]any{"status": status.Status, "error": status.Error})
	})
	return named(cmd, &id)
}

func authenticatorListCommand() *cobra.Command {
	cmd := newRemote(&cobra.Command{
		Use: "list", Short: "List the authenticators that one may see", Args: noArguments,
		Example: "  rekey authenticator list -o table",
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		all, err := s.API.V2().ListAuthenticators()
		if err != nil {
			return s.Explain(err, client.Task{Do: "list", On: "authenticators"})
		}
		var rows [][]string
		for _, a := range all.Authenticators {
			id, enabled := "authn-"+a.Type, a.Enabled != nil && *a.Enabled
			if a.Name != "" {
				id += "/" + a.Name
			}
			rows = append(rows, []string{id, strconv.FormatBool(enabled), a.Branch})
		}
		return formOf(cmd).print(cmd, all, []string{"ID", "ENABLED", "BRANCH"}, rows)
	})
	formatFlag(cmd.Flags())
	return cmd
}
