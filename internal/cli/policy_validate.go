package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
)

// anAccount stands for the account that a policy will be loaded into.
const anAccount = "account"

// verdict is what there is to say of a file with a policy.
type verdict struct {
	File     string   `json:"file"`
	Valid    bool     `json:"valid"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Message  string   `json:"message,omitempty"`
	Advice   string   `json:"advice,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func policyValidateCommand() *cobra.Command {
	var branch string
	var files []string
	cmd := &cobra.Command{
		Use: "validate FILE...", Short: "Look for mistakes in a policy, without a server",
		Long: "Reads policies as the server does, and tells the line and the column of what it would refuse. It needs no\n" +
			"server and no login. What depends on what the server has, such as a reference to a role that is not in the\n" +
			"file, `rekey policy diff` tells. The exit status is 3 if a file cannot be loaded.",
		Example: "  rekey policy validate root.yml\n  rekey policy validate -b shop - < shop.yml",
		Args: func(cmd *cobra.Command, args []string) error {
			if files = append(files, args...); len(files) == 0 {
				return arguments(1, many)(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []verdict
			var rows [][]string
			var failed error
			for _, file := range files {
				text, err := readFile(cmd, file)
				if err != nil {
					return err
				}
				v, err := validate(file, text, branch)
				if err != nil {
					failed = errors.Join(failed, fault.Wrap(err, "%s", file))
				}
				place := ""
				if v.Line > 0 {
					place = fmt.Sprintf("%d:%d", v.Line, v.Column)
				}
				all, rows = append(all, v), append(rows, []string{file, fmt.Sprint(v.Valid), place, v.Message})
				for _, warning := range v.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %s\n", file, client.VisibleLines(warning))
				}
				if v.Valid && formOf(cmd) == formatText {
					fmt.Fprintln(cmd.OutOrStdout(), file+" is valid")
				}
			}
			if formOf(cmd) == formatText {
				return failed
			}
			return errors.Join(formOf(cmd).print(cmd, all, []string{"FILE", "VALID", "PLACE", "PROBLEM"}, rows), failed)
		},
	}
	cmd.Flags().StringVarP(&branch, "branch", "b", "root", "id of the policy that it is for, as in root or shop/web")
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file with a policy, - for standard input")
	outcomeFlag(cmd.Flags())
	return cmd
}

func validate(file, text, branch string) (verdict, error) {
	document, err := policy.Parse([]byte(text))
	var resolved *policy.Resolved
	if err == nil {
		in := ident.New(anAccount, "policy", branch)
		resolved, err = document.Resolve(policy.Scope{Account: anAccount, Policy: in, Owner: ident.New(anAccount, "user", "admin")})
	}
	if err == nil {
		return verdict{File: file, Valid: true, Warnings: resolved.Warnings}, nil
	}
	v := verdict{File: file, Message: err.Error()}
	var known *fault.Error
	if errors.As(err, &known) {
		v.Line, v.Column, v.Advice = known.Line, known.Column, known.Advice
	}
	return v, err
}
