package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"rekey/internal/fault"
)

// memory is where files do not touch a disk.
const memory = "/dev/shm"

// folderName is how the names of folders begin.
const folderName = "rekey-secrets-"

// folder is where the files of a command are, for the user only. It is locked as long as
// its agent lives, so that the next agent finds and removes what one that was killed has
// left.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes a folder in memory where there is such a place.
func openFolder() (*folder, error) {
	parent := os.TempDir()
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		parent = memory
	}
	return openFolderIn(parent)
}

func openFolderIn(parent string) (*folder, error) {
	left, _ := filepath.Glob(filepath.Join(parent, folderName+"*")) // whatever is there, a new one is made
	for _, path := range left {
		removeLeft(path)
	}
	for {
		path, err := os.MkdirTemp(parent, folderName)
		if err != nil {
			return nil, fault.Wrap(err, "making a folder for secrets")
		}
		lock, err := lockFolder(path, 0)
		switch {
		case err == nil:
			return &folder{path, lock}, nil
		case !errors.Is(err, fs.ErrNotExist): // else another agent has taken it for one that was left
			return nil, errors.Join(fault.Wrap(err, "locking the folder for secrets"), os.Remove(path))
		}
	}
}

// removeLeft removes a folder of this user if no agent has it. One that cannot be
// removed is no reason to stop.
func removeLeft(path string) {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return
	}
	lock, err := lockFolder(path, syscall.LOCK_NB)
	if err != nil {
		return
	}
	_ = os.RemoveAll(path) // the next agent tries again
	_ = lock.Close()       // nothing was written
}

// lockFolder is fs.ErrNotExist if the folder is gone by the time it has the lock.
func lockFolder(path string, flags int) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|flags); err == nil {
		_, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// remove is for the end of the agent.
func (f *folder) remove() error {
	return errors.Join(fault.Wrap(os.RemoveAll(f.path), "removing the files with secrets"), f.lock.Close())
}
