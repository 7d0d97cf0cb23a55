package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A restore takes all or nothing: a damaged archive, another key, a store that is not
// empty and a death on the way leave what was there before, and it can be repeated.
func TestRestoreTakesAllOrNothing(t *testing.T) {
	t.Parallel()
	s, key := start(t)
	admin := newClient(s.url).as(t, "admin", key)
	policy := "- !group all\n"
	for i := range 300 {
		policy += fmt.Sprintf("- !host h-%d\n- !variable v-%[1]d\n", i)
	}
	admin.load(t, "POST", "root", policy)
	for i := range 300 {
		admin.must(t, 201, "POST", fmt.Sprintf("/secrets/demo/variable/v-%d", i), strings.Repeat("x", 2000))
	}
	before := admin.listing(t)
	home := t.TempDir()
	file, backupKey := filepath.Join(home, "backup"), filepath.Join(home, "backup.key")
	if _, err := s.command("backup", file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.command("backup", file); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a backup over another one: %v", err)
	}
	dir := newDir(t)
	copyKey(t, s.dir, dir)
	empty := func() []os.DirEntry {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	refused := func(archive, want string, flags ...string) {
		t.Helper()
		said, err := rekey(append([]string{"restore", archive, "--data-dir", dir}, flags...)...)
		if err == nil || !strings.Contains(said, want) {
			t.Errorf("want %q, got %q, %v", want, said, err)
		}
	}

	// Another root key is refused by its fingerprint, before anything is made.
	other := newDir(t)
	refused(file, "fingerprint", "--data-key-file", filepath.Join(other, "root.key"))
	refused(filepath.Join(dir, "root.key"), "this is no backup")
	refused(filepath.Join(dir, "none"), "name a file")
	if len(empty()) != 1 {
		t.Errorf("a restore that was refused has left %v", empty())
	}

	// A byte that was changed, wherever it is, and every cut.
	archive := []byte(read(t, file))
	rng := rand.New(rand.NewPCG(1, uint64(len(archive))))
	bad := filepath.Join(home, "bad")
	damaged := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(bad, text, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(bad, "error: ")
		refused(bad, "error: ", "--check")
	}
	for i := range 60 {
		at := rng.IntN(len(archive))
		switch {
		case i < 20:
			at = i * 5 // the heading
		case i < 30:
			at = len(archive) - 1 - i
		}
		text := bytes.Clone(archive)
		text[at] ^= 1 << rng.IntN(8)
		damaged(text)
	}
	for i := range 20 {
		damaged(archive[:i*len(archive)/20])
	}
	damaged(archive[:len(archive)-1])
	damaged(append(bytes.Clone(archive), 0))

	// A death on the way.
	died := 0
	for range 12 {
		cmd := exec.Command(plain, "restore", file, "--data-dir", dir)
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(5+rng.IntN(120)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		if err := cmd.Wait(); err != nil && said.Len() == 0 {
			died++
		}
	}
	if _, err := rekey("restore", file, "--data-dir", dir); err != nil && !strings.Contains(err.Error(), "the store is not empty") {
		t.Fatal(err)
	}
	t.Logf("%d of 12 died on the way", died)
	refused(file, "the store is not empty, and was left as it is")
	restored := serve(t, dir)
	unchanged(t, before, newClient(restored.url).as(t, "admin", key).listing(t))
	refused(file, "a server runs on")

	// An archive for a key of its own takes that key, and the root key of the data.
	if text, err := rekey("data-key", "generate"); err != nil || os.WriteFile(backupKey, []byte(text), 0o600) != nil {
		t.Fatal(err)
	}
	own := filepath.Join(home, "own")
	if _, err := s.command("backup", own, "--key-file", backupKey); err != nil {
		t.Fatal(err)
	}
	dir = newDir(t) // with a root key of its own
	refused(own, "fingerprint")
	refused(own, "data key 1 was wrapped by the root key with fingerprint", "--key-file", backupKey)
	refused(own, "data key 1 was wrapped by the root key with fingerprint", "--key-file", backupKey, "--check")
	copyKey(t, s.dir, dir)
	if _, err := rekey("restore", own, "--key-file", backupKey, "--data-dir", dir); err != nil {
		t.Fatal(err)
	}
	unchanged(t, before, newClient(serve(t, dir).url).as(t, "admin", key).listing(t))

	// A backup that cannot be written leaves nothing.
	if _, err := s.command("backup", filepath.Join(home, "none", "backup")); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("a backup into no directory: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(home, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
