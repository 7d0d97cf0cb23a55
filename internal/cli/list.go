package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
)

// outputOrOffset is -o of list. To older command lines that was the offset, so that a
// number is taken for one.
type outputOrOffset struct {
	format
	offset *int
}

func (o *outputOrOffset) Set(text string) error {
	if n, err := strconv.Atoi(text); err == nil {
		*o.offset = n
		return nil
	}
	if text == "id" {
		o.format = formatText
		return nil
	}
	return o.format.Set(text)
}
func (o *outputOrOffset) Type() string { return "json|yaml|table|id" }

func listCommand() *cobra.Command {
	var filter conjurapi.ResourceFilter
	var inspect, count bool
	var role, membersOf, permittedOn, privilege string
	output := outputOrOffset{formatJSON, &filter.Offset}
	cmd := newRemote(&cobra.Command{
		Use: "list", Short: "List what there is to see",
		Long:    "Prints the ids of all resources that whoever is logged in may see.",
		Example: "  rekey list -k variable -s database\n  rekey list -k host -o id\n  rekey list -k host --inspect -o table",
		Args:    noArguments,
	}, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		switch { // older spellings of two other commands
		case membersOf != "":
			return printMembers(cmd, s, output.format, membersOf, inspect)
		case permittedOn != "":
			return printPermitted(cmd, s, output.format, permittedOn, privilege)
		}
		if role != "" {
			id, err := s.RoleID(role)
			if err != nil {
				return err
			}
			filter.Role = string(id)
		}
		if count {
			n, err := s.API.ResourcesCount(&filter)
			if err != nil {
				return s.Explain(err, client.Task{Do: "list", On: "resources"})
			}
			return output.print(cmd, n, []string{"COUNT"}, [][]string{{strconv.Itoa(n.Count)}})
		}
		resources, err := s.API.Resources(&filter)
		if err != nil {
			return s.Explain(err, client.Task{Do: "list", On: "resources"})
		}
		return printResources(cmd, output.format, resources, inspect)
	})
	flags := cmd.Flags()
	flags.StringVarP(&filter.Kind, "kind", "k", "", "only those of a kind: user, host, group, layer, policy, variable, webservice")
	flags.StringVarP(&filter.Search, "search", "s", "", "only those with these words in their name or annotations")
	flags.IntVarP(&filter.Limit, "limit", "l", 0, "at most this many")
	flags.IntVar(&filter.Offset, "offset", 0, "leave out this many first")
	flags.StringVarP(&role, "role", "r", "", "what another role sees")
	flags.BoolVarP(&inspect, "inspect", "i", false, "with all that is known of them")
	flags.BoolVarP(&count, "count", "c", false, "only how many")
	flags.StringVarP(&membersOf, "members-of", "m", "", "the same as role members")
	flags.StringVar(&permittedOn, "permitted-roles", "", "the same as resource permitted-roles")
	flags.StringVarP(&privilege, "privilege", "p", "", "for --permitted-roles")
	cmd.MarkFlagsRequiredTogether("permitted-roles", "privilege")
	hide(cmd, "members-of", "permitted-roles", "privilege")
	flags.VarP(&output, "output", "o", "how to print the result; a number is the offset, as in older command lines")
	return cmd
}

func printResources(cmd *cobra.Command, f format, resources []map[string]any, inspect bool) error {
	ids := make([]string, len(resources))
	rows := make([][]string, len(resources))
	for i, r := range resources {
		ids[i] = fmt.Sprint(r["id"])
		rows[i] = []string{ids[i]}
		if inspect {
			rows[i] = append(rows[i], fmt.Sprint(r["owner"]), fmt.Sprint(r["policy"]), fmt.Sprint(r["created_at"]))
		}
	}
	if inspect && f != formatText {
		return f.print(cmd, resources, []string{"ID", "OWNER", "POLICY", "CREATED"}, rows)
	}
	return f.lines(cmd, "ID", ids)
}

// describe makes rows of an object, for a table.
func describe(object map[string]any, keys ...string) (rows [][]string) {
	for _, key := range keys {
		value, ok := object[key]
		if !ok || value == nil {
			continue
		}
		name := strings.ReplaceAll(key, "_", " ")
		if texts, ok := value.([]string); ok {
			rows = append(rows, []string{name, strings.Join(texts, ", ")})
			continue
		}
		list, several := value.([]any)
		if !several {
			rows = append(rows, []string{name, fmt.Sprint(value)})
			continue
		}
		for _, entry := range list {
			rows = append(rows, []string{name, entryText(entry)})
			name = ""
		}
	}
	return rows
}

// entryText is an element of a list of an object, such as a permission, in words.
func entryText(entry any) string {
	fields, ok := entry.(map[string]any)
	if !ok {
		return fmt.Sprint(entry)
	}
	switch {
	case fields["privilege"] != nil:
		return fmt.Sprintf("%v: %v", fields["privilege"], fields["role"])
	case fields["name"] != nil:
		return fmt.Sprintf("%v: %v", fields["name"], fields["value"])
	case fields["member"] != nil:
		return fmt.Sprint(fields["member"])
	case fields["version"] != nil:
		return fmt.Sprintf("version %v", fields["version"])
	}
	return fmt.Sprint(fields)
}
