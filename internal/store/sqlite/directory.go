package sqlite

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rekey/internal/fault"
)

// prepareDirectory creates dir if it is missing, such that it survives a crash of
// the machine. An existing one keeps its mode: the files in it are closed to others.
func prepareDirectory(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(dir, err)
	}
	return syncDirectory(filepath.Dir(dir))
}

// createFile makes sure that path exists and is closed to others, before SQLite
// would create it with the mode that the umask leaves. It must not be called while
// SQLite has the file open in this process: closing it would drop SQLite's locks.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return unusable(path, err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return unusable(path, err)
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return unusable(dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return unusable(dir, err)
	}
	return nil
}

// lockDirectory takes the directory for this process, until the file is closed or
// the process dies. The file says who has it; it stays when the lock is gone.
func lockDirectory(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, readErr := io.ReadAll(io.LimitReader(f, 20))
		closeErr := f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, unusable(path, errors.Join(err, readErr, closeErr))
		}
		return nil, &fault.Error{Kind: fault.Conflict, Cause: err,
			Message: "the data directory " + dir + " is in use by process " + strings.TrimSpace(string(owner)),
			Advice:  "wait until it is done, or stop it, or use another directory; while a server runs, commands go through its socket as soon as it is ready"}
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(f.Truncate(0), writeAt(f, pid)); err != nil {
		return nil, errors.Join(unusable(path, err), f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

func unusable(path string, err error) error {
	f := &fault.Error{Kind: fault.Unavailable, Cause: err,
		Message: "the data directory cannot be used: " + err.Error(),
		Advice:  "create " + path + " or make it readable and writable for the server's user"}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		f.Advice = path + " is in the way: name another data directory"
	}
	return f
}
