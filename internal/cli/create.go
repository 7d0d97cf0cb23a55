package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// createCommand loads a policy of one statement: a way to a first host without a file.
func createCommand(kind string) *cobra.Command {
	var branch, output string
	cmd := &cobra.Command{
		Use: "create ID", Short: "Make a " + kind + " and print its API key",
		Long: "Makes a " + kind + " by loading a policy that has nothing else, and prints its API key. It is for a try: what is\n" +
			"to stay belongs into a file with a policy. Without -b, what comes before the last slash of the id is the\n" +
			"policy that it is made in.",
		Example: "  rekey " + kind + " create " + map[string]string{"host": "shop/web-9 --out web-9.key", "user": "bob"}[kind],
		Args:    exactly(1),
	}
	newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		role, err := s.ID(args[0], kind)
		if err != nil {
			return err
		}
		in, name := branch, role.Identifier()
		if in == "" {
			in = "root"
			if i := strings.LastIndexByte(name, '/'); i > 0 {
				in, name = name[:i], name[i+1:]
			}
		}
		policy, err := s.ID(in, "policy")
		if err != nil {
			return err
		}
		key, id, err := create(s, policy, kind, name)
		if err != nil {
			return err
		}
		return handOut(cmd, id, key, output)
	})
	cmd.Flags().StringVarP(&branch, "branch", "b", "", "policy to make it in")
	cmd.Flags().StringVar(&output, "out", "", "write the key to a file for its user only, instead of printing it")
	outcomeFlag(cmd.Flags())
	return cmd
}

func create(s *client.Session, policy ident.ID, kind, name string) (secret.Bytes, ident.ID, error) {
	quoted, err := yaml.Dump(name)
	if err != nil {
		return secret.Bytes{}, "", fault.Wrap(err, "writing the policy")
	}
	loaded, err := s.Load("load", policy, fmt.Sprintf("- !%s %s", kind, quoted))
	if err != nil {
		return secret.Bytes{}, "", err
	}
	for id, role := range loaded.CreatedRoles {
		return secret.FromString(role.APIKey), ident.ID(id), nil
	}
	e := fault.New(fault.Conflict, "there is a %s '%s' in %s already", kind, name, policy)
	e.Advice = "give it a new key with `rekey " + kind + " rotate-api-key`"
	return secret.Bytes{}, "", e
}
