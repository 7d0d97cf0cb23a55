package exec_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests' program is this one, told so by its first argument. It keeps the passwords
// of users in files, two for each.
const asProgram = "-as-program"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asProgram {
		if err := answer(os.Stdin, os.Stdout, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
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
	return os.WriteFile(file(dir, user), b, 0o600)
}

// script writes a program of the shell's.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.TrimSpace(text)+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}
