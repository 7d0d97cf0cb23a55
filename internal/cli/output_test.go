package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rekey/internal/cli"
)

// TestEveryCommandTakesOutput leaves out those that start something, whose output is
// not theirs, or a script for a shell.
func TestEveryCommandTakesOutput(t *testing.T) {
	free := []string{"rekey server", "rekey quickstart", "rekey wait", "rekey agent", "rekey exec", "rekey provider"}
	for _, c := range cli.Chapters() {
		for _, p := range c.Commands {
			if !slices.Contains(free, p.Path) && !strings.Contains(p.Flags, "`--output`") {
				t.Errorf("%s has no --output", p.Path)
			}
		}
	}
}

// TestEveryCommandHasAManualPage looks for what a page needs: its name, how it is
// written, its flags.
func TestEveryCommandHasAManualPage(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("rekey", "man", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for _, c := range cli.Chapters() {
		for _, p := range c.Commands {
			name := filepath.Join(dir, strings.ReplaceAll(p.Path, " ", "-")+".1")
			text, err := os.ReadFile(name)
			if err != nil {
				t.Errorf("%s: %v", p.Path, err)
				continue
			}
			for _, part := range []string{".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"} {
				if !bytes.Contains(text, []byte(part)) {
					t.Errorf("%s has no %s", name, part)
				}
			}
		}
	}
}
