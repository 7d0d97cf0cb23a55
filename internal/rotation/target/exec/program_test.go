package exec_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rekey/internal/rotation/target/targettest/exectest"
)

func TestMain(m *testing.M) {
	exectest.Be()
	os.Exit(m.Run())
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
