package policy

import (
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// parseCIDR reads an address or a range in its canonical text (RFC 5952 for IPv6,
// no bits to the right of the mask). An address alone is the range of itself.
// What could be read otherwise is refused with the canonical text, so that nobody
// restricts to something else than was meant.
func parseCIDR(text string) (netip.Prefix, string) {
	bad := fmt.Sprintf("Invalid IP address or CIDR range '%s'", text)
	address, mask, ranged := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, bad
	}
	size := ip.BitLen()
	if ranged {
		if size, err = maskSize(mask, ip); err != nil {
			return netip.Prefix{}, bad
		}
	}
	prefix := netip.PrefixFrom(ip, size).Masked()
	canonical := prefix.Addr().String()
	if ranged {
		canonical = prefix.String()
	}
	if canonical != text {
		return netip.Prefix{}, fmt.Sprintf("%s: Value has bits set to right of mask. Did you mean '%s'?", bad, canonical)
	}
	return prefix, ""
}

// maskSize reads a mask written as a number of bits or as an address.
func maskSize(mask string, ip netip.Addr) (int, error) {
	if m, err := netip.ParseAddr(mask); err == nil && m.BitLen() == ip.BitLen() && m.Zone() == "" {
		ones, ended := 0, false
		for _, b := range m.AsSlice() {
			lead := bits.LeadingZeros8(^b)
			if b<<lead != 0 || ended && b != 0 {
				return 0, strconv.ErrSyntax
			}
			ones, ended = ones+lead, ended || lead < 8
		}
		return ones, nil
	}
	size, err := strconv.ParseUint(mask, 10, 8)
	if err != nil || int(size) > ip.BitLen() {
		return 0, strconv.ErrSyntax
	}
	return int(size), nil
}
