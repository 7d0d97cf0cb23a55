package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
)

func roleShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a role and its members",
		Example: "  rekey role show layer:shop/web", Args: exactly(1),
	}
	form := formatFlag(cmd.Flags())
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.RoleID(args[0])
		if err != nil {
			return err
		}
		role, err := s.API.Role(string(id))
		if err != nil {
			return s.Explain(err, client.Task{Do: "look at", On: string(id), Privilege: "read"})
		}
		return form.print(cmd, role, []string{"FIELD", "VALUE"}, describe(role, "id", "created_at", "members"))
	})
}

func roleExistsCommand() *cobra.Command {
	return existsCommand("role", func(s *client.Session, text string) (string, bool, error) {
		id, err := s.RoleID(text)
		if err != nil {
			return "", false, err
		}
		found, err := s.API.RoleExists(string(id))
		return string(id), found, err
	})
}

func roleMembersCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use: "members ID", Short: "List the members of a role",
		Example: "  rekey role members layer:shop/web", Args: exactly(1),
	}
	form := formatFlag(cmd.Flags())
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with all that is known of each membership")
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		return printMembers(cmd, s, *form, args[0], verbose)
	})
}

func printMembers(cmd *cobra.Command, s *client.Session, f format, role string, verbose bool) error {
	id, err := s.RoleID(role)
	if err != nil {
		return err
	}
	members, err := s.API.RoleMembers(string(id))
	if err != nil {
		return s.Explain(err, client.Task{Do: "look at", On: string(id), Privilege: "read"})
	}
	ids := make([]string, len(members))
	rows := make([][]string, len(members))
	for i, m := range members {
		ids[i] = fmt.Sprint(m["member"])
		rows[i] = []string{ids[i], fmt.Sprint(m["admin_option"]), fmt.Sprint(m["ownership"]), fmt.Sprint(m["policy"])}
	}
	if verbose {
		return f.print(cmd, members, []string{"MEMBER", "ADMIN", "OWNER", "POLICY"}, rows)
	}
	return f.lines(cmd, "ID", ids)
}

func roleMembershipsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "memberships ID", Short: "List all roles that a role has, itself among them",
		Example: "  rekey role memberships host/shop/web-1", Args: exactly(1),
	}
	form := formatFlag(cmd.Flags())
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.RoleID(args[0])
		if err != nil {
			return err
		}
		roles, err := s.API.RoleMembershipsAll(string(id))
		if err != nil {
			return s.Explain(err, client.Task{Do: "look at", On: string(id), Privilege: "read"})
		}
		return form.lines(cmd, "ID", roles)
	})
}

// showCommand is an older spelling.
func showCommand() *cobra.Command {
	cmd := resourceShowCommand()
	cmd.Hidden = true
	return cmd
}
