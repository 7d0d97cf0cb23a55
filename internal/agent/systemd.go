package agent

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"
)

// systemd is told how the agent does, if it is the one who has started it
// (sd_notify(3)).
type systemd struct {
	socket string        // "" if there is nobody to tell
	every  time.Duration // half of how often it wants a sign of life; 0 for never
}

func newSystemd(getenv func(string) string) *systemd {
	s := &systemd{socket: getenv("NOTIFY_SOCKET")}
	if name, ok := strings.CutPrefix(s.socket, "@"); ok {
		s.socket = "\x00" + name
	}
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil {
		s.every = time.Duration(usec) * time.Microsecond / 2
	}
	return s
}

// tell is for a listener that may be gone: nothing depends on it.
func (s *systemd) tell(what string) {
	if s == nil || s.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(what)) // as above
	_ = conn.Close()                // as above
}

// watchdog gives signs of life until ctx is done.
func (s *systemd) watchdog(ctx context.Context) {
	if s.every <= 0 {
		return
	}
	ticks := time.NewTicker(s.every)
	defer ticks.Stop()
	for {
		s.tell("WATCHDOG=1")
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
