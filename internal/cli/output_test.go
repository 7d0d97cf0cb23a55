package cli_test

import (
	"slices"
	"strings"
	"testing"

	"rekey/internal/cli"
)

// TestEveryCommandTakesOutput leaves out those that start something, whose output is
// not theirs, or a script for a shell.
func TestEveryCommandTakesOutput(t *testing.T) {
	free := []string{"rekey server", "rekey quickstart", "rekey wait", "rekey exec", "rekey provider"}
	for _, c := range cli.Chapters() {
		for _, p := range c.Commands {
			if !slices.Contains(free, p.Path) && !strings.Contains(p.Flags, "`--output`") {
				t.Errorf("%s has no --output", p.Path)
			}
		}
	}
}
