package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

func rotationCommand() *cobra.Command {
	group := &cobra.Command{Use: "rotation", Short: "See and steer the rotation of values on their targets"}
	group.AddCommand(rotationListCommand(), rotationStatusCommand(), rotationHistoryCommand(), rotationPlanCommand(), rotationRotateCommand(),
		rotationPauseCommand(), rotationAcknowledgeCommand(), deliveriesCommand(),
		resumeCommand(),
		steerCommand("retry", "Try again at once", "Tries again at once what has failed, also out of quarantine.", "Asked for another try"),
		steerCommand("reconcile", "Set a new value without knowing the old one",
			"Tries again at once and, if the target accepts none of the known passwords, has its administrator set a\nnew one. A rotation without an administrator refuses that.", "Asked for a new value"),
		steerCommand("adopt", "Declare the stored value to be the one that works",
			"Declares the newest version of the variable to be what the target accepts. What was under way is given up.", "Adopted"))
	return group
}

// aboutRotation makes a command that is about the rotation of one variable, which is
// its argument or the value of -i.
func aboutRotation(cmd *cobra.Command, run func(cmd *cobra.Command, s *client.Session, variable ident.ID) error) *cobra.Command {
	var named string
	cmd.Flags().StringVarP(&named, "id", "i", "", "id of the variable")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if named == "" && len(args) > 0 {
			named, args = args[0], args[1:]
		}
		if named == "" {
			return errors.New("no variable is named: give its id with -i or as an argument")
		}
		return noArguments(cmd, args)
	}
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		variable, err := s.ID(named, "variable")
		if err != nil {
			return err
		}
		return run(cmd, s, variable)
	})
}

func rotationListCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use: "list", Short: "List the variables that rotate, and how they stand",
		Long:    "Lists the variables with a rotator that whoever is logged in sees.",
		Example: "  rekey rotation list -o table\n  rekey rotation list --state quarantined",
		Args:    noArguments,
	}
	form := formatFlag(cmd.Flags())
	cmd.Flags().StringVar(&state, "state", "", "only those of a state, such as quarantined, paused, due, overdue or unacknowledged")
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		found, err := s.Rotations(state)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, r := range found.Is {
			problem := ""
			switch {
			case r.Error != nil:
				problem = r.Error.Class + ": " + r.Error.Message
			case len(r.Unacknowledged) > 0:
				problem = "not acknowledged by " + logins(r.Unacknowledged)
			}
			rows = append(rows, []string{r.Variable.Identifier(), shownState(r), strconv.Itoa(r.Version), or(r.Due, "-"), or(r.LastSuccess, "never"), problem})
		}
		header := []string{"VARIABLE", "STATE", "VERSION", "DUE", "ROTATED", "PROBLEM"}
		return form.print(cmd, found.Text, header, narrowed(header, rows))
	})
}

func shownState(r client.ValueRotation) string {
	if r.Paused != nil {
		return r.State + ", paused"
	}
	return r.State
}

// or is what a pointer points to, or else a word.
func or(text *string, otherwise string) string {
	if text == nil {
		return otherwise
	}
	return *text
}

func rotationStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status ID", Short: "Show how the rotation of a variable stands",
		Example: "  rekey rotation status shop/cache/password -o yaml",
		Long:    "Shows how the rotation of a variable stands. No value is in it.",
	}
	form := formatFlag(cmd.Flags())
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		found, err := s.ValueRotation(variable)
		if err != nil {
			return err
		}
		return printRotation(cmd, *form, found)
	})
}

func printRotation(cmd *cobra.Command, form format, found client.Answer[client.ValueRotation]) error {
	r := found.Is
	rows := [][]string{{"rotator", r.Rotator}, {"state", shownState(r)}, {"version", strconv.Itoa(r.Version)}, {"due", or(r.Due, "-")}, {"rotated", or(r.LastSuccess, "never")}}
	if r.OldUntil != nil {
		rows = append(rows, []string{"old value", "until " + *r.OldUntil})
	}
	if len(r.Unacknowledged) > 0 {
		rows = append(rows, []string{"not acknowledged", "by " + logins(r.Unacknowledged)})
	}
	if r.Paused != nil {
		rows = append(rows, []string{"paused", r.Paused.At + " by " + r.Paused.By + " " + r.Paused.Reason})
	}
	if r.Requested != nil {
		by := " because a value was written"
		if r.Requested.By != "" {
			by = " by " + r.Requested.By
		}
		rows = append(rows, []string{"requested", r.Requested.At + by})
	}
	if r.Error != nil {
		rows = append(rows, []string{"problem", fmt.Sprintf("%s: %s: %s", r.Error.At, r.Error.Class, r.Error.Message)})
	}
	if r.Attempts > 0 {
		rows = append(rows, []string{"failed", plural(r.Attempts, "time")})
	}
	return form.print(cmd, found.Text, []string{"VARIABLE", string(r.Variable)}, wrapped(rows))
}

func rotationHistoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "history ID", Short: "List what has happened to a rotation",
		Long:    "Lists the newest steps of the rotation of a variable, oldest first.",
		Example: "  rekey rotation history shop/cache/password -o table",
	}
	form := formatFlag(cmd.Flags())
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		found, err := s.RotationHistory(variable)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, e := range found.Is {
			problem := or(e.Message, "")
			if e.Class != nil {
				problem = *e.Class + ": " + problem
			}
			rows = append(rows, []string{e.At, e.Event, e.State, or(e.By, "-"), problem})
		}
		header := []string{"AT", "EVENT", "STATE", "BY", "ABOUT"}
		return form.print(cmd, found.Text, header, narrowed(header, rows))
	})
}

func rotationPlanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan ID", Short: "Tell what a rotation would meet, and change nothing",
		Long: "Logs in at the target with the present value and as who would set another, and tells what a rotation would meet.\n" +
			"Nothing changes. 'checked' says how far that went: with 'privilege' the target has said whether it is allowed to\n" +
			"set a new value; with 'login' it was not asked, or cannot tell. The exit status is 1 if a rotation would not work.",
	}
	form := formatFlag(cmd.Flags())
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		found, err := s.PlanRotation(variable)
		if err != nil {
			return err
		}
		p := found.Is
		rows := [][]string{{"accepted", strconv.FormatBool(p.Accepted)}, {"checked", or(p.Checked, "nothing")}, {"problem", or(p.Problem, "none")}}
		if err := form.print(cmd, found.Text, []string{"TARGET", brief(or(p.Target, "-"))}, wrapped(rows)); err != nil || p.Problem == nil {
			return err
		}
		e := fault.New(fault.Invalid, "a rotation of %s would not work: %s", variable, *p.Problem)
		e.Advice = "mend that, and plan again"
		return e
	})
}

// longestRotation is how long --wait waits.
const longestRotation = 10 * time.Minute

func rotationRotateCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Replace the value at once",
		Long: "Asks for a new value at once, whatever the schedule says. With --wait it follows the rotation until the new\n" +
			"value can be read, and prints how it stands. The exit status is 1 if the rotation fails, and 8 if it takes longer than\n" +
			"ten minutes.",
		Example: "  rekey rotation rotate shop/cache/password",
	}
	outcomeFlag(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until there is a new value or the rotation has failed")
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		before, err := s.ValueRotation(variable)
		if err != nil {
			return err
		}
		if err := s.SteerRotation(variable, "rotate", ""); err != nil {
			return err
		}
		if !wait {
			return formOf(cmd).say(cmd, "Asked for a new value\n", map[string]any{"variable": string(variable)})
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), longestRotation)
		defer cancel()
		now, err := s.AwaitRotation(ctx, before.Is, func(r client.ValueRotation) { fmt.Fprintln(cmd.ErrOrStderr(), client.Visible(r.State)) })
		if err != nil {
			return err
		}
		if formOf(cmd) == formatText {
			fmt.Fprintf(cmd.OutOrStdout(), "Version %d is there\n", now.Is.Version)
			return nil
		}
		return printRotation(cmd, formOf(cmd), now)
	})
}

func rotationPauseCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause ID", Short: "Let no rotation start until it is resumed",
		Long:    "No rotation of the variable starts until it is resumed. One that is under way is finished.",
		Example: "  rekey rotation pause shop/cache/password --reason 'upgrade of the cache'",
	}
	outcomeFlag(cmd.Flags())
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is shown with the status")
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		if err := s.SteerRotation(variable, "pause", reason); err != nil {
			return err
		}
		return formOf(cmd).say(cmd, "Paused\n", map[string]any{"variable": string(variable)})
	})
}

func deliveriesCommand() *cobra.Command {
	var hook, state string
	var limit int
	cmd := &cobra.Command{
		Use: "deliveries", Short: "List what webhooks were told, and how it went",
		Long:    "Lists what webhooks were told of rotations and API keys, or are to be, the newest first.",
		Example: "  rekey rotation deliveries -o table\n  rekey rotation deliveries --hook oncall --state waiting",
		Args:    noArguments,
	}
	form := formatFlag(cmd.Flags())
	cmd.Flags().StringVar(&hook, "hook", "", "only those to the webhook of this name")
	cmd.Flags().StringVar(&state, "state", "", "only those that are waiting, delivered or dropped")
	cmd.Flags().IntVarP(&limit, "limit", "l", 100, "at most this many, up to 1000")
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		found, err := s.Deliveries(hook, state, limit)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, d := range found.Is {
			rows = append(rows, []string{d.CreatedAt, d.Hook, d.Event, d.Subject, d.State, strconv.Itoa(d.Attempts), or(d.Problem, "")})
		}
		return form.print(cmd, found.Text, []string{"AT", "HOOK", "EVENT", "ABOUT", "STATE", "ATTEMPTS", "PROBLEM"}, rows)
	})
}

// steerCommand makes a command that takes nothing but the variable.
func steerCommand(verb, short, long, done string) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " ID", Short: short, Long: long}
	outcomeFlag(cmd.Flags())
	return aboutRotation(cmd, func(cmd *cobra.Command, s *client.Session, variable ident.ID) error {
		if err := s.SteerRotation(variable, verb, ""); err != nil {
			return err
		}
		return formOf(cmd).say(cmd, done+"\n", map[string]any{"variable": string(variable)})
	})
}
