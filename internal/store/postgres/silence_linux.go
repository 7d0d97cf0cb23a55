package postgres

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// givesUp has the system give up a connection whose other end does not acknowledge what
// it was sent (TCP_USER_TIMEOUT, RFC 5482), which it would try for a quarter of an hour.
func givesUp(network, _ string, c syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	})
	if err == nil {
		err = failed
	}
	return err
}
