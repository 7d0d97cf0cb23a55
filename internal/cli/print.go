package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"rekey/internal/fault"
)

// printJSON writes what scripts know: indented by two spaces, <, > and & as they are.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return fault.Wrap(encoder.Encode(value), "writing JSON")
}

// printText writes JSON of the server's as printJSON does, and loses nothing of it.
func printText(cmd *cobra.Command, text []byte) error {
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return fault.Wrap(err, "the answer is not JSON")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), indented.String())
	return fault.Wrap(err, "writing JSON")
}

// format is one of the ways to print a result.
type format string

const (
	formatJSON  format = "json"
	formatYAML  format = "yaml"
	formatTable format = "table"
)

func (f *format) Set(text string) error {
	switch format(text) {
	case formatJSON, formatYAML, formatTable:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("it is none of json, yaml, table")
}
func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "json|yaml|table" }

// formatFlag adds -o and returns what it says.
func formatFlag(flags *pflag.FlagSet) *format {
	f := formatJSON
	flags.VarP(&f, "output", "o", "how to print the result")
	return &f
}

// print writes a result: value in JSON or YAML, rows below a header as a table.
func (f format) print(cmd *cobra.Command, value any, header []string, rows [][]string) error {
	out := cmd.OutOrStdout()
	switch f {
	case formatYAML:
		var plain any
		text, err := json.Marshal(value)
		if err == nil {
			decoder := json.NewDecoder(bytes.NewReader(text))
			err = decoder.Decode(&plain)
		}
		if err == nil {
			text, err = yaml.Dump(plain)
		}
		if err == nil {
			_, err = out.Write(text)
		}
		return fault.Wrap(err, "writing YAML")
	case formatTable:
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{header}, rows...) {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		return fault.Wrap(table.Flush(), "writing the table")
	}
	return printJSON(out, value)
}
