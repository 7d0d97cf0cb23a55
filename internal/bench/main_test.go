package bench

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain lets the test program serve as a bare server, as the command does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == BareCommand {
		fmt.Fprintln(os.Stderr, ServeBare(os.Args[2:], os.Stdin))
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// testEnv is a run of two short rounds whose servers end with the test.
func testEnv(t *testing.T) *Env {
	t.Helper()
	e, err := NewEnv(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e.Connections, e.Rounds, e.Duration, e.Progress = 4, 2, 30*time.Millisecond, t.Output()
	t.Cleanup(func() {
		for _, server := range e.servers {
			if err := server.stop(10 * time.Second); err != nil {
				t.Error(err)
			}
		}
	})
	return e
}
