package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"rekey/internal/secret"
)

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("it is not host:port, such as 127.0.0.1:8080 or [::1]:8080")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("its port is not a number from 0 to 65535")
	}
	return nil
}

func checkConsistency(text string) error {
	bound, bounded := strings.CutPrefix(text, "bounded:")
	if text == "strict" {
		return nil
	}
	if d, err := time.ParseDuration(bound); !bounded || err != nil || d < 100*time.Millisecond || d > longestStaleness {
		return errors.New("it is neither strict nor bounded: and a duration from 100ms to 168h, such as bounded:5s")
	}
	return nil
}

// How old the answers of a server may be that also writes, and of any. Whoever was locked
// out still gets in for as long where the primary is away.
const (
	longestStalenessOfWriters = time.Hour
	longestStaleness          = 7 * 24 * time.Hour
)

func checkLeader(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("it is not a URL such as https://rekey.example.com")
	}
	return nil
}

func checkDatabase(url secret.Bytes) error {
	text := url.RevealString()
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if strings.HasPrefix(text, scheme) {
			return nil
		}
	}
	if text != "" && !strings.Contains(text, "=") {
		return errors.New("it is not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	return nil
}

func checkKey(text secret.Bytes) error {
	if text.Len() == 0 {
		return nil
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text.RevealString())
	if err != nil || len(key) != 32 {
		return errors.New("it is not the base64 of 32 bytes, as `rekey data-key generate` prints it")
	}
	return nil
}

func checkFile(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

// checkPrograms wants names that are used once.
func checkPrograms(programs []Program) error {
	seen := map[string]bool{}
	for _, p := range programs {
		if seen[p.Name] {
			return fmt.Errorf("there are two programs '%s'", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// checkProgram wants one that is there, and nobody's to replace.
func checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not a program that can run", path)
	case info.Mode()&0o002 != 0:
		return fmt.Errorf("%s can be written by everybody", path)
	}
	return nil
}

func checkTTL(d time.Duration) error {
	if d < time.Second || d > maxTokenTTL {
		return fmt.Errorf("it is not between 1 and %d seconds", int(maxTokenTTL.Seconds()))
	}
	return nil
}

func checkRange(n, least int) error {
	if n < least {
		return fmt.Errorf("it is less than %d", least)
	}
	return nil
}

// checkNames wants host names, perhaps with a wildcard in front, and addresses.
func checkNames(names []string) error {
	for _, name := range names {
		_, err := netip.ParseAddr(name)
		if err != nil && (len(name) > 253 || !hostName.MatchString(name)) {
			return fmt.Errorf("'%s' is neither a host name nor an address", name)
		}
	}
	return nil
}

var hostName = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

// conflicts tells what is wrong with settings that are each fine on their own.
func (c *Config) conflicts() (problems []Problem) {
	add := func(key, message, remedy string) {
		problems = append(problems, Problem{Setting: key, Message: message, Remedy: remedy})
	}
	switch {
	case c.TLSCertificate != "" && c.TLSKey == "":
		add("tls_key", "there is a certificate, but no private key", "set tls_key to the file with the certificate's key")
	case c.TLSCertificate == "" && c.TLSKey != "":
		add("tls_certificate", "there is a private key, but no certificate", "set tls_certificate to the file with the key's certificate")
	}
	problems = append(problems, c.readOnlyConflicts()...)
	for _, p := range c.RotationPrograms {
		if err := checkProgram(p.Path); err != nil {
			add("rotation_programs", "program '"+p.Name+"' cannot be used: "+err.Error(), "install it, so that only its owner can write it, or leave it out")
		}
	}
	if len(c.TLSNames) > 0 && !c.TLSSelfSigned {
		add("tls_names", "there is no self-signed certificate to put names into", "set tls_self_signed, or leave tls_names out")
	}
	if c.TLSSelfSigned && (c.TLSCertificate != "" || c.TLSKey != "") {
		add("tls_self_signed", "there is a certificate already", "leave out either tls_self_signed or tls_certificate and tls_key")
	}
	if checkListen(c.Listen) == nil && !c.TLS() && c.TLSKey == "" && !c.TLSTerminatedByProxy && !loopback(c.Listen) {
		add("listen", fmt.Sprintf("plain HTTP on %s would send secrets in the clear", c.Listen),
			"set tls_certificate and tls_key, or tls_self_signed, or listen on 127.0.0.1; "+
				"if a proxy in front speaks TLS with the clients, say so with tls_terminated_by_proxy")
	}
	return problems
}

// readOnlyConflicts tells what does not go with read_only, or without it.
func (c *Config) readOnlyConflicts() (problems []Problem) {
	add := func(key, message, remedy string) {
		problems = append(problems, Problem{Setting: key, Message: message, Remedy: remedy})
	}
	if checkConsistency(c.Consistency) != nil {
		return nil
	}
	switch {
	case c.ReadOnly && c.DatabaseURL.Len() == 0:
		add("read_only", "a data directory has no other server that could write", "set database_url to a standby, or leave read_only out")
	case c.ReadOnly && c.Staleness() == 0:
		add("consistency", "a read-only server cannot be strict: its database follows behind another one", "say how old its answers may be, such as bounded:1h, or leave read_only out")
	case !c.ReadOnly && c.Staleness() > longestStalenessOfWriters:
		add("consistency", "only a read-only server may give answers that are older than 1h", "shorten it, or set read_only")
	case !c.ReadOnly && c.LeaderURL != "":
		add("leader_url", "this server takes changes itself", "set read_only, or leave leader_url out")
	}
	return problems
}

// loopback tells whether an address that passed checkListen stays on the machine.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
