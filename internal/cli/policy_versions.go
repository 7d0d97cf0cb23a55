package cli

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// policyVersionsCommand shows what was loaded into a policy: all loads, the text of one,
// or how two differ.
func policyVersionsCommand() *cobra.Command {
	var branch string
	cmd := &cobra.Command{
		Use: "versions -b BRANCH [VERSION|FROM..TO]", Short: "Show what was loaded into a policy, by whom and when",
		Long: "Without a version, lists the loads that are kept, oldest first: who loaded what, when and from where. With\n" +
			"one, prints the text of that load as it was sent; with two, as in 3..4, how their texts differ.",
		Example: "  rekey policy versions -b shop -o table\n  rekey policy versions -b shop 1 > first.yml",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case branch == "":
				return errors.New("give the branch with -b")
			case len(args) > 1:
				return errors.New("give one version, or two as in 3..4")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&branch, "branch", "b", "", "id of the policy, as in root or shop/web")
	form := formatFlag(cmd.Flags())
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.ID(branch, "policy")
		if err != nil {
			return err
		}
		if len(args) == 1 {
			parameter := "version"
			if strings.Contains(args[0], "..") {
				parameter = "diff"
			}
			text, err := s.LoadedText(id, parameter, args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return fault.Wrap(err, "writing the policy")
		}
		versions, err := s.PolicyVersions(id)
		if err != nil {
			return err
		}
		rows := make([][]string, len(versions))
		for i, raw := range versions {
			var v client.PolicyVersion
			if err := json.Unmarshal(raw, &v); err != nil {
				return fault.Wrap(err, "reading a version")
			}
			rows[i] = []string{strconv.Itoa(v.Version), v.CreatedAt, v.Role, or(v.ClientIP, "-"), v.SHA256}
		}
		return form.print(cmd, versions, []string{"VERSION", "LOADED", "BY", "FROM", "SHA-256"}, rows)
	})
}
