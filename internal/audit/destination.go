package audit

import (
	"errors"
	"io"
	"os"
	"sync"

	"rekey/internal/fault"
)

// destination is where lines go: a stream, or a file that can be opened anew.
type destination struct {
	mu     sync.Mutex // held by whoever writes, opens or closes
	stream io.Writer
	file   *os.File // stream, if it is a file of ours
	path   string
	torn   bool // the last line was written in part
	failed error
}

// To makes a log that goes to a stream, such as standard output. One call of its
// Write takes one batch of whole lines.
func To(stream io.Writer) *Log {
	return &Log{destination: destination{stream: stream}}
}

// Open makes a log that is appended to a file, which it creates with mode 0600 if
// there is none.
func Open(path string) (*Log, error) {
	l := &Log{destination: destination{path: path}}
	if err := l.destination.reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// write hands lines over in one call.
func (d *destination) write(lines []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := d.stream.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		d.torn = lines[n-1] != '\n'
	}
	d.failed = err
	return err
}

func (d *destination) err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

func (d *destination) reopen() error {
	d.mu.Lock() // also so that the end of the file is not looked at during a write
	defer d.mu.Unlock()
	if d.path == "" {
		return nil
	}
	file, err := os.OpenFile(d.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(err, "opening the audit log")
	}
	torn, err := endsInPart(d.path, file)
	if err != nil {
		return fault.Wrap(errors.Join(err, file.Close()), "opening the audit log")
	}
	before := d.file
	d.stream, d.file, d.torn = file, file, torn
	if before == nil {
		return nil
	}
	return fault.Wrap(before.Close(), "closing the former audit log")
}

func (d *destination) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	return fault.Wrap(d.file.Close(), "closing the audit log")
}

// endsInPart tells whether a regular file ends within a line, as after a crash or a
// full disk.
func endsInPart(path string, file *os.File) (torn bool, err error) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false, err
	}
	readable, err := os.Open(path)
	if err != nil {
		return false, err
	}
	var last [1]byte
	_, err = readable.ReadAt(last[:], info.Size()-1)
	return last[0] != '\n', errors.Join(err, readable.Close())
}
