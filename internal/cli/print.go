package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// printJSON writes what scripts know: indented by two spaces, <, > and & as they are.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return fault.Wrap(encoder.Encode(value), "writing JSON")
}

// format is one of the ways to print a result.
type format string

const (
	formatJSON  format = "json"
	formatYAML  format = "yaml"
	formatTable format = "table"
	formatText  format = "text" // a sentence or a bare value, for people and the oldest scripts
)

func (f *format) Set(text string) error {
	switch format(text) {
	case formatJSON, formatYAML, formatTable:
		*f = format(text)
		return nil
	case formatText:
		if *f == formatText {
			return nil // it is what the command prints unasked
		}
	}
	return fmt.Errorf("it is none of json, yaml, table")
}
func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "json|yaml|table" }

// formatFlag adds -o and returns what it says.
func formatFlag(flags *pflag.FlagSet) *format {
	f := formatJSON
	flags.VarP(&f, "output", "o", "how to print the result: json, yaml or table")
	return &f
}

// outcomeFlag adds -o to a command that prints a sentence or a bare value unless it is
// asked for something else.
func outcomeFlag(flags *pflag.FlagSet) *format {
	f := formatText
	flags.VarP(&f, "output", "o", "print the result as json, yaml or table instead of text")
	flags.Lookup("output").DefValue = ""
	return &f
}

// formOf is what -o of a command says.
func formOf(cmd *cobra.Command) format { return *cmd.Flags().Lookup("output").Value.(*format) }

// say prints what has come of a command: the text, which brings its own newline, or
// the same in fields.
func (f format) say(cmd *cobra.Command, text string, fields map[string]any) error {
	if f == formatText {
		_, err := io.WriteString(cmd.OutOrStdout(), text)
		return fault.Wrap(err, "writing the result")
	}
	return f.print(cmd, fields, []string{"FIELD", "VALUE"}, describe(fields, slices.Sorted(maps.Keys(fields))...))
}

// lines prints a list, as text one element a line.
func (f format) lines(cmd *cobra.Command, title string, list []string) error {
	if f == formatText {
		out := cmd.OutOrStdout()
		for _, line := range list {
			if isTerminal(out) { // a program gets it as it is
				line = client.Visible(line)
			}
			fmt.Fprintln(out, line)
		}
		return nil
	}
	if list == nil {
		list = []string{}
	}
	rows := make([][]string, len(list))
	for i, line := range list {
		rows[i] = []string{line}
	}
	return f.print(cmd, list, []string{title}, rows)
}

// reprint prints an object that the server has written. As JSON, nothing of it is lost,
// not even the order of its fields.
func (f format) reprint(cmd *cobra.Command, text []byte, fields ...string) error {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return fault.Wrap(err, "the answer is not JSON")
	}
	if f != formatJSON {
		return f.print(cmd, object, []string{"FIELD", "VALUE"}, describe(object, fields...))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return fault.Wrap(err, "the answer is not JSON")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), indented.String())
	return fault.Wrap(err, "writing JSON")
}

// print writes a result: value in JSON or YAML, rows below a header as a table.
func (f format) print(cmd *cobra.Command, value any, header []string, rows [][]string) error {
	out := cmd.OutOrStdout()
	switch f {
	case formatYAML:
		var node yaml.Node // JSON is YAML, so that order and numbers stay as they are
		text, err := json.Marshal(value)
		if err == nil {
			err = yaml.Unmarshal(text, &node)
		}
		if err == nil {
			plain(&node)
			text, err = yaml.Dump(&node)
		}
		if err == nil {
			_, err = out.Write(text)
		}
		return fault.Wrap(err, "writing YAML")
	case formatTable:
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{header}, rows...) {
			for i, cell := range row {
				if i > 0 {
					fmt.Fprint(table, "\t")
				}
				fmt.Fprint(table, client.Visible(cell))
			}
			fmt.Fprintln(table)
		}
		return fault.Wrap(table.Flush(), "writing the table")
	}
	return printJSON(out, value)
}

// plain takes the brackets and quotes of JSON off a node, where YAML needs none.
func plain(node *yaml.Node) {
	node.Style = 0
	for _, below := range node.Content {
		plain(below)
	}
}
