package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes the agent the parent of processes that the command leaves behind,
// as it is anyway where it is the first process of a container.
func adoptOrphans(log *slog.Logger) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		log.Warn("processes that the command leaves behind are left alone", "error", err)
	}
}

// withAgent has a process stopped in peace when the agent dies without doing that itself.
func withAgent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

// reap takes note of the end of orphans, so that they do not stay as zombies. The
// command itself is waited for elsewhere; the caller holds the mutex, so that no
// command begins meanwhile.
func (c *child) reap() {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil || pid == c.pid() {
				continue
			}
			var status unix.WaitStatus
			_, _ = unix.Wait4(pid, &status, unix.WNOHANG, nil) // it may be gone, or live on
		}
	}
}
