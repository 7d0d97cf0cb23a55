// Package ssh rotates what lets an account log in over SSH: its Unix password (kind
// ssh/password) and its key (kind ssh/key).
//
// Both read variable url (host, host:port or ssh://host:port), username, and host-key:
// the public keys of the host, one a line, as its /etc/ssh/ssh_host_*_key.pub or
// ssh-keyscan shows them. A host that proves no other key than these is told nothing;
// their fingerprints are part of the target's identity.
//
// An account changes its own credential, or an administrator does it: root, or somebody
// with sudo. The administrator logs in with a password or, if the variable holds a
// private key in PEM form, with that.
//
// On the host it needs a POSIX shell and the commands passwd or chpasswd; no sftp, which
// minimal hosts leave out and which cannot act as another user. No command line holds
// a secret: they go through standard input.
//
// It imports target, password, transport and secret.
package ssh

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// The variables beside the rotated one.
const (
	address  = "url"
	hostKey  = "host-key"
	username = "username"
)

// server is a host and the keys by which it is known.
type server struct {
	address transport.Address
	keys    []ssh.PublicKey
	dial    target.Dial
}

func newServer(values map[string]secret.Bytes, dial target.Dial) (*server, error) {
	s := &server{dial: dial}
	var err error
	if s.address, err = transport.ParseAddress(values[address].RevealString(), "22", "ssh"); err != nil {
		return nil, target.Errorf(target.Refused, err, "variable url: %s", err)
	}
	if s.address.Mode != "" {
		return nil, target.Errorf(target.Refused, nil, "variable url: SSH knows no sslmode: leave it out")
	}
	if s.keys, err = s.parseHostKeys(values[hostKey].RevealString()); err != nil {
		return nil, target.Errorf(target.Refused, err, "variable host-key: %s", err)
	}
	return s, nil
}

// parseHostKeys reads public keys. A line may begin with the names of its host, as in
// known_hosts; then ours must be one of them.
func (s *server) parseHostKeys(text string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil && len(options) == 0 {
			keys = append(keys, key)
			continue
		}
		marker, names, key, _, _, err := ssh.ParseKnownHosts([]byte(line))
		switch {
		case err != nil:
			return nil, errors.New("a line is no public key: write them as ssh-keyscan shows them")
		case marker != "":
			return nil, errors.New("@" + marker + " cannot be used: name the keys of the host itself")
		case strings.HasPrefix(names[0], "|"):
			return nil, errors.New("the name of the host is hashed: leave it out")
		}
		if slices.Contains(names, s.address.String()) || slices.Contains(names, "["+s.address.Host+"]:"+s.address.Port) || slices.Contains(names, s.address.Host) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key of " + s.address.String() + ": write those that ssh-keyscan shows, once you have made sure that they are the host's")
	}
	return keys, nil
}

// Address is part of password.System.
func (s *server) Address() string {
	var prints []string
	for _, k := range s.keys {
		prints = append(prints, ssh.FingerprintSHA256(k))
	}
	slices.Sort(prints)
	return "ssh " + s.address.String() + " host key " + strings.Join(slices.Compact(prints), " or ")
}

// algorithms are those by which the host can prove one of its keys.
func (s *server) algorithms() []string {
	var names []string
	for _, k := range s.keys {
		if k.Type() == ssh.KeyAlgoRSA {
			names = append(names, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			names = append(names, k.Type())
		}
	}
	return names
}

// The ways in which a login fails that is neither accepted nor denied.
var (
	errHostKey = errors.New("the host has another key")
	errMore    = errors.New("the host asks for more than one proof")
	errDialog  = errors.New("the host asks for more than the password")
)

// login opens a connection as a user, with a password or a private key.
func (s *server) login(ctx context.Context, user string, p proof) (*client, error) {
	conn, err := s.dial(ctx, "tcp", s.address.String())
	if err != nil {
		return nil, transport.Failure(s.address.String(), err)
	}
	// Whoever waits for the server waits no longer than the context lasts.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	a := attempt{proof: p}
	config := &ssh.ClientConfig{
		User:              user,
		AuthCallback:      a.next,
		HostKeyAlgorithms: s.algorithms(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !slices.ContainsFunc(s.keys, func(k ssh.PublicKey) bool { return string(k.Marshal()) == string(key.Marshal()) }) {
				a.problem = errHostKey
			}
			return a.problem
		},
	}
	c, channels, requests, err := ssh.NewClientConn(conn, s.address.String(), config)
	if err != nil {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, s.loginFailure(err, &a)
	}
	return &client{Client: ssh.NewClient(c, channels, requests), server: s, proof: p, stop: stop}, nil
}

// attempt is one login. It tries one method only: each that fails counts as a wrong
// password on the host.
type attempt struct {
	proof    proof
	tried    bool
	answered bool
	problem  error // what was found out, if the library's error does not tell
}

func (a *attempt) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if len(c.PartialSuccessMethods) > 0 {
		a.problem = errMore
	}
	if a.tried || a.problem != nil {
		return nil, a.problem
	}
	a.tried = true
	switch {
	case a.proof.signer != nil && slices.Contains(c.AllowedMethods, "publickey"):
		return ssh.PublicKeys(a.proof.signer), nil
	case a.proof.signer == nil && slices.Contains(c.AllowedMethods, "password"):
		return ssh.Password(a.proof.password.RevealString()), nil
	case a.proof.signer == nil && slices.Contains(c.AllowedMethods, "keyboard-interactive"):
		return ssh.KeyboardInteractive(a.answer), nil
	}
	a.tried = false
	return nil, nil
}

// answer gives the password to the one question that is asked in secret.
func (a *attempt) answer(_, _ string, questions []string, echos []bool) ([]string, error) {
	switch {
	case len(questions) == 0:
		return nil, nil
	case len(questions) > 1 || echos[0] || a.answered:
		a.problem = errDialog
		return nil, errDialog
	}
	a.answered = true
	return []string{a.proof.password.RevealString()}, nil
}

// denied is how the library says that the host has heard the proof, and wants another.
const denied = "unable to authenticate"

func (s *server) loginFailure(err error, a *attempt) error {
	var algorithms *ssh.AlgorithmNegotiationError
	words := err.Error()
	switch {
	case errors.Is(a.problem, errHostKey):
		return target.Errorf(target.Refused, err, "%s is not trusted: its host key is not one of those that variable host-key has. Nothing was sent to it", s.address)
	case errors.As(err, &algorithms):
		return target.Errorf(target.Refused, err, "%s has no host key of the kinds that variable host-key has, or no cipher that is safe. Nothing was sent to it", s.address)
	case errors.Is(a.problem, errMore):
		return target.Errorf(target.Refused, err, "%s asks for more than one proof of who logs in: let the account in with one", s.address)
	case errors.Is(a.problem, errDialog):
		return target.Errorf(target.Refused, err, "%s asks for more than a password, which may have expired: log in and see", s.address)
	case a.tried && (strings.Contains(words, denied) || strings.Contains(words, "Too many authentication failures")):
		return target.Errorf(target.AuthFailed, err, "%s does not let the account in with this %s", s.address, a.proof.noun())
	case strings.Contains(words, denied):
		return target.Errorf(target.Refused, err, "%s does not take a %s: allow it in its sshd_config", s.address, a.proof.noun())
	}
	return transport.Failure(s.address.String(), err)
}
