package transport

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Address is where a server listens, as the variable url of a target says it.
type Address struct {
	Host, Port string
	Mode       string // sslmode, if the address names one
}

// ParseAddress reads host, host:port or a URL with one of the schemes, of which the
// first is understood where there is none. A user or a password in it is refused, since
// these have variables of their own, and so is any parameter but sslmode.
func ParseAddress(text, port string, schemes ...string) (Address, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		text = schemes[0] + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme) {
		return Address{}, errors.New("it must be a host, host:port, or a URL with scheme " + strings.Join(schemes, " or "))
	}
	if strings.HasSuffix(u.Host, ":") {
		return Address{}, fmt.Errorf("there is no port after '%s': write %s://HOST:PORT, with two slashes, or HOST:PORT", u.Host, schemes[0])
	}
	if u.User != nil {
		return Address{}, errors.New("it must not hold a user or a password: they have variables of their own")
	}
	for name := range u.Query() {
		if name != "sslmode" {
			return Address{}, fmt.Errorf("parameter %q cannot be used here: leave it out", name)
		}
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return Address{Host: u.Hostname(), Port: port, Mode: u.Query().Get("sslmode")}, nil
}

func (a Address) String() string { return net.JoinHostPort(a.Host, a.Port) }
