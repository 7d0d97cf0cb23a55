package mongodb

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"rekey/internal/rotation/target/transport"
)

// address is where a server or a replica set is, and whose users are meant.
type address struct {
	hosts  []transport.Address
	source string // the database that has the users
	set    string // name of the replica set; empty: any, or none
}

func (a address) String() string {
	all := make([]string, len(a.hosts))
	for i, h := range a.hosts {
		all[i] = h.String()
	}
	return strings.Join(all, ",")
}

// parseAddress reads hosts, or a URL as MongoDB's connection strings are. What it does
// not know it refuses, since it could be meant to protect something.
func parseAddress(text string) (address, error) {
	text = strings.TrimSpace(text)
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case !found:
		rest = text
	case scheme == "mongodb+srv":
		return address{}, errors.New("names that DNS resolves to members are not looked up: list the members, as mongodb://h1,h2,h3")
	case scheme != "mongodb":
		return address{}, errors.New("it must be host:port, several with commas between, or a URL with scheme mongodb")
	}
	rest, query, _ := strings.Cut(rest, "?")
	list, database, _ := strings.Cut(rest, "/")
	if strings.Contains(list, "@") {
		return address{}, errors.New("it must not hold a user or a password: they have variables of their own")
	}
	a := address{source: "admin"}
	var err error
	if database != "" {
		if a.source, err = url.PathUnescape(database); err != nil {
			return address{}, errors.New("the name of the database is not encoded as in a URL")
		}
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return address{}, errors.New("the parameters are not encoded as in a URL")
	}
	for name, values := range parameters {
		switch value := values[0]; name {
		case "authSource":
			a.source = value
		case "replicaSet":
			a.set = value
		case "tls", "ssl":
			if value != "true" {
				return address{}, errors.New("there has to be TLS, since MongoDB sees the new password itself")
			}
		default:
			return address{}, fmt.Errorf("parameter %q cannot be used here: leave it out", name)
		}
	}
	if a.source == "" || strings.ContainsAny(a.source, "/\\. \"$\x00") {
		return address{}, errors.New("authSource is no name of a database")
	}
	for host := range strings.SplitSeq(list, ",") {
		h, err := parseHost(host)
		if err != nil {
			return address{}, err
		}
		a.hosts = append(a.hosts, h)
	}
	return a, nil
}

func parseHost(text string) (transport.Address, error) {
	u := url.URL{Host: text}
	h := transport.Address{Host: u.Hostname(), Port: u.Port()}
	if h.Port == "" {
		h.Port = "27017"
	}
	bare := net.ParseIP(h.Host) == nil && strings.ContainsAny(h.Host, ":[] %\"\\\t\r\n")
	if n, err := strconv.ParseUint(h.Port, 10, 16); h.Host == "" || bare || err != nil || n == 0 || (strings.HasSuffix(text, ":")) {
		return h, errors.New("it must be host:port, several with commas between, or a URL with scheme mongodb")
	}
	return h, nil
}
