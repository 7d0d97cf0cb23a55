package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/backup"
	"rekey/internal/cli/client"
)

func resumeCommand() *cobra.Command {
	cmd := steerCommand("resume", "End a pause",
		"Ends a pause. It also ends a suspension: the target as it is now is the right one. With --restored it does so for\n"+
			"all rotations that a restore of a backup has paused, and prints their variables.", "Resumed")
	cmd.Example = "  rekey rotation resume --restored"
	one, wanted := cmd.RunE, cmd.Args
	var restored bool
	cmd.Flags().BoolVar(&restored, "restored", false, "all rotations that are paused because a backup was restored")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if restored {
			return noArguments(cmd, args)
		}
		return wanted(cmd, args)
	}
	all := newRemote(&cobra.Command{}, resumeRestored).RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if restored {
			return all(cmd, args)
		}
		return one(cmd, args)
	}
	return cmd
}

// resumeRestored leaves alone what people have paused.
func resumeRestored(cmd *cobra.Command, s *client.Session, _ []string) error {
	found, err := s.Rotations("paused")
	if err != nil {
		return err
	}
	var errs []error
	var resumed []string
	for _, r := range found.Is {
		if r.Paused == nil || !strings.HasPrefix(r.Paused.Reason, backup.Reason) {
			continue
		}
		if err := s.SteerRotation(r.Variable, "resume", ""); err != nil {
			errs = append(errs, err)
			continue
		}
		resumed = append(resumed, string(r.Variable))
	}
	return errors.Join(append(errs, formOf(cmd).lines(cmd, "RESUMED", resumed))...)
}
