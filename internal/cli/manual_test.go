package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/rogpeppe/go-internal/testscript"

	"rekey/internal/cli"
)

var write = flag.Bool("write", false, "write docs/cli.md anew")

// TestTheManualIsCurrent writes the manual anew with `go test ./internal/cli -run
// Manual -write`.
func TestTheManualIsCurrent(t *testing.T) {
	parsed := template.Must(template.ParseFiles("testdata/cli.md.tmpl"))
	var text bytes.Buffer
	if err := parsed.Execute(&text, cli.Chapters()); err != nil {
		t.Fatal(err)
	}
	const name = "../../docs/cli.md"
	want := append(bytes.TrimSpace(text.Bytes()), '\n')
	if *write {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/cli.md is not what the commands say (%v): run `go test ./internal/cli -run Manual -write`", err)
	}
}

// TestEveryExampleInTheManualWorks runs the examples of each command in a place of
// their own, with a real server that has what testdata/example.txtar makes.
func TestEveryExampleInTheManualWorks(t *testing.T) {
	prelude, err := os.ReadFile("testdata/example.txtar")
	if err != nil {
		t.Fatal(err)
	}
	script, files, _ := strings.Cut(string(prelude), "\n-- ")
	dir := t.TempDir()
	for _, c := range cli.Chapters() {
		for _, p := range c.Commands {
			if p.Example == "" {
				continue
			}
			text := script
			for line := range strings.SplitSeq(p.Example, "\n") {
				text += fmt.Sprintf("\nttyin -stdin %s\nexec bash -euc '%s'\n", answersTo(line), strings.ReplaceAll(line, "'", "''"))
			}
			text = strings.ReplaceAll(text, "https://rekey.example.com", "$URL") + "\n-- " + files
			name := strings.ReplaceAll(p.Path, " ", "_") + ".txtar"
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	testscript.Run(t, scriptParams(dir))
}

// answersTo is the file with what is typed while an example runs.
func answersTo(example string) string {
	switch {
	case strings.HasPrefix(example, "rekey init"):
		return "yes"
	case strings.HasPrefix(example, "rekey login"):
		return "alice.key"
	}
	return "passwords"
}
