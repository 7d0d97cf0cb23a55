package cli_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rekey/internal/cli"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=10") // a program with the race detector else takes a second to exit
	program := func() { os.Exit(cli.Main()) }
	testscript.Main(m, map[string]func(){"rekey": program, "conjur": program, "summon-rekey": program})
}

// TestScripts runs the commands as a shell would. The scripts are in
// testdata/script; each has a directory and an environment of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, scriptParams("testdata/script"))
}

func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("CONJUR_CREDENTIAL_STORAGE", "file") // nobody's keyring
			env.Values[authorityKey{}] = &authority{}
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"mode":  checkMode,
			"ready": waitForServer,
			"serve": serve,
			"keep":  keep,
		},
	}
}

// waitForServer waits until a server listens on a data directory: ready DIR.
func waitForServer(ts *testscript.TestScript, _ bool, args []string) {
	socket := filepath.Join(ts.MkAbs(args[0]), "admin.sock")
	for range 400 {
		if _, err := os.Stat(socket); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("there is no server on %s", args[0])
}

// checkMode compares the permissions of a file: mode FILE OCTAL.
func checkMode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	want, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	if neg || info.Mode().Perm() != os.FileMode(want) {
		ts.Fatalf("%s has mode %o", args[0], info.Mode().Perm())
	}
}
