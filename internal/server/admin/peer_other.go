//go:build !linux

package admin

import (
	"net"
	"os"
)

// peerUID trusts the mode of the socket, 0600 in a directory of mode 0700, where
// the kernel is not asked.
func peerUID(net.Conn) (int, error) { return os.Geteuid(), nil }
