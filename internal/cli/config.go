package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/config"
	"rekey/internal/server"
)

func configCommand() *cobra.Command {
	group := &cobra.Command{Use: "config", Short: "Check and explain the configuration"}

	check := &cobra.Command{
		Use: "check", Short: "Tell everything that is wrong with the configuration",
		Long: "Tells everything that is wrong with the configuration and with the files that it names: what the server\n" +
			"would refuse, and a certificate that clients would refuse. It changes nothing.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(sources(cmd))
			if err != nil {
				return err
			}
			warn(cmd, loaded)
			if err := server.Check(&loaded.Config, time.Now()); err != nil {
				return err
			}
			return formOf(cmd).say(cmd, "Configuration is valid.\n", map[string]any{"valid": true, "warnings": loaded.Warnings})
		},
	}
	outcomeFlag(check.Flags())
	addSettings(check.Flags())

	show := &cobra.Command{
		Use: "show", Short: "Show each setting with its value and where that comes from", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(sources(cmd))
			if err != nil {
				return err
			}
			warn(cmd, loaded)
			return showConfig(cmd, loaded, formOf(cmd))
		},
	}
	addSettings(show.Flags())
	outcomeFlag(show.Flags())

	group.AddCommand(check, show)
	return group
}

// shown is a setting in YAML and JSON.
type shown struct {
	Value  any    `json:"value" yaml:"value"`
	Source string `json:"source" yaml:"source"`
}

func showConfig(cmd *cobra.Command, loaded *config.Loaded, form format) error {
	all := map[string]shown{}
	var rows [][]string
	for _, v := range loaded.Values {
		all[v.Key] = shown{v.Plain(&loaded.Config), v.Source}
		rows = append(rows, []string{v.Key, v.Text, v.Source})
	}
	if form == formatText {
		form = formatTable
	}
	return form.print(cmd, all, []string{"SETTING", "VALUE", "SOURCE"}, rows)
}
func warn(cmd *cobra.Command, loaded *config.Loaded) {
	for _, warning := range loaded.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+warning)
	}
}
