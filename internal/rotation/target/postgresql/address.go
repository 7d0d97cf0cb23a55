package postgresql

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// address is where a server is: the part of a libpq URI that follows the user.
type address struct {
	hosts    []host // one server may have several: the one that takes writes is meant
	database string // empty: named like the user
	sslmode  string // empty if not given
}

type host struct {
	name string
	port uint16
}

// String is the hosts with their ports.
func (h host) String() string { return net.JoinHostPort(h.name, strconv.Itoa(int(h.port))) }

func (a address) String() string {
	names := make([]string, len(a.hosts))
	for i, h := range a.hosts {
		names[i] = h.String()
	}
	return strings.Join(names, ",")
}

// parseAddress reads what may follow '@' in a libpq URI, or such a URI without user and
// password: "db.example.com:5432/app?sslmode=verify-full", "h1,h2:5433", "[::1]".
//
// Sockets and files of this machine are no part of it: whoever writes the variable
// must not reach into the server's own file system.
func parseAddress(text string) (address, error) {
	var a address
	rest := strings.TrimSpace(text)
	for _, scheme := range []string{"postgresql://", "postgres://"} {
		rest = strings.TrimPrefix(rest, scheme)
	}
	if strings.Contains(rest, "://") {
		return a, errors.New("the scheme must be postgresql")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		return a, errors.New("it must not hold a user or a password: they have variables of their own")
	}
	for _, text := range strings.Split(hosts, ",") {
		h, err := parseHost(text)
		if err != nil {
			return a, err
		}
		a.hosts = append(a.hosts, h)
	}
	var err error
	if a.database, err = url.PathUnescape(database); err != nil {
		return a, errors.New("the name of the database is not correctly encoded")
	}
	if strings.ContainsFunc(a.database, unicode.IsControl) {
		return a, errors.New("the name of the database has a control character")
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return a, errors.New("the parameters after '?' are not correctly encoded")
	}
	for name, values := range parameters {
		switch name {
		case "sslmode":
			a.sslmode = values[0]
		case "application_name", "connect_timeout", "target_session_attrs", "channel_binding", "keepalives", "keepalives_idle":
			// For the programs that use the password: what these ask for is done anyway,
			// or does not matter here.
		default:
			return a, fmt.Errorf("parameter %s cannot be used here: leave it out, or give it to the programs that use the password in another way", strconv.Quote(name))
		}
	}
	return a, nil
}

func parseHost(text string) (host, error) {
	h := host{port: 5432}
	name, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		name, port = text[:i], text[i+1:]
	}
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		name = name[1 : len(name)-1]
		if net.ParseIP(name) == nil {
			return h, errors.New("the address in brackets is not an IPv6 address")
		}
	} else if name == "" || strings.ContainsAny(name, " %:[]\\\"'\t\r\n\x00") {
		return h, errors.New("it must begin with the name or the address of a host")
	}
	if strings.HasSuffix(text, ":") {
		return h, errors.New("there is no port after '" + text + "': write postgresql://HOST:PORT, with two slashes, or HOST:PORT")
	}
	h.name = name
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return h, errors.New("the port must be a number from 1 to 65535")
		}
		h.port = uint16(n)
	}
	return h, nil
}
