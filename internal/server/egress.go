package server

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"rekey/internal/rotation/target"
)

// egress is where rotations may connect to: policies name the targets, but whoever
// loads a policy does not decide what the server's network can be asked.
type egress []string

const egressTimeout = 10 * time.Second

// dial connects as far as the list allows; an empty list allows everything but
// link-local addresses, where clouds hand credentials to whoever asks. An entry is a
// name, an address or a CIDR block, with or without a port, or *.name for all names
// below one.
func (e egress) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := e.allows(address); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: egressTimeout}
	if len(e) == 0 {
		dialer.Control = func(_, resolved string, _ syscall.RawConn) error { return notLinkLocal(resolved) }
	}
	return dialer.DialContext(ctx, network, address)
}

// notLinkLocal refuses addresses of RFC 3927 and RFC 4291, section 2.5.6.
func notLinkLocal(resolved string) error {
	if at, err := netip.ParseAddrPort(resolved); err == nil && at.Addr().Unmap().IsLinkLocalUnicast() {
		return target.Errorf(target.Refused, nil, "%s is a link-local address: the server's setting rotation_targets would have to allow it", resolved)
	}
	return nil
}

func (e egress) allows(address string) error {
	if len(e) == 0 {
		return notLinkLocal(address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return target.Errorf(target.Refused, err, "%s is no address", address)
	}
	for _, entry := range e {
		if entryAllows(entry, strings.ToLower(host), port) {
			return nil
		}
	}
	return target.Errorf(target.Refused, nil, "%s is not among the targets that the server's setting rotation_targets allows", address)
}

func entryAllows(entry, host, port string) bool {
	name := strings.ToLower(entry)
	if h, p, err := net.SplitHostPort(name); err == nil {
		if p != port {
			return false
		}
		name = h
	}
	if block, err := netip.ParsePrefix(name); err == nil {
		ip, err := netip.ParseAddr(host)
		return err == nil && block.Contains(ip.Unmap())
	}
	if below, ok := strings.CutPrefix(name, "*."); ok {
		return strings.HasSuffix(host, "."+below)
	}
	return strings.Trim(name, "[]") == host
}
