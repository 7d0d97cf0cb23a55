package agent

import (
	"os"
	"path/filepath"
	"testing"
)

// Given folders of an agent that lives and of one that was killed, when another agent
// begins, then what the dead one has left is removed, and nothing else.
func TestAFolderOutlivesItsAgentOnlyUntilTheNext(t *testing.T) {
	parent := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	check(t, os.WriteFile(outside, nil, 0o600))
	folders := map[string]bool{} // and whether they stay
	begin := func() *folder {
		f, err := openFolderIn(parent)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(f.path, "PASSWORD"), []byte("x"), 0o600))
		folders[f.path] = true
		return f
	}
	alive, killed := begin(), begin()
	check(t, killed.lock.Close()) // as the system does
	folders[killed.path] = false
	link, file := filepath.Join(parent, folderName+"link"), filepath.Join(parent, folderName+"file")
	check(t, os.Symlink(filepath.Dir(outside), link))
	check(t, os.WriteFile(file, nil, 0o600))
	folders[link], folders[file] = true, true

	begin()
	for path, stays := range folders {
		if _, err := os.Lstat(path); (err == nil) != stays {
			t.Errorf("%s stays: %v, want %v", path, err == nil, stays)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(alive.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info, err)
	}
	check(t, alive.remove())
	if _, err := os.Stat(alive.path); err == nil {
		t.Error("it is there after the end")
	}
}
