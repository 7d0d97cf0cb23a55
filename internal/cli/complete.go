package cli

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/ident"
)

// A shell waits for completions while somebody types: what does not come in time does
// not come.
const (
	completionTime  = 3 * time.Second
	mostCompletions = 1000
)

// The kinds of ids that are completed, beside those of resources.
const (
	anyResource = ""
	anyRole     = "role"
)

var roleKinds = []string{"user", "host", "group", "layer", "policy"}

// completions say where which ids go: as the value of a flag or, without one, as the
// arguments of a command, at most so many of them.
var completions = []struct {
	command, flag, kind string
	most                int
}{
	{"variable get", "", "variable", many}, {"variable get", "id", "variable", 0},
	{"variable set", "", "variable", 1}, {"variable set", "id", "variable", 0},
	{"variable history", "", "variable", 1}, {"variable history", "id", "variable", 0},
	{"provider", "", "variable", 1},
	{"rotation status", "", "variable", 1}, {"rotation history", "", "variable", 1}, {"rotation plan", "", "variable", 1},
	{"rotation rotate", "", "variable", 1}, {"rotation retry", "", "variable", 1}, {"rotation reconcile", "", "variable", 1},
	{"rotation adopt", "", "variable", 1}, {"rotation pause", "", "variable", 1}, {"rotation resume", "", "variable", 1},
	{"policy load", "branch", "policy", 0}, {"policy update", "branch", "policy", 0}, {"policy replace", "branch", "policy", 0},
	{"policy diff", "branch", "policy", 0}, {"policy fetch", "branch", "policy", 0},
	{"host rotate-api-key", "id", "host", 0}, {"user rotate-api-key", "id", "user", 0},
	{"list", "role", anyRole, 0},
	{"resource show", "", anyResource, 1}, {"resource exists", "", anyResource, 1},
	{"resource permitted-roles", "", anyResource, 1},
	{"check", "", anyResource, 1}, {"check", "role", anyRole, 0},
	{"role show", "", anyRole, 1}, {"role exists", "", anyRole, 1}, {"role members", "", anyRole, 1},
	{"role memberships", "", anyRole, 1}, {"role tree", "", anyRole, 1},
	{"hostfactory tokens create", "id", "host_factory", 0},
	{"pubkeys", "", "user", 1},
}

// words are completed where a command takes one of a few.
var words = []struct {
	command, flag string
	from          []string
}{
	{"list", "kind", []string{"user", "host", "group", "layer", "policy", "variable", "webservice", "host_factory"}},
	{"policy diff", "mode", []string{"replace", "update", "load"}},
	{"policy fetch", "output", []string{"yaml", "json"}},
	{"authenticate", "format", tokenShapes},
}

var privileges = []string{"read", "execute", "update", "create", "authenticate"}

// addCompletions lets a shell ask the server for ids.
func addCompletions(root *cobra.Command) error {
	for _, c := range completions {
		cmd, _, err := root.Find(strings.Fields(c.command))
		if err == nil && c.flag != "" {
			err = cmd.RegisterFlagCompletionFunc(c.flag, completeIDs(c.kind))
		}
		if err != nil {
			return err
		}
		if c.flag == "" {
			cmd.ValidArgsFunction = completeArguments(c.kind, c.most)
		}
	}
	for _, w := range words {
		cmd, _, err := root.Find(strings.Fields(w.command))
		if err == nil {
			err = cmd.RegisterFlagCompletionFunc(w.flag, cobra.FixedCompletions(w.from, cobra.ShellCompDirectiveNoFileComp))
		}
		if err != nil {
			return err
		}
	}
	return completeFormats(root)
}

// completeFormats completes -o of all commands that have it.
func completeFormats(cmd *cobra.Command) error {
	if flag := cmd.LocalNonPersistentFlags().Lookup("output"); flag != nil && strings.Contains(flag.Value.Type(), "|") {
		formats := cobra.FixedCompletions(strings.Split(flag.Value.Type(), "|"), cobra.ShellCompDirectiveNoFileComp)
		if err := cmd.RegisterFlagCompletionFunc("output", formats); err != nil {
			return err
		}
	}
	for _, below := range cmd.Commands() {
		if err := completeFormats(below); err != nil {
			return err
		}
	}
	return nil
}

// completeArguments completes ids and, after the one of a resource, privileges.
func completeArguments(kind string, most int) cobra.CompletionFunc {
	ids := completeIDs(kind)
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case len(args) < most:
			return ids(cmd, args, begun)
		case len(args) == 1 && strings.Contains(cmd.Use, " PRIVILEGE"):
			return privileges, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// meansMore tells whether a shell or a terminal does not take a character as itself. Ids
// come from others: one that has such a character is for people to quote, and not put on
// a command line by a key.
func meansMore(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune("$`\\\"'&|;<>()*?[]!", r)
}

// completeIDs asks the server, and is silent about whatever goes wrong.
func completeIDs(kind string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var found []cobra.Completion
		prefix, last := "", begun
		if i := strings.LastIndexByte(begun, ','); i >= 0 && kind == "variable" {
			prefix, last = begun[:i+1], begun[i+1:] // one of several
		}
		for _, id := range idsOfKind(cmd.Context(), kind) {
			name := id.Identifier()
			if kind == anyResource || kind == anyRole {
				name = id.Kind() + ":" + name
			}
			if strings.HasPrefix(name, last) && !strings.ContainsFunc(name, meansMore) {
				found = append(found, prefix+name)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func idsOfKind(ctx context.Context, kind string) []ident.ID {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	s, err := client.Open(ctx, client.Options{Timeout: completionTime})
	if err != nil {
		return nil
	}
	filter := &conjurapi.ResourceFilter{Limit: mostCompletions}
	if kind != anyRole {
		filter.Kind = kind
	}
	resources, err := s.API.ResourceIDs(filter)
	if err != nil {
		return nil
	}
	var ids []ident.ID
	for _, text := range resources {
		id := ident.ID(text)
		if kind != anyRole || slices.Contains(roleKinds, id.Kind()) {
			ids = append(ids, id)
		}
	}
	return ids
}
