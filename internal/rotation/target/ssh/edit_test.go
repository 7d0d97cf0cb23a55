package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Given the script that edits a file, when it is only to look, then it writes nothing, whatever
// it is told.
func TestLookingAtAFileCannotWriteIt(t *testing.T) {
	for _, c := range []struct{ third, want string }{{"look", "old\n"}, {"", "new\n"}} {
		dir := t.TempDir()
		file := filepath.Join(dir, "authorized_keys")
		if err := os.WriteFile(file, []byte("old\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		run := exec.Command("sh", "-c", script, "sh", file, "mark", c.third)
		run.Stdin = strings.NewReader("4\nnew\n")
		said, err := run.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(said), "mark\nold\n\nmark\n") {
			t.Fatalf("%q: %v: %q", c.third, err, said)
		}
		if now, err := os.ReadFile(file); err != nil || string(now) != c.want {
			t.Errorf("%q: %v: %q", c.third, err, now)
		}
	}
}
