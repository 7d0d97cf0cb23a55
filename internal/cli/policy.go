package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/server/admin"
)

func policyCommand() *cobra.Command {
	policy := &cobra.Command{Use: "policy", Short: "Load, fetch and compare policies"}
	policy.AddCommand(policyLoadCommand(), policyChangeCommand("update"), policyChangeCommand("replace"), policyDiffCommand(), policyValidateCommand(), policyFetchCommand(), policyVersionsCommand())
	return policy
}

// policyLoadCommand has two forms. Flags mean a load over HTTP by whoever is logged
// in; arguments mean one by the operator, on the data directory.
func policyLoadCommand() *cobra.Command {
	cmd := policyChangeCommand("load")
	remote, missing := cmd.RunE, cmd.Args
	cmd.Use = "load -b BRANCH -f FILE\n  rekey policy load ACCOUNT FILE..."
	cmd.Short = "Add to a policy; as the operator, replace an account's root policy"
	cmd.Long = "There are two forms. With -b and -f it works over HTTP as whoever is logged in, and adds. With ACCOUNT and\n" +
		"files it works on the data directory as the operator of the server, and replaces.\n\n" +
		"rekey policy load -b BRANCH -f FILE\n\n" + cmd.Long + "\n\n" +
		"rekey policy load ACCOUNT FILE...\n\n" +
		"On the machine of the server, without a login, replaces the root policy of the account by each file in turn,\n" +
		"as PUT /policies does: what the file does not have is removed. Of the flags it takes --yes and those of the\n" +
		"configuration. A file that cannot be loaded changes nothing; those after it are still loaded."
	cmd.Example += "\n  rekey policy load demo root.yml"
	newLocal(cmd, works, loadPolicies)
	local := cmd.RunE
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		flags := cmd.Flags()
		switch {
		case len(args) == 0, older(cmd):
			return missing(cmd, args)
		case flags.Changed("branch") || flags.Changed("file"):
			return errors.New("give either -b BRANCH and -f FILE, or ACCOUNT and files as the operator of the server")
		case flags.Changed("dry-run") || flags.Changed("keys-to"):
			return errors.New("--dry-run and --keys-to go with -b BRANCH and -f FILE")
		}
		if len(args) == 1 {
			return fmt.Errorf("'%s' alone is neither form: write `rekey policy load -b BRANCH -f FILE` to add over HTTP, "+
				"or as the operator `rekey policy load ACCOUNT FILE...` to replace the root policy of an account", args[0])
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && !older(cmd) {
			err := local(cmd, args)
			var known *fault.Error
			if errors.As(err, &known) && known.Kind == fault.NotFound { // perhaps there is no such server here
				known.Advice = strings.TrimPrefix(known.Advice+"; over HTTP it is `rekey policy load -b BRANCH -f FILE`", "; ")
			}
			return err
		}
		return remote(cmd, args)
	}
	return cmd
}

// older tells whether it is an older spelling, which has arguments and goes over HTTP.
func older(cmd *cobra.Command) bool {
	return isConjur(cmd) || cmd.Flags().Changed("replace") || cmd.Flags().Changed("delete")
}

func loadPolicies(cmd *cobra.Command, local *admin.Client, args []string) error {
	yes, err := cmd.Flags().GetBool("yes")
	failed := fault.Wrap(err, "reading the flags")
	for _, file := range args[1:] {
		if err := loadPolicy(cmd, local, args[0], file, yes); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func loadPolicy(cmd *cobra.Command, local *admin.Client, account, file string, yes bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: err.Error(), Advice: "name a file with a policy", Cause: err}
	}
	began := time.Now()
	lost, err := local.RehearsePolicy(cmd.Context(), account, text)
	if err == nil {
		err = agreeToLose(cmd, yes, lost.Count, lost.Variables)
	}
	var loaded admin.Loaded
	if err == nil {
		err = working(cmd, "Loading "+file, func() (err error) {
			loaded, err = local.LoadPolicy(cmd.Context(), account, text)
			return err
		})
	}
	if err != nil {
		return fault.Wrap(err, "%s was not loaded", file)
	}
	for _, warning := range loaded.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %s\n", file, client.VisibleLines(warning))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Loaded policy in %d ms\n", time.Since(began).Milliseconds())
	keys := map[string]string{}
	for id, role := range loaded.CreatedRoles {
		if keys[id] = ""; role.APIKey != nil {
			keys[id] = *role.APIKey
		}
	}
	return formOf(cmd).print(cmd, loaded, []string{"CREATED", "API KEY"}, keyRows(keys))
}

// agreeToLose asks before values are destroyed. Where nobody can be asked, only --yes
// is a yes.
func agreeToLose(cmd *cobra.Command, yes bool, count int, variables []string) error {
	if count == 0 {
		return nil
	}
	w := cmd.ErrOrStderr()
	fmt.Fprintf(w, "warning: this destroys the values of %s, for good:\n", plural(count, "variable"))
	for _, variable := range variables {
		fmt.Fprintln(w, "  "+client.Visible(variable))
	}
	if more := count - len(variables); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	if yes {
		return nil
	}
	refused := fault.New(fault.Invalid, "the values of %s would be destroyed, nothing was changed", plural(count, "variable"))
	refused.Advice = "keep them in the policy, or say --yes"
	if !isTerminal(cmd.InOrStdin()) {
		return refused
	}
	agreed, err := agrees(cmd, w, "Destroy them?", refused.Advice)
	if err == nil && !agreed {
		return refused
	}
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
