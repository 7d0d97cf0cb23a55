package audit

import "bytes"

// Waiting counts the lines that wait for the next write.
func (l *Log) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		return 0
	}
	return bytes.Count(l.next.lines, []byte("\n"))
}
