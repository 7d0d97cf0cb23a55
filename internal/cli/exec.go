package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secretsyml"
)

// defaultList is the list of secrets that is read if nothing else is said.
const defaultList = "secrets.yml"

// execFlags are the flags of exec, those of Summon among them.
type execFlags struct {
	file, section, text string
	chosen              map[string]string // what stands for $NAME in the list
	variables           []string          // NAME=ID
	ignored             []string
	ignoreAll, up       bool
}

func execCommand() *cobra.Command {
	var f execFlags
	cmd := newRemote(&cobra.Command{
		Use: "exec [-f FILE] [--env NAME=ID] -- COMMAND [ARGUMENT...]", Aliases: []string{"run"},
		Short: "Run a program with secrets in its environment",
		Long: "Reads a secrets.yml in the format of Summon, all of its variables as of one moment, and runs a program with\n" +
			"them in its environment, or in files for its user only, which are removed when it ends. No secret is on a\n" +
			"command line or stays on the disk. Without -f, --yaml and --env it reads secrets.yml.\n\n" +
			"Signals go to the program, and its exit status is that of the command: 128 and the signal if one has ended\n" +
			"it, 127 if there is no such program, 126 if it cannot be run. In the arguments, @SUMMONENVFILE becomes the\n" +
			"path of a file that has the environment, one NAME=value on each line.",
		Example: "  rekey exec -- printenv DB_PASSWORD\n" +
			"  rekey exec --env PASSWORD=shop/db/password -- sh -c 'test -n \"$PASSWORD\"'\n" +
			"  rekey exec --yaml 'PASSWORD: !var $app/db/password' -D app=shop -- printenv PASSWORD",
		Args: arguments(1, many),
	}, func(cmd *cobra.Command, s *client.Session, args []string) error {
		entries, err := f.entries(cmd)
		if err != nil {
			return err
		}
		values, err := f.values(s, entries)
		if err != nil {
			return err
		}
		return runWith(cmd, entries, values, args)
	})
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what comes after the program is the program's
	flags.StringVarP(&f.file, "file", "f", "", "list of secrets (default "+defaultList+")")
	flags.StringVar(&f.text, "yaml", "", "the list itself, instead of a file")
	flags.StringVarP(&f.section, "environment", "e", "", "section of the list")
	flags.StringToStringVarP(&f.chosen, "substitute", "D", nil, "what stands for $NAME in the list, as NAME=text")
	flags.StringArrayVar(&f.variables, "env", nil, "a variable of the environment and the id of its secret, as NAME=ID")
	flags.StringArrayVarP(&f.ignored, "ignore", "i", nil, "name in the list that is left out if it cannot be read")
	flags.BoolVarP(&f.ignoreAll, "ignore-all", "I", false, "leave out whatever cannot be read")
	flags.BoolVar(&f.up, "up", false, "look for the list in the folders above, too")
	cmd.MarkFlagsMutuallyExclusive("file", "yaml")
	return cmd
}

// envCommand has an older spelling.
func envCommand() *cobra.Command {
	group := &cobra.Command{Use: "env", Short: "An older spelling of exec", Hidden: true}
	group.AddCommand(execCommand())
	return group
}

// entries are those of the list and of the flags.
func (f *execFlags) entries(cmd *cobra.Command) ([]secretsyml.Entry, error) {
	var entries []secretsyml.Entry
	if f.text != "" || f.file != "" || len(f.variables) == 0 {
		text, name := f.text, "--yaml"
		if text == "" {
			var err error
			if text, name, err = f.list(cmd); err != nil {
				return nil, err
			}
		}
		var err error
		entries, err = secretsyml.Parse(strings.NewReader(text), secretsyml.Subst{Section: f.section, Values: f.chosen})
		if err != nil {
			return nil, fault.Wrap(err, "%s", name)
		}
	}
	for _, pair := range f.variables {
		name, id, ok := strings.Cut(pair, "=")
		if !ok || name == "" || id == "" {
			e := fault.New(fault.Invalid, "'%s' does not say which variable of the environment gets which secret", pair)
			e.Advice = "write --env NAME=ID"
			return nil, e
		}
		entries = append(entries, secretsyml.Entry{Name: name, Text: id, Variable: true})
	}
	return entries, nil
}

// list reads the file with the list.
func (f *execFlags) list(cmd *cobra.Command) (text, name string, err error) {
	name = f.file
	if name == "" {
		name = defaultList
	}
	for above := name; f.up && name != "-"; above = filepath.Join("..", above) {
		if _, err := os.Stat(above); err == nil {
			name = above
			break
		}
		if folder, err := filepath.Abs(filepath.Dir(above)); err != nil || folder == filepath.Dir(folder) {
			break
		}
	}
	if name == "-" {
		text, err = readAll(cmd)
		return text, "standard input", err
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		e := fault.New(fault.Invalid, "there is no list of secrets %s here", name)
		e.Advice = "name it with -f, look in the folders above with --up, or name secrets with --env NAME=ID"
		return "", "", e
	}
	return string(content), name, fault.Wrap(err, "reading the list of secrets")
}

// values are what the entries get, by name. Those that may be left out and cannot be
// read are not there.
func (f *execFlags) values(s *client.Session, entries []secretsyml.Entry) (map[string][]byte, error) {
	var ids []ident.ID
	byName := map[string]ident.ID{}
	for _, e := range entries {
		if !e.Variable {
			continue
		}
		id, err := s.ID(e.Text, "variable")
		if err != nil {
			return nil, fault.Wrap(err, "%s", e.Name)
		}
		if byName[e.Name] = id; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	found, err := f.read(s, ids)
	values := map[string][]byte{}
	for _, e := range entries {
		content, ok := []byte(e.Text), true
		if e.Variable {
			content, ok = found[byName[e.Name]]
		}
		if !ok && !f.ignoreAll && !slices.Contains(f.ignored, e.Name) {
			return nil, fault.Wrap(err, "nothing was run")
		}
		if len(content) == 0 {
			content = []byte(e.Default)
		}
		if ok {
			values[e.Name] = content
		}
	}
	return values, nil
}

// read reads variables as of one moment; only if some of them cannot be read and may
// be left out, it reads one after the other. The error is that of the first that could
// not be read.
func (f *execFlags) read(s *client.Session, ids []ident.ID) (map[ident.ID][]byte, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := s.Values(ids, 0)
	if err == nil || !f.ignoreAll && len(f.ignored) == 0 {
		return found, err
	}
	found = map[ident.ID][]byte{}
	var first error
	for _, id := range ids {
		value, err := s.Values([]ident.ID{id}, 0)
		switch {
		case err == nil:
			found[id] = value[id]
		case fault.Is(err, fault.Unavailable):
			return nil, err
		case first == nil:
			first = err
		}
	}
	return found, first
}

// unsuited is a value that cannot be where it is wanted.
func unsuited(name, why, advice string) error {
	e := fault.New(fault.Invalid, "nothing was run: the value of %s %s", name, why)
	e.Advice = fmt.Sprintf(advice, name)
	return e
}
