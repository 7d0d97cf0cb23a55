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

// Given a file is reserved, then nobody else replaces it, and whoever waits gets its turn;
// the room of a process that was killed is taken over.
func TestOneAtATimeReplacesAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	place, err := reserveFile(path, 10, nil, nil)
	check(t, err)
	done := make(chan error)
	go func() { done <- WriteFile(path, []byte("second")) }()
	check(t, place.commit([]byte("first")))
	check(t, <-done)
	if text, err := os.ReadFile(path); err != nil || string(text) != "second" {
		t.Errorf("%q, %v", text, err)
	}

	check(t, os.WriteFile(roomName(path), []byte("what somebody who was killed has left, and it is long"), 0o644))
	check(t, WriteFileAs(path, []byte("third"), &Look{Mode: 0o640, UID: -1, GID: -1}))
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 || info.Size() != 5 {
		t.Errorf("%v, %v", info, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// In a directory of everybody's, somebody may have put something in the way.
func TestATrapIsNotWrittenInto(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	trap := filepath.Join(dir, "trap")
	for name, lay := range map[string]func() error{
		"a symbolic link": func() error { return os.Symlink(trap, roomName(path)) },
		"a second name":   func() error { return os.Link(trap, roomName(path)) },
		"a directory":     func() error { return os.Mkdir(roomName(path), 0o700) },
	} {
		check(t, os.WriteFile(trap, []byte("theirs"), 0o600))
		check(t, lay())
		if err := WriteFile(path, []byte("secret")); err == nil || !strings.Contains(err.Error(), "cannot be written") {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(trap); err != nil || string(text) != "theirs" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		check(t, os.RemoveAll(roomName(path)))
	}
}
