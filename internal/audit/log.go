package audit

import (
	"runtime"
	"sync"

	"rekey/internal/fault"
)

const (
	// helpRounds is how many batches of others a writer writes before one of them
	// takes over, so that nobody's answer waits without bound.
	helpRounds = 16
	// keepBuffer is the largest buffer that is kept for reuse.
	keepBuffer = 64 << 10
)

// Log writes records to one destination. It is safe for concurrent use: while one
// goroutine writes, those that come meanwhile gather their lines in a batch, which
// goes out in one write. A goroutine that comes alone writes by itself and waits
// for nobody.
type Log struct {
	destination destination

	mu      sync.Mutex
	writing bool
	next    *batch // gathers while writing; nil if nobody waits
}

// batch is the lines of goroutines that wait for the same write.
type batch struct {
	lines []byte
	lead  chan struct{} // tells one of those who wait to do the writing
	done  chan struct{} // closed when err is known
	err   error
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Write writes the records, in their order and next to each other. It returns nil
// only when the operating system has taken all of them. On error, a fault of kind
// Unavailable, some may have been written all the same; what they describe must not
// be answered with success.
func (l *Log) Write(records ...*Record) error {
	if len(records) == 0 {
		return nil
	}
	buffer := buffers.Get().(*[]byte)
	lines := (*buffer)[:0]
	for _, r := range records {
		lines = append(AppendRFC5424(lines, r), '\n')
	}
	err := l.write(lines)
	if cap(lines) <= keepBuffer {
		*buffer = lines
		buffers.Put(buffer)
	}
	if err != nil {
		return &fault.Error{
			Kind:    fault.Unavailable,
			Message: "the audit log cannot be written, and nothing is answered without a record",
			Advice:  "make room or mend the destination of the audit log",
			Log:     err.Error(),
			Cause:   err,
		}
	}
	return nil
}

// write returns when the lines are written, by this goroutine or by another.
func (l *Log) write(lines []byte) error {
	l.mu.Lock()
	if !l.writing {
		l.writing = true
		l.mu.Unlock()
		err := l.lead(lines)
		l.help()
		return err
	}
	if l.next == nil {
		l.next = &batch{lead: make(chan struct{}, 1), done: make(chan struct{})}
	}
	mine := l.next
	mine.lines = append(mine.lines, lines...)
	l.mu.Unlock()
	select {
	case <-mine.done:
	case <-mine.lead:
		l.help() // writes mine first
	}
	return mine.err
}

// lead writes lines together with those of goroutines that are ready to run now: it
// lets them go first, once, because a write costs more than many a line. Where there
// are none that takes no time.
func (l *Log) lead(lines []byte) error {
	runtime.Gosched()
	l.mu.Lock()
	b := l.next
	l.next = nil
	l.mu.Unlock()
	if b == nil {
		return l.destination.write(lines)
	}
	b.err = l.destination.write(append(lines, b.lines...))
	close(b.done)
	return b.err
}

// help writes what has gathered, for a bounded number of times, and then leaves the
// writing to one of those who wait, if there are any.
func (l *Log) help() {
	for range helpRounds {
		b := l.take()
		if b == nil {
			return
		}
		b.err = l.destination.write(b.lines)
		close(b.done)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.writing = false
		return
	}
	l.next.lead <- struct{}{}
}

// take closes the batch that gathers; nil says that there is none, and that nobody
// writes from now on.
func (l *Log) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.next
	l.next = nil
	l.writing = b != nil
	return b
}

// Err is the error of the last write, nil once a write has succeeded again: what a
// readiness check wants to know.
func (l *Log) Err() error { return l.destination.err() }

// Reopen opens the file anew under its name, after it was renamed for rotation. On
// error the log goes on with the file that it has. A log to a stream does nothing.
func (l *Log) Reopen() error { return l.destination.reopen() }

// Close closes the file; writing to it fails from then on. A log to a stream does
// nothing.
func (l *Log) Close() error { return l.destination.close() }
