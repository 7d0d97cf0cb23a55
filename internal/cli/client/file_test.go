package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	check(t, os.WriteFile(path, []byte("old\n"), 0o640))

	// Given room for the next text, the old one stays until the commit.
	place, err := reserveFile(path, 100, nil, nil)
	check(t, err)
	if text, err := os.ReadFile(path); err != nil || string(text) != "old\n" {
		t.Errorf("%q, %v", text, err)
	}
	check(t, place.commit([]byte("shorter\n")))
	if text, err := os.ReadFile(path); err != nil || string(text) != "shorter\n" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	// Room that is given up leaves nothing behind.
	place, err = reserveFile(path, 100, nil, nil)
	check(t, err)
	place.release()
	place.release()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestANewFileIsForItsUserOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	check(t, WriteFile(path, []byte("x")))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := WriteFile(filepath.Join(path, "below"), nil); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Error(err)
	}
}
