package cli

import (
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

func variableCommand() *cobra.Command {
	group := &cobra.Command{Use: "variable", Short: "Read and write secrets"}
	get := variableGetCommand()
	older := variableGetCommand()
	older.Use, older.Hidden = "value ID", true
	values := &cobra.Command{Use: "values", Short: "An older spelling of set", Hidden: true}
	add := variableSetCommand()
	add.Use = "add ID [VALUE]"
	values.AddCommand(add)
	group.AddCommand(get, variableSetCommand(), variableHistoryCommand(), older, values)
	return group
}

func variableGetCommand() *cobra.Command {
	var (
		list           string
		version        int
		raw, encoded   bool
		full           bool
		output         string
		variables      []string
		errNoVariables = errors.New("no variable is named: give its id with -i or as an argument")
	)
	cmd := &cobra.Command{
		Use: "get -i ID[,ID...]", Short: "Print the values of variables",
		Long: "Prints the value of a variable and a newline. The values of several come as a JSON object, by the part\n" +
			"of the id after the last colon, or by the whole name if two have the same; with -o by the full id, also for\n" +
			"one. All of them are read as of one moment. Ids that have commas are given as arguments.",
		Example: "  rekey variable get -i shop/db/password\n  rekey variable get --raw shop/db/password > password\n" +
			"  rekey variable get shop/db/password shop/tls/key -o json",
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if list != "" {
			variables = strings.Split(list, ",")
		}
		if variables = append(variables, args...); len(variables) == 0 {
			return errNoVariables
		}
		if output != "" && len(variables) > 1 {
			return errors.New("--out writes the value of one variable")
		}
		return nil
	}
	newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		var ids []ident.ID
		for _, text := range variables {
			id, err := s.ID(text, "variable")
			if err != nil {
				return err
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		values, err := s.Values(ids, version)
		if err != nil {
			return err
		}
		if output != "" || len(variables) == 1 && !full && formOf(cmd) == formatText {
			return handValue(cmd, values[ids[0]], encoded, raw, output)
		}
		full = full || formOf(cmd) != formatText
		named, err := nameValues(ids, values, full, encoded)
		if err != nil {
			return err
		}
		form := formOf(cmd)
		if form == formatText {
			form = formatJSON // several have no other text
		}
		return form.print(cmd, named, []string{"ID", "VALUE"}, keyRows(named))
	})
	outcomeFlag(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVarP(&list, "id", "i", "", "ids of the variables, with commas between")
	flags.IntVarP(&version, "version", "v", 0, "an older version, by its number")
	flags.BoolVar(&raw, "raw", false, "no newline after the value")
	flags.BoolVar(&encoded, "base64", false, "values in base64")
	flags.BoolVar(&full, "full-ids", false, "a JSON object by full ids, also for one variable")
	flags.StringVar(&output, "out", "", "write the value to a file for its user only")
	return cmd
}

// handValue prints a value, or writes it to a file as it is.
func handValue(cmd *cobra.Command, value []byte, encoded, raw bool, file string) error {
	if encoded {
		value = base64.StdEncoding.AppendEncode(nil, value)
	}
	if file != "" {
		return client.WriteFile(file, value)
	}
	if !raw {
		value = append(value, '\n')
	}
	_, err := cmd.OutOrStdout().Write(value)
	return fault.Wrap(err, "writing the value")
}

// nameValues puts values under the names that scripts know: the last part after a
// colon, or the whole name if that would not be clear.
func nameValues(ids []ident.ID, values map[ident.ID][]byte, full, encoded bool) (map[string]string, error) {
	short := func(id ident.ID) string { return string(id[strings.LastIndexByte(string(id), ':')+1:]) }
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[short(id)] {
			short = ident.ID.Identifier
			break
		}
		seen[short(id)] = true
	}
	if full {
		short = func(id ident.ID) string { return string(id) }
	}
	named := map[string]string{}
	for _, id := range ids {
		text := string(values[id])
		if encoded {
			text = base64.StdEncoding.EncodeToString(values[id])
		} else if !utf8.Valid(values[id]) {
			e := fault.New(fault.NotAcceptable, "the value of %s is no text", id)
			e.Advice = "add --base64"
			return nil, e
		}
		named[short(id)] = text
	}
	return named, nil
}

func variableHistoryCommand() *cobra.Command {
	var named string
	cmd := &cobra.Command{
		Use: "history -i ID", Short: "List the versions that a variable has",
		Long:    "Lists the versions of a variable that can still be read, with the times when they expire.",
		Example: "  rekey variable history shop/db/password -o table",
		Args: func(cmd *cobra.Command, args []string) error {
			if named == "" && len(args) > 0 {
				named, args = args[0], args[1:]
			}
			if named == "" {
				return errors.New("no variable is named: give its id with -i or as an argument")
			}
			return noArguments(cmd, args)
		},
	}
	cmd.Flags().StringVarP(&named, "id", "i", "", "id of the variable")
	form := formatFlag(cmd.Flags())
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		id, err := s.ID(named, "variable")
		if err != nil {
			return err
		}
		versions, err := s.Versions(id)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, v := range versions {
			expires := "never"
			if v.ExpiresAt != nil {
				expires = *v.ExpiresAt
			}
			rows = append(rows, []string{strconv.Itoa(v.Version), expires})
		}
		return form.print(cmd, versions, []string{"VERSION", "EXPIRES"}, rows)
	})
}

// readFile reads a file, or standard input for "-".
func readFile(cmd *cobra.Command, name string) (string, error) {
	if name == "-" {
		return readAll(cmd)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", &fault.Error{Kind: fault.Invalid, Message: err.Error(), Advice: "name a file that can be read, or - for standard input", Cause: err}
	}
	return string(text), nil
}
