// Package exectest is a program for tests that changes passwords: a real process, which is
// the program of the tests itself. It imports rotation/target/targettest.
package exectest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"rekey/internal/rotation/target/targettest"
)

// Argument is the first one of the program, before its directory.
const Argument = "-as-program"

// Be is called first in TestMain: it is the program if this process was started as such,
// and does not return then.
func Be() {
	if len(os.Args) != 3 || os.Args[1] != Argument {
		return
	}
	if err := answer(os.Stdin, os.Stdout, os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		syscall.Exit(1)
	}
	syscall.Exit(0) // with os.Exit the race detector waits a second for other threads
}

// Program keeps the passwords of users in files of a directory, two for each.
type Program struct{ Path, Dir string }

// Find is the program, with a directory.
func Find(site *targettest.Site) (*Program, error) {
	self, err := os.Executable()
	return &Program{self, site.Dir}, err
}

// Arguments are those with which it is started.
func (p *Program) Arguments() []string { return []string{Argument, p.Dir} }

// Login tells whether a password is one of the user's.
func (p *Program) Login(_ *testing.T, user, password string) bool {
	passwords, err := read(p.Dir, user)
	return err == nil && slices.Contains(passwords, password)
}

// Account makes a user. The program has to be allowed by the name "passwords".
func (p *Program) Account(t *testing.T, ask targettest.Ask) targettest.Account {
	t.Helper()
	if err := write(p.Dir, ask.Users[0], ask.Password); err != nil {
		t.Fatal(err)
	}
	return targettest.Reached{Kind: "exec", Values: map[string]string{"token": "secret-Token-1"},
		Annotations: map[string]string{"program": "passwords", "variables": "username", "secrets": "token", "parameter/zone": "a"}}.Account(ask)
}

type question struct {
	ID, Operation, Current, Next, Old, Value string
	Parameters, Variables, Secrets           map[string]string
}

func answer(in io.Reader, out io.Writer, dir string) error {
	var q question
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&q); err != nil {
		return err
	}
	say := func(result, message string) error {
		return json.NewEncoder(out).Encode(map[string]any{"result": result, "message": message, "bad_value": message == "too short"})
	}
	user := q.Variables["username"]
	passwords, err := read(dir, user)
	if errors.Is(err, os.ErrNotExist) {
		return say("refused", "there is no such user")
	} else if err != nil {
		return err
	}
	switch q.Operation {
	case "probe":
		if !slices.Contains(passwords, q.Value) {
			return say("authentication failed", "wrong password")
		}
	case "apply":
		switch {
		case slices.Contains(passwords, q.Next):
		case !slices.Contains(passwords, q.Current):
			return say("authentication failed", "wrong password")
		case len(q.Next) < 8:
			return say("refused", "too short")
		default:
			err = write(dir, user, q.Current, q.Next)
		}
	case "retire":
		err = write(dir, user, slices.DeleteFunc(passwords, func(p string) bool { return p == q.Old })...)
	}
	if err != nil {
		return err
	}
	return say("ok", "")
}

func file(dir, user string) string {
	return filepath.Join(dir, "user-"+hex.EncodeToString([]byte(user)))
}

func read(dir, user string) ([]string, error) {
	b, err := os.ReadFile(file(dir, user))
	if err != nil {
		return nil, err
	}
	var passwords []string
	return passwords, json.Unmarshal(b, &passwords)
}

func write(dir, user string, passwords ...string) error {
	b, err := json.Marshal(passwords)
	if err != nil {
		return err
	}
	// Somebody else may read it at any time.
	next := fmt.Sprintf("%s.%d", file(dir, user), os.Getpid())
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, file(dir, user))
}
