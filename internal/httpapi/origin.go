package httpapi

import (
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"

	"github.com/google/uuid"

	"rekey/internal/fault"
)

// clientIP is the address that restrictions, audit and whoami speak of: the peer's, or,
// if the peer is a trusted proxy, the last address in X-Forwarded-For that is not one
// (the first one listed if all are). Loopback is always trusted, nothing else by
// default. Other forwarding headers are ignored.
//
// An address that cannot be read, from a trusted peer, is refused: guessing would let
// a restriction be passed by garbage.
func clientIP(r *http.Request, trusted []netip.Prefix) (netip.Addr, error) {
	var peer netip.Addr
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = ap.Addr().Unmap().WithZone("")
	}
	forwarded := r.Header["X-Forwarded-For"]
	if len(forwarded) == 0 || !isTrusted(peer, trusted) {
		return peer, nil
	}
	var first, last netip.Addr
	for _, line := range forwarded {
		for element := range strings.SplitSeq(line, ",") {
			element = strings.TrimSpace(element)
			if element == "" {
				continue
			}
			ip, ok := forwardedAddress(element)
			if !ok {
				return netip.Addr{}, fault.New(fault.BadRequest,
					"X-Forwarded-For has '%s', which is not an IP address: let the proxy send addresses only", element)
			}
			if !first.IsValid() {
				first = ip
			}
			if !isTrusted(ip, trusted) {
				last = ip
			}
		}
	}
	switch {
	case last.IsValid():
		return last, nil
	case first.IsValid():
		return first, nil
	}
	return peer, nil
}

// forwardedAddress reads 1.2.3.4, 1.2.3.4:99, v6, [v6] or [v6]:99.
func forwardedAddress(s string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		ip = ap.Addr()
	}
	return ip.Unmap().WithZone(""), true
}

func isTrusted(ip netip.Addr, trusted []netip.Prefix) bool {
	if !ip.IsValid() {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	for _, network := range trusted {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

const requestIDLimit = 255

// requestID is the client's id of the request without what could be abused in a log, or
// a fresh UUID (version 4) if it sent none.
func requestID(header []string) string {
	if len(header) == 0 {
		var id uuid.UUID
		_, _ = rand.Read(id[:])                         // does not fail
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // RFC 9562, section 5.4
		return id.String()
	}
	sent := header[0]
	clean := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '@'
	}
	kept := make([]byte, 0, min(len(sent), requestIDLimit))
	for i := 0; i < len(sent) && len(kept) < requestIDLimit; i++ {
		if clean(sent[i]) {
			kept = append(kept, sent[i])
		}
	}
	return string(kept)
}
