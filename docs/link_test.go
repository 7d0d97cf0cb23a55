package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link     = regexp.MustCompile(`\]\(([^)]+)\)`)
	unworded = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// Every link from a page to a file of the project, or to a heading, leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../README.md") {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(content), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			found++
			target, heading, _ := strings.Cut(match[1], "#")
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, match[1])
			} else if heading != "" && !headings(t, file)[heading] {
				t.Errorf("%s: %s has no heading #%s", page, file, heading)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links are found", found)
	}
}

// headings are those of a page as links name them: in lower case, with dashes.
func headings(t *testing.T, page string) map[string]bool {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			name := unworded.ReplaceAllString(strings.ToLower(strings.Trim(line, "# \n")), "")
			names[strings.ReplaceAll(name, " ", "-")] = true
		}
	}
	return names
}
