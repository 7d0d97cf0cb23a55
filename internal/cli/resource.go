package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
)

func resourceCommand() *cobra.Command {
	group := &cobra.Command{Use: "resource", Short: "Look at resources"}
	check := checkCommand()
	check.Hidden = true
	group.AddCommand(resourceShowCommand(), resourceExistsCommand(), permittedRolesCommand(), check)
	return group
}

func resourceShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show all that is known of a resource",
		Example: "  rekey resource show variable:shop/db/password", Args: exactly(1),
	}
	form := formatFlag(cmd.Flags())
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.ID(args[0], "")
		if err != nil {
			return err
		}
		resource, err := s.API.Resource(string(id))
		if err != nil {
			return s.Explain(err, client.Task{Do: "look at", On: string(id), Privilege: "read"})
		}
		rows := describe(resource, "id", "owner", "policy", "created_at", "restricted_to", "annotations", "permissions", "secrets", "layers")
		return form.print(cmd, resource, []string{"FIELD", "VALUE"}, rows)
	})
}

func resourceExistsCommand() *cobra.Command {
	return existsCommand("resource", func(s *client.Session, text string) (string, bool, error) {
		id, err := s.ID(text, "")
		if err != nil {
			return "", false, err
		}
		found, err := s.API.ResourceExists(string(id))
		return string(id), found, err
	})
}

// existsCommand asks whether something is there.
func existsCommand(what string, exists func(s *client.Session, text string) (string, bool, error)) *cobra.Command {
	var asJSON, quiet bool
	cmd := newRemote(&cobra.Command{
		Use: "exists ID", Short: "Tell whether a " + what + " is there",
		Long: "Prints true or false. With -q it prints nothing, and the exit status is 0 for yes and 1 for no.",
		Args: exactly(1),
	}, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, found, err := exists(s, args[0])
		if err != nil {
			return s.Explain(err, client.Task{Do: "look at", On: id})
		}
		if asJSON && !quiet {
			return printJSON(cmd.OutOrStdout(), map[string]bool{"exists": found})
		}
		return printAnswer(cmd, "exists", found, quiet)
	})
	outcomeFlag(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	quietFlag(cmd, &quiet)
	return cmd
}

func permittedRolesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "permitted-roles ID PRIVILEGE", Aliases: []string{"permitted_roles"}, Short: "List the roles that have a privilege on a resource",
		Example: "  rekey resource permitted-roles variable:shop/db/password execute", Args: exactly(2),
	}
	form := formatFlag(cmd.Flags())
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		return printPermitted(cmd, s, *form, args[0], args[1])
	})
}

func printPermitted(cmd *cobra.Command, s *client.Session, f format, resource, privilege string) error {
	id, err := s.ID(resource, "")
	if err != nil {
		return err
	}
	roles, err := s.API.PermittedRoles(string(id), privilege)
	if err != nil {
		return s.Explain(err, client.Task{Do: "look at", On: string(id), Privilege: "read"})
	}
	return f.lines(cmd, "ID", roles)
}

func checkCommand() *cobra.Command {
	var role string
	var quiet bool
	cmd := newRemote(&cobra.Command{
		Use: "check ID PRIVILEGE", Short: "Tell whether a role has a privilege on a resource",
		Long: "Prints true or false, for whoever is logged in or for another role. With -q it prints nothing, and the\n" +
			"exit status is 0 for yes and 1 for no.",
		Example: "  rekey check variable:shop/db/password execute -r host/shop/web-1",
		Args:    exactly(2),
	}, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.ID(args[0], "")
		if err != nil {
			return err
		}
		var yes bool
		if role == "" {
			yes, err = s.API.CheckPermission(string(id), args[1])
		} else {
			other, wrong := s.RoleID(role)
			if wrong != nil {
				return wrong
			}
			yes, err = s.API.CheckPermissionForRole(string(id), string(other), args[1])
		}
		if err != nil {
			return s.Explain(err, client.Task{Do: "ask about", On: string(id), Privilege: "read"})
		}
		return printAnswer(cmd, "allowed", yes, quiet)
	})
	outcomeFlag(cmd.Flags())
	cmd.Flags().StringVarP(&role, "role", "r", "", "another role")
	quietFlag(cmd, &quiet)
	return cmd
}

func quietFlag(cmd *cobra.Command, quiet *bool) {
	cmd.Flags().BoolVarP(quiet, "quiet", "q", false, "no output; exit status 0 for yes, 1 for no")
}

func printAnswer(cmd *cobra.Command, question string, yes, quiet bool) error {
	switch {
	case !quiet:
		return formOf(cmd).say(cmd, fmt.Sprintln(yes), map[string]any{question: yes})
	case !yes:
		return answeredNo{}
	}
	return nil
}
