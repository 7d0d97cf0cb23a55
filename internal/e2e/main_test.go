// Package e2e holds the tests of the whole program: each of them starts the real
// binary as a process of its own, talks to it over loopback as clients do, kills it
// where that is the question, and looks at what it leaves on the disk. The promises
// that only a whole program can keep are checked here; what a single room promises is
// checked in the room.
//
// The binary is built with the race detector if the tests are, and once more without it
// for those that start it hundreds of times to kill it. Nothing but the binary's commands
// and its HTTP API is used, except to look at what a dead process has left on the disk, and
// to start the servers whose passwords are rotated.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The paths of the program under test: binary has the race detector if the tests have it.
// plain never has it, which makes a start ten times cheaper: a process that is killed after
// some milliseconds tells of no race.
var binary, plain string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	home, err := os.MkdirTemp("", "rekey-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(home)
	// Whoever runs the tests may have a configuration of clients or of a server.
	for _, entry := range os.Environ() {
		for _, prefix := range []string{"CONJUR_", "REKEY_"} {
			name, _, _ := cutVariable(entry)
			if len(name) > len(prefix) && name[:len(prefix)] == prefix && name != killsVariable && name != rotationKillsVariable && name != agentKillsVariable && name != seedVariable && name != faultsVariable {
				os.Unsetenv(name)
			}
		}
	}
	os.Unsetenv("DATABASE_URL")
	defer stopDatabase()
	os.Setenv("GORACE", "atexit_sleep_ms=0")               // or each command takes a second to end
	if binary = os.Getenv(programVariable); binary != "" { // of the test that has started this one
		plain = binary
		return m.Run()
	}
	binary, plain = filepath.Join(home, "rekey"), filepath.Join(home, "rekey-plain")
	for path, flags := range map[string][]string{binary: buildFlags, plain: nil} {
		build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, "rekey/cmd/rekey")...)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the program:", err)
			return 1
		}
	}
	os.Setenv("HOME", home) // after the build, which wants its cache
	return m.Run()
}
