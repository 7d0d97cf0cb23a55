package client

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"rekey/internal/fault"
)

// WriteFile replaces a file whole: after a crash it has the old text or the new one.
// It keeps the owner and the mode, or makes the file for its user only, and goes through a
// symbolic link to what it names.
func WriteFile(path string, text []byte) error {
	place, err := reserveFile(path, len(text))
	if err != nil {
		return err
	}
	defer place.release()
	return place.commit(text)
}

// reservedFile has room for the next text of a file beside it, on the disk already.
type reservedFile struct {
	path string
	room *os.File // nil after commit or release
}

// reserveFile fails if the file could not be replaced: no permission, no space.
func reserveFile(path string, size int) (*reservedFile, error) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unwritable(path, err)
	}
	room, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, unwritable(path, err)
	}
	r := &reservedFile{path, room}
	_, err = room.Write(bytes.Repeat([]byte{'\n'}, size))
	if err == nil && info != nil {
		err = dress(room, info)
	}
	if err == nil {
		err = room.Sync()
	}
	if err != nil {
		r.release()
		return nil, unwritable(path, err)
	}
	return r, nil
}

// dress gives a file the owner and the mode of another.
func dress(file *os.File, like fs.FileInfo) error {
	if owner, ok := like.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		if err := file.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return file.Chmod(like.Mode().Perm())
}

// commit puts the text in the place of the file.
func (r *reservedFile) commit(text []byte) error {
	_, err := r.room.WriteAt(text, 0)
	if err == nil {
		err = r.room.Truncate(int64(len(text)))
	}
	if err == nil {
		err = r.room.Sync()
	}
	if err == nil {
		err = os.Rename(r.room.Name(), r.path)
	}
	if err != nil {
		return unwritable(r.path, err)
	}
	err = r.room.Close()
	r.room = nil
	if err == nil {
		err = syncDir(filepath.Dir(r.path))
	}
	return fault.Wrap(err, "making %s durable", r.path)
}

func (r *reservedFile) release() {
	if r.room == nil {
		return
	}
	_ = r.room.Close()           // it is about to be removed
	_ = os.Remove(r.room.Name()) // an empty file that nobody asked for is no reason to fail
	r.room = nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func unwritable(path string, err error) error {
	e := fault.New(fault.Invalid, "%s cannot be written: %v", path, err)
	e.Advice = "mend its permissions or make space, or name another file"
	e.Cause = err
	return e
}
