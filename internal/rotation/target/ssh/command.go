package ssh

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/transport"
)

// client is somebody logged in.
type client struct {
	*ssh.Client
	server *server
	proof  proof
	stop   func() bool
}

// Close ends the connection. Nothing is at stake any more, so nothing is reported.
func (c *client) Close() {
	c.stop()
	c.Client.Close()
}

// open begins a session: what comes before a command.
func (c *client) open(ctx context.Context) (*ssh.Session, error) {
	session, err := c.NewSession()
	var refused *ssh.OpenChannelError
	if errors.As(err, &refused) {
		return nil, target.Errorf(target.Refused, err, "%s lets the account run no command", c.server.address)
	}
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return session, nil
}

// started tells what the failure to start a command means.
func (c *client) started(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// A refusal leaves the connection alive.
	if _, _, dead := c.SendRequest("keepalive@openssh.com", true, nil); dead == nil {
		return target.Errorf(target.Refused, err, "%s lets the account run no command", c.server.address)
	}
	return c.unreachable(ctx, err)
}

func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return transport.Failure(c.server.address.String(), err)
}

func (c *client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return transport.Lost(c.server.address.String(), err)
}

// mute is what it means that a command of ours said nothing until the time was over.
func (c *client) mute(err error, user string) error {
	return target.Errorf(target.Unreachable, err, "%s: no answer in time. If %q may only run a command of its own, such as that of sftp, have an administrator make the change", c.server.address, user)
}

// result is how a command ended.
type result struct {
	status int    // 255 for one that was killed
	words  string // the beginning of what it said on standard error
}

// run runs a command to its end. What it does it does because of its input, so that a
// failure before that was sent is no doubt.
func (c *client) run(ctx context.Context, command string, input []byte) (result, error) {
	session, err := c.open(ctx)
	if err != nil {
		return result{}, err
	}
	defer session.Close()
	words := &bounded{limit: 4 << 10}
	session.Stdin, session.Stderr = bytes.NewReader(input), words
	if err := session.Start(command); err != nil {
		return result{}, c.started(ctx, err)
	}
	status, err := ended(session.Wait())
	if err != nil {
		return result{}, c.lost(ctx, err)
	}
	return result{status, words.String()}, nil
}

// ended reads an exit status from how a session ended; an error is a lost connection.
func ended(err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() != "":
		return 255, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	}
	return 0, err
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	limit int
	kept  bytes.Buffer
}

func (b *bounded) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), b.limit-b.kept.Len())])
	return len(p), nil
}

func (b *bounded) String() string { return b.kept.String() }

// quote makes one word for any shell. A line break would end the word for some.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// asksPassword tells whether sudo did nothing because it wants a password first.
func (r result) asksPassword() bool {
	return r.status == 1 && strings.Contains(r.words, "sudo: ") && strings.Contains(r.words, "required")
}

// asRoot runs a command as root with an input. It has to be one that sudoers can allow
// by itself, so it is run by nothing in between.
func (c *client) asRoot(ctx context.Context, command string, input []byte) (result, error) {
	// Of sudo's words one is understood.
	const first = "env LC_ALL=C sh -c " + `'PATH=$PATH:/usr/sbin:/sbin; if [ "$(id -u)" = 0 ]; then exec $0; else exec sudo -n $0; fi' `
	r, err := c.run(ctx, first+quote(command), input)
	if err != nil || !r.asksPassword() || c.proof.signer != nil {
		return r, err
	}
	return c.run(ctx, "env LC_ALL=C sudo -S -k -p '' "+command, append(c.proof.line(), input...))
}
