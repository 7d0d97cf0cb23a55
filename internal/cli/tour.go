package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	_ "embed"

	"al.essio.dev/pkg/shellescape"
	"github.com/fatih/color"

	"rekey/internal/fault"
)

//go:embed tour.sh.tmpl
var tourText string

//go:embed conjur.sh.tmpl
var conjurText string

// tour is what quickstart says: what it made, and lines to paste.
type tour struct {
	URL, DataDir, Account, Self string // lines to paste do not depend on the working directory
	RootKey                     string // where it comes from
	AdminKey, HostKey           string // empty when the account was there before
}

func (t *tour) print(w io.Writer) error {
	bold, faint, green := color.New(color.Bold).SprintFunc(), color.New(color.Faint).SprintFunc(), color.New(color.FgGreen, color.Bold).SprintFunc()
	dir := shellescape.Quote(t.DataDir)
	line := func(name, value string) { fmt.Fprintf(w, "  %s  %s\n", faint(fmt.Sprintf("%-14s", name)), value) }

	fmt.Fprintf(w, "%s at %s\n\n", green("rekey is ready"), bold(t.URL))
	line("data directory", t.DataDir)
	line("root key", t.RootKey)
	line("account", t.Account)
	if t.HostKey != "" {
		line("admin's key", t.AdminKey)
		line("host's key", t.HostKey+"  (host/shop/web-1)")
		fmt.Fprintf(w, "\nThe keys are shown this once; later: %s role retrieve-key --data-dir %s ROLE\n", t.Self, dir)
	} else {
		fmt.Fprintf(w, "\nThe account was there already. Its keys are not shown again; this prints them:\n  %s role retrieve-key --data-dir %s %s:user:admin %s:host:shop/web-1\n",
			t.Self, dir, t.Account, t.Account)
	}
	for _, block := range []struct{ title, text string }{
		{"Try it: paste this into another bash", tourText},
		{"The same with the ecosystem's command line, if you have it", conjurText},
	} {
		fmt.Fprintf(w, "\n%s\n\n", bold(block.title))
		if err := t.commands(w, block.text, faint); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n%s\n", faint("Ctrl-C stops the server. To start over: rm -r "+dir))
	return nil
}

// commands writes a template's lines, comments fainter than the rest.
func (t *tour) commands(w io.Writer, text string, faint func(...any) string) error {
	parsed, err := template.New("tour").Funcs(template.FuncMap{"quote": shellescape.Quote}).Parse(text)
	if err != nil {
		return fault.Wrap(err, "reading the tour")
	}
	var lines strings.Builder
	if err := parsed.Execute(&lines, t); err != nil {
		return fault.Wrap(err, "writing the tour")
	}
	for line := range strings.Lines(lines.String()) {
		if strings.HasPrefix(line, "#") {
			line = faint(strings.TrimSuffix(line, "\n")) + "\n"
		}
		fmt.Fprint(w, line)
	}
	return nil
}

// selfName is how to start this program again from any working directory.
func selfName() string {
	path, err := os.Executable()
	dir, err2 := os.Getwd()
	switch {
	case !strings.ContainsRune(os.Args[0], filepath.Separator): // found in PATH
		return shellescape.Quote(os.Args[0])
	case err != nil:
		return shellescape.Quote(os.Args[0]) // better than nothing
	case err2 == nil && strings.Contains(path, string(filepath.Separator)+"go-build"): // gone when it has ended
		return "go -C " + shellescape.Quote(dir) + " run rekey/cmd/rekey"
	}
	return shellescape.Quote(path)
}
