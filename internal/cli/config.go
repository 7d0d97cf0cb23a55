package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"rekey/internal/config"
	"rekey/internal/fault"
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
			fmt.Fprintln(cmd.OutOrStdout(), "Configuration is valid.")
			return nil
		},
	}
	addSettings(check.Flags())

	var output string
	show := &cobra.Command{
		Use: "show", Short: "Show each setting with its value and where that comes from", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(sources(cmd))
			if err != nil {
				return err
			}
			warn(cmd, loaded)
			return showConfig(cmd, loaded, output)
		},
	}
	addSettings(show.Flags())
	show.Flags().StringVarP(&output, "output", "o", "text", "text, yaml or json")

	group.AddCommand(check, show)
	return group
}

// shown is a setting in YAML and JSON.
type shown struct {
	Value  any    `json:"value" yaml:"value"`
	Source string `json:"source" yaml:"source"`
}

func showConfig(cmd *cobra.Command, loaded *config.Loaded, output string) error {
	all := map[string]shown{}
	for _, v := range loaded.Values {
		all[v.Key] = shown{v.Plain(&loaded.Config), v.Source}
	}
	out := cmd.OutOrStdout()
	switch output {
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	case "yaml":
		text, err := yaml.Dump(all)
		if err != nil {
			return fault.Wrap(err, "writing YAML")
		}
		fmt.Fprintln(out, strings.TrimSuffix(string(text), "\n"))
		return nil
	case "text":
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
		for _, v := range loaded.Values {
			fmt.Fprintf(table, "%s\t%s\t%s\n", v.Key, v.Text, v.Source)
		}
		return table.Flush()
	}
	return fault.New(fault.Invalid, "unknown output format '%s': use text, yaml or json", output)
}

func warn(cmd *cobra.Command, loaded *config.Loaded) {
	for _, warning := range loaded.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+warning)
	}
}
