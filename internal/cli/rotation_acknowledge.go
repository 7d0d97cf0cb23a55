package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/ident"
)

func rotationAcknowledgeCommand() *cobra.Command {
	var version int
	cmd := &cobra.Command{
		Use: "acknowledge ID", Short: "Say that a new value is used now",
		Long: "Says that whoever is logged in uses a version of the variable now, and no older one. The old value goes on until\n" +
			"all consumers that the variable names have said so, or for as long as it may. Name the version that was read:\n" +
			"without it, it is the newest. It may be said again, and an older version has no effect.",
		Example: "  rekey rotation acknowledge shop/cache/password --version 1",
	}
	outcomeFlag(cmd.Flags())
	cmd.Flags().IntVar(&version, "version", 0, "the version that is used; 0 is the newest")
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		if version < 0 {
			return errors.New("--version is negative: versions count from 1")
		}
		done, err := s.Acknowledge(variable, version)
		if err != nil {
			return err
		}
		return formOf(cmd).say(cmd, acknowledged(done.Is), map[string]any{"variable": string(variable), "outcome": done.Is.Outcome, "version": done.Is.Version, "unacknowledged": done.Is.Unacknowledged})
	})
}

// acknowledged puts into words what an acknowledgement has come to.
func acknowledged(a client.Acknowledged) string {
	var text string
	switch a.Outcome {
	case "acknowledged":
		text = fmt.Sprintf("Acknowledged version %d\n", a.Version)
	case "outdated":
		text = fmt.Sprintf("Version %d is outdated: read version %d, and acknowledge that\n", a.Version, a.Newest)
	default:
		text = fmt.Sprintf("Version %d was acknowledged before, or nobody waits for it\n", a.Version)
	}
	if len(a.Unacknowledged) > 0 {
		text += "Not acknowledged by " + logins(a.Unacknowledged) + "\n"
	}
	return text
}

// logins are the login names of roles, with commas between.
func logins(roles []ident.ID) string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = client.Visible(role.Login())
	}
	return strings.Join(names, ", ")
}
