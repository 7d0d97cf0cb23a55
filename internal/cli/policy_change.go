package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
)

// changes are the three ways to load a policy.
var changes = map[string]struct{ short, long string }{
	"load": {"Add to a policy", "Adds what the file has to the policy of a branch; nothing is changed or removed."},
	"update": {"Add to a policy, change it and delete from it",
		"Adds what the file has to the policy of a branch, and carries out its !delete, !deny and !revoke statements."},
	"replace": {"Replace a policy", "Makes the policy of a branch what the file has: whatever else was in it is removed."},
}

var errNoBranchFile = errors.New("give the branch with -b and the file with -f, - for standard input")

// changeFlags are the flags of all three.
type changeFlags struct {
	branch, file, keysTo    string
	dryRun, yes             bool
	olderReplace, olderEdit bool
}

func policyChangeCommand(mode string) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use: mode + " -b BRANCH -f FILE", Short: changes[mode].short,
		Long: changes[mode].long + "\n\n" +
			"Prints the version and the API keys of new users and hosts as JSON. On a terminal it shows first what is\n" +
			"going to change. Before it destroys variables that have values, it asks; where nobody can be asked it does\n" +
			"so only with --yes.",
		Example: "  rekey policy " + mode + " -b root -f root.yml\n  rekey policy " + mode + " -b shop -f shop.yml --keys-to shop-keys.json",
		Args: func(cmd *cobra.Command, args []string) error {
			if (f.olderReplace || f.olderEdit || isConjur(cmd)) && len(args) == 2 {
				f.branch, f.file, args = args[0], args[1], nil
			}
			if f.branch == "" || f.file == "" {
				return errNoBranchFile
			}
			return noArguments(cmd, args)
		},
	}
	f.add(cmd)
	formatFlag(cmd.Flags())
	cmd.Flags().StringVar(&f.keysTo, "keys-to", "", "write the API keys to a new file for its user only, instead of printing them")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print what would change, as JSON, and change nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "destroy values without asking")
	if mode == "load" {
		cmd.Flags().BoolVar(&f.olderReplace, "replace", false, "the same as rekey policy replace")
		cmd.Flags().BoolVar(&f.olderEdit, "delete", false, "the same as rekey policy update")
		cmd.MarkFlagsMutuallyExclusive("replace", "delete")
		hide(cmd, "replace", "delete")
	}
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		mode := mode
		switch {
		case f.olderReplace:
			mode = "replace"
		case f.olderEdit:
			mode = "update"
		}
		branch, text, err := f.read(cmd, s)
		if err != nil {
			return err
		}
		if f.dryRun {
			return f.rehearse(cmd, s, mode, branch, text)
		}
		if err := f.confirm(cmd, s, mode, branch, text); err != nil {
			return err
		}
		return f.load(cmd, s, mode, branch, text)
	})
}

func (f *changeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.branch, "branch", "b", "", "id of the policy, as in root or shop/web")
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "file with the policy, - for standard input")
}

func (f *changeFlags) read(cmd *cobra.Command, s *client.Session) (ident.ID, string, error) {
	branch, err := s.ID(f.branch, "policy")
	if err != nil {
		return "", "", err
	}
	text, err := readFile(cmd, f.file)
	return branch, text, err
}

// rehearse prints the server's report as it is.
func (f *changeFlags) rehearse(cmd *cobra.Command, s *client.Session, mode string, branch ident.ID, text string) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "Dry run policy '%s'\n", f.branch)
	r, err := s.Rehearse(mode, branch, text)
	if r == nil {
		return err
	}
	if isConjur(cmd) {
		err = nil // the report says it
	}
	if form := formOf(cmd); form != formatTable {
		return errors.Join(form.reprint(cmd, r.Text), err)
	}
	if err == nil {
		printReport(cmd.OutOrStdout(), r)
	}
	return err
}

// confirm shows on a terminal what is going to change, and asks before values are
// lost. A plain load destroys none.
func (f *changeFlags) confirm(cmd *cobra.Command, s *client.Session, mode string, branch ident.ID, text string) error {
	if isConjur(cmd) {
		return nil // which never asks
	}
	watched := isTerminal(cmd.InOrStdin()) || isTerminal(cmd.ErrOrStderr())
	if !watched && (f.yes || mode == "load") {
		return nil
	}
	var r *client.Report
	err := working(cmd, "Looking at what will change", func() (err error) {
		r, err = s.Rehearse(mode, branch, text)
		return err
	})
	if err != nil {
		return err
	}
	if watched {
		printReport(cmd.ErrOrStderr(), r)
	}
	return agreeToLose(cmd, f.yes, r.Values.Count, r.Values.Variables)
}

// load makes the file for the keys first: keys that have no place are never made.
func (f *changeFlags) load(cmd *cobra.Command, s *client.Session, mode string, branch ident.ID, text string) error {
	keys, err := f.openKeys()
	if err != nil {
		return err
	}
	var loaded *client.Loaded
	err = working(cmd, "Loading policy '"+f.branch+"'", func() (err error) {
		loaded, err = s.Load(mode, branch, text)
		return err
	})
	if err != nil {
		if keys != nil {
			err = errors.Join(err, keys.Close(), os.Remove(f.keysTo))
		}
		return err
	}
	for _, warning := range loaded.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+client.VisibleLines(warning))
	}
	if keys != nil {
		err := printJSON(keys, loaded.CreatedRoles)
		if err = errors.Join(err, keys.Sync(), keys.Close()); err != nil {
			return errors.Join(fault.Wrap(err, "%s is not written, so here are the keys", f.keysTo), printLoaded(cmd, loaded))
		}
		loaded.HideKeys()
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Loaded policy '%s'\n", f.branch)
	return printLoaded(cmd, loaded)
}

func printLoaded(cmd *cobra.Command, loaded *client.Loaded) error {
	keys := map[string]string{}
	for id, role := range loaded.CreatedRoles {
		keys[id] = role.APIKey
	}
	return formOf(cmd).print(cmd, loaded, []string{"CREATED", "API KEY"}, keyRows(keys))
}

// keyRows are roles with their keys, for a table.
func keyRows(keys map[string]string) (rows [][]string) {
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		rows = append(rows, []string{id, keys[id]})
	}
	return rows
}

func (f *changeFlags) openKeys() (*os.File, error) {
	if f.keysTo == "" {
		return nil, nil
	}
	keys, err := os.OpenFile(f.keysTo, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Message: err.Error(), Cause: err,
			Advice: "nothing was loaded; name a file that does not exist, in a folder that you may write to"}
	}
	return keys, nil
}

func policyDiffCommand() *cobra.Command {
	var f changeFlags
	var mode string
	cmd := &cobra.Command{
		Use: "diff -b BRANCH -f FILE", Short: "Show what loading a policy would change",
		Long:    "Shows what `rekey policy replace`, or update or load, would change, and changes nothing.",
		Example: "  rekey policy diff -b shop -f shop.yml",
		Args: func(cmd *cobra.Command, args []string) error {
			if _, ok := changes[mode]; !ok {
				return fmt.Errorf("'%s' is none of replace, update, load", mode)
			}
			if f.branch == "" || f.file == "" {
				return errNoBranchFile
			}
			return noArguments(cmd, args)
		},
	}
	f.add(cmd)
	outcomeFlag(cmd.Flags())
	cmd.Flags().StringVar(&mode, "mode", "replace", "replace, update or load")
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		branch, text, err := f.read(cmd, s)
		if err != nil {
			return err
		}
		r, err := s.Rehearse(mode, branch, text)
		switch form := formOf(cmd); {
		case r != nil && (form == formatJSON || form == formatYAML):
			return errors.Join(form.reprint(cmd, r.Text), err)
		case err == nil:
			printReport(cmd.OutOrStdout(), r)
		}
		return err
	})
}

func policyFetchCommand() *cobra.Command {
	var branch, file, form string
	var depth, limit uint
	cmd := &cobra.Command{
		Use: "fetch -b BRANCH", Short: "Print the policy that is in force",
		Long: "Prints the policy that would make what a branch now has, as YAML or JSON. The text of root loads into root.\n" +
			"That of another branch is wrapped in its !policy, so that it loads into the parent: what `fetch -b shop/web`\n" +
			"prints loads with `-b shop`, and what `fetch -b shop` prints with `-b root`.",
		Example: "  rekey policy fetch -b root > root.yml",
		Args: func(cmd *cobra.Command, args []string) error {
			if branch == "" {
				return errors.New("give the branch with -b")
			}
			if form != "yaml" && form != "json" {
				return fmt.Errorf("'%s' is none of yaml, json", form)
			}
			return noArguments(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&branch, "branch", "b", "", "id of the policy, as in root or shop/web")
	flags.StringVarP(&file, "file", "f", "", "write it to a file")
	flags.StringVarP(&form, "output", "o", "yaml", "yaml or json")
	flags.UintVarP(&depth, "depth", "D", 64, "how deep to go into policies inside")
	flags.UintVarP(&limit, "limit", "l", 100000, "how many elements to take at most")
	return newRemote(cmd, func(cmd *cobra.Command, s *client.Session, _ []string) error {
		id, err := s.ID(branch, "policy")
		if err != nil {
			return err
		}
		text, err := s.API.FetchPolicy(string(id), form == "json", depth, limit)
		if err != nil {
			return s.Explain(err, client.Task{Do: "read the policy of", On: string(id), Privilege: "read"})
		}
		if form == "json" {
			var indented bytes.Buffer
			if err := json.Indent(&indented, text, "", "  "); err != nil {
				return fault.Wrap(err, "reading the policy")
			}
			text = indented.Bytes()
		}
		text = append(bytes.TrimRight(text, "\n"), '\n')
		if s.Who != "admin" { // who owns everything
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: what '"+s.Who+"' may not see is left out: do not replace a policy by this without a look at `rekey policy diff`")
		}
		if file != "" {
			return client.WriteFile(file, text)
		}
		_, err = cmd.OutOrStdout().Write(text)
		return fault.Wrap(err, "writing the policy")
	})
}
