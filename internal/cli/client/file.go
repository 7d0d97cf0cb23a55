package client

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rekey/internal/fault"
)

// Look is who may see a file. A nil Look keeps what the file has, or makes it for its
// user only.
type Look struct {
	Mode     fs.FileMode
	UID, GID int // -1 for those of this process
}

// WriteFile replaces a file whole: after a crash it has the old text or the new one.
// It keeps the owner and the mode, or makes the file for its user only, and goes through a
// symbolic link to what it names.
func WriteFile(path string, text []byte) error { return WriteFileAs(path, text, nil) }

// WriteFileAs is WriteFile with a look of its own.
func WriteFileAs(path string, text []byte, look *Look) error {
	place, err := reserveFile(path, len(text), look, nil)
	if err != nil {
		return err
	}
	defer place.release()
	return place.commit(text)
}

// longestWait is how long a file is waited for that another process is replacing.
const longestWait = 10 * time.Second

// steps are told what is about to happen, so that a test can die there. They are nil
// otherwise.
type steps func(next string)

func (s steps) next(name string) {
	if s != nil {
		s(name)
	}
}

// reservedFile has room for the next text of a file beside it, on the disk already.
// Whoever has it is the only process that may replace the file: the room, whose name
// is always the same, is locked. So a process that is killed leaves at most one room,
// which the next one takes over.
type reservedFile struct {
	path  string
	room  *os.File // nil after commit or release
	steps steps
}

// reserveFile fails if the file could not be replaced: no permission, no space. It is
// Busy if another process has it reserved for too long.
func reserveFile(path string, size int, look *Look, s steps) (*reservedFile, error) {
	path = resolve(path)
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unwritable(path, err)
	}
	if look == nil {
		look = lookOf(info)
	}
	s.next("make room")
	room, err := lockRoom(roomName(path), look)
	if err != nil {
		return nil, unwritable(path, err)
	}
	r := &reservedFile{path, room, s}
	if err = room.Truncate(0); err == nil {
		err = dress(room, look)
	}
	if err == nil {
		_, err = room.Write(bytes.Repeat([]byte{'\n'}, size))
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

// resolve is what symbolic links lead to.
func resolve(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

func roomName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+strings.TrimPrefix(filepath.Base(path), ".")+".new")
}

func lookOf(info fs.FileInfo) *Look {
	look := &Look{Mode: 0o600, UID: -1, GID: -1}
	if info == nil {
		return look
	}
	look.Mode = info.Mode().Perm()
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		look.UID, look.GID = int(owner.Uid), int(owner.Gid)
	}
	return look
}

// lockRoom opens and locks a file of that name, which is nobody else's.
func lockRoom(name string, look *Look) (*os.File, error) {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		room, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(room.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		var mine bool
		if err == nil {
			mine, err = stillThere(room, name, look)
		}
		if mine && err == nil {
			return room, nil
		}
		if closed := room.Close(); closed != nil {
			return nil, closed
		}
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, err
		}
		if time.Since(began) > longestWait {
			return nil, fault.New(fault.Busy, "another process is replacing it")
		}
	}
}

// stillThere tells whether a file is the one of that name: who had it before may have
// made it the text of the file. In a directory of everybody's it may be a trap.
func stillThere(room *os.File, name string, look *Look) (bool, error) {
	opened, err := room.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !os.SameFile(opened, named) {
		return false, err
	}
	if owner, ok := opened.Sys().(*syscall.Stat_t); !opened.Mode().IsRegular() || ok && (owner.Nlink != 1 || int(owner.Uid) != os.Geteuid() && int(owner.Uid) != look.UID) {
		return false, fault.New(fault.Invalid, "%s beside it belongs to somebody else", filepath.Base(name))
	}
	return true, nil
}

// dress gives a file an owner and a mode.
func dress(file *os.File, look *Look) error {
	if err := file.Chmod(0o600); err != nil { // before it is somebody else's
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if has := lookOf(info); look.UID >= 0 && look.UID != has.UID || look.GID >= 0 && look.GID != has.GID {
		if err := file.Chown(look.UID, look.GID); err != nil {
			return err
		}
	}
	return file.Chmod(look.Mode)
}

// commit puts the text in the place of the file.
func (r *reservedFile) commit(text []byte) error {
	r.steps.next("write")
	_, err := r.room.WriteAt(text, 0)
	if err == nil {
		r.steps.next("cut to length")
		err = r.room.Truncate(int64(len(text)))
	}
	if err == nil {
		r.steps.next("sync")
		err = r.room.Sync()
	}
	if err == nil {
		r.steps.next("rename")
		err = os.Rename(r.room.Name(), r.path)
	}
	if err != nil {
		return unwritable(r.path, err)
	}
	r.steps.next("sync the directory")
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
	_ = os.Remove(r.room.Name()) // an empty file that nobody asked for is no reason to fail
	_ = r.room.Close()           // nothing in it is wanted
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
	kind := fault.Invalid
	if fault.Is(err, fault.Busy) {
		kind = fault.Busy
	}
	e := fault.New(kind, "%s cannot be written: %v", path, err)
	e.Advice = "mend its permissions or make space, or name another file"
	if kind == fault.Busy {
		e.Advice = "try again"
	}
	e.Cause = err
	return e
}

// Fits tells whether a file has the look.
func (l *Look) Fits(info fs.FileInfo) bool {
	has := lookOf(info)
	return has.Mode == l.Mode && (l.UID < 0 || l.UID == has.UID) && (l.GID < 0 || l.GID == has.GID)
}
