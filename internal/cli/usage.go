package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// noArguments wants none.
func noArguments(cmd *cobra.Command, args []string) error { return arguments(0, 0)(cmd, args) }

// exactly wants n arguments.
func exactly(n int) cobra.PositionalArgs { return arguments(n, n) }

// many is the bound of commands that take any number of arguments.
const many = 1 << 30

// arguments wants some number of arguments, and else tells how the command is written.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return missingArgument{least - len(args), useLine(cmd)}
		case len(args) > most:
			return fmt.Errorf("'%s' is one argument too many: write `%s`", args[most], useLine(cmd))
		}
		return nil
	}
}

// missingArgument is a mistake on the command line.
type missingArgument struct {
	missing int
	use     string
}

func (m missingArgument) Error() string {
	return fmt.Sprintf("%s missing: write `%s`", isOrAre(m.missing, "argument"), m.use)
}

func isOrAre(n int, noun string) string {
	if n == 1 {
		return "an " + noun + " is"
	}
	return plural(n, noun) + " are"
}

// useLine is the first way to write a command.
func useLine(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(cmd.UseLine(), "\n")
	return strings.TrimSuffix(line, " [flags]")
}

// refuseTypos makes a word that is no command a mistake wherever commands are
// expected; cobra would print the help and be content.
func refuseTypos(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	root.SetHelpCommand(helpCommand(root))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if typos := cmd.Flags().Args(); cmd.HasSubCommands() && len(typos) > 0 {
			return unknownCommand(cmd, typos[0]) // the flag belongs to the command that was meant
		}
		return err
	})
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.HasSubCommands() && !cmd.Runnable() {
			cmd.Args, cmd.DisableFlagsInUseLine = onlyCommands, true
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(root)
}

func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(cmd, args[0])
}

// unknownCommand tells which command was perhaps meant.
func unknownCommand(parent *cobra.Command, word string) error {
	parent.SuggestionsMinimumDistance = 2
	meant := parent.SuggestionsFor(word)
	for i := range meant {
		meant[i] = "`" + parent.CommandPath() + " " + meant[i] + "`"
	}
	text := fmt.Sprintf("unknown command '%s' for `%s`", word, parent.CommandPath())
	if len(meant) > 0 {
		text += ": did you mean " + strings.Join(meant, " or ") + "?"
	}
	return fmt.Errorf("%s", text)
}

func helpCommand(root *cobra.Command) *cobra.Command {
	find := func(args []string) (*cobra.Command, error) {
		target, rest, err := root.Find(args)
		if err == nil && len(rest) > 0 {
			err = unknownCommand(target, rest[0])
		}
		return target, err
	}
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		Args: func(_ *cobra.Command, args []string) error { _, err := find(args); return err },
		RunE: func(_ *cobra.Command, args []string) error {
			target, err := find(args)
			if err != nil {
				return err
			}
			target.InitDefaultHelpFlag() // so that it is shown
			return target.Help()
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, begun string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
			if target, err := find(args); err == nil {
				for _, below := range target.Commands() {
					if below.IsAvailableCommand() && strings.HasPrefix(below.Name(), begun) {
						names = append(names, cobra.CompletionWithDesc(below.Name(), below.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
