package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/fault"
	"rekey/internal/server/admin"
)

func policyCommand() *cobra.Command {
	policy := &cobra.Command{Use: "policy", Short: "Load policies as the operator", Args: cobra.NoArgs}
	policy.AddCommand(newLocal(&cobra.Command{
		Use: "load ACCOUNT FILE...", Short: "Replace an account's root policy",
		Long: "Loads each file in turn into the account's root policy, as PUT /policies does: what the file does not\n" +
			"have is removed. Prints the version and the API keys of new users and hosts as JSON. A file that\n" +
			"cannot be loaded changes nothing; those after it are still loaded.",
		Args: cobra.MinimumNArgs(2),
	}, false, func(cmd *cobra.Command, local *admin.Client, args []string) error {
		account, files := args[0], args[1:]
		var failed error
		for _, file := range files {
			if err := loadPolicy(cmd, local, account, file); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		return failed
	}))
	return policy
}

func loadPolicy(cmd *cobra.Command, local *admin.Client, account, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: err.Error(), Advice: "name a file with a policy", Cause: err}
	}
	began := time.Now()
	loaded, err := local.LoadPolicy(cmd.Context(), account, text)
	if err != nil {
		return fault.Wrap(err, "%s was not loaded", file)
	}
	for _, warning := range loaded.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %s\n", file, warning)
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(loaded); err != nil {
		return fault.Wrap(err, "printing the API keys")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Loaded policy in %.2f seconds\n", time.Since(began).Seconds())
	return nil
}
