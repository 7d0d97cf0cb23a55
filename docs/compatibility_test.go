package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every difference says what is so there, what is so here, and why, under an id of its
// own that its section counts.
func TestDifferencesAreWhole(t *testing.T) {
	content, err := os.ReadFile("compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^[A-Z][1-9][0-9]*$`)
	seen := map[string]bool{}
	for number, line := range strings.Split(string(content), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| id ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			t.Errorf("line %d has %d cells, not 4: %s", number+1, len(cells), line)
			continue
		}
		for i, cell := range cells {
			if cells[i] = strings.TrimSpace(cell); cells[i] == "" {
				t.Errorf("line %d: a cell is empty", number+1)
			}
		}
		if !id.MatchString(cells[0]) || seen[cells[0]] {
			t.Errorf("line %d: %s is no id of its own", number+1, cells[0])
		}
		seen[cells[0]] = true
	}
	if len(seen) < 80 {
		t.Errorf("only %d differences are found", len(seen))
	}
}
