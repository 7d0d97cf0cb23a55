package ssh

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"rekey/internal/rotation/target"
)

// editing shows a file and, if it is told to, puts another content into its place. It
// runs in any POSIX shell, as the owner of the file: so neither mode nor owner changes,
// and a link that leads elsewhere leads to nothing that its owner could not write.
//
// Its arguments are the file, a mark that nobody can guess, and a word if it is only to look
// whether it could write. It says the mark on a line
// when it begins, after the content, and once more when the other content is in place.
// It is told the length of that, since a lost connection looks like its end, and looks
// whether somebody has changed the file meanwhile right before it renames.
//
// Each line ends a command, since not every login shell takes a line break in a word.
const editing = `
umask 077;
f=$1; m=$2; n=;
printf "%s\n" "$m";
case $f in /*) ;; *) f=$HOME/$f ;; esac;
d=${f%/*};
if [ -L "$f" ]; then f=$(readlink -f "$f") || exit 21; d=${f%/*}; fi;
if [ -e "$f" ]; then [ -f "$f" ] && [ -r "$f" ] && [ -w "$f" ] || exit 22; fi;
now() { if [ -e "$f" ]; then cat "$f"; fi && printf x; };
old=$(now) || exit 22;
if [ -n "$3" ]; then [ -d "$d" ] || d=${d%/*}; [ -w "$d" ] || exit 21; fi;
printf "%s\n%s\n" "${old%x}" "$m";
[ -z "$3" ] || exit 0;
IFS= read -r n || exit 0;
[ -d "$d" ] || mkdir "$d" || exit 21;
t=$d/.authorized_keys.$m;
trap "rm -f \"\$t\"" EXIT;
trap "exit 23" HUP INT TERM PIPE;
if [ -e "$f" ]; then cp -p "$f" "$t" || exit 21; fi;
cat > "$t" || exit 21;
[ "$(wc -c < "$t")" -eq "$n" ] || exit 23;
sync "$t" 2>/dev/null || sync;
[ "$(now)" = "$old" ] || exit 24;
mv -f "$t" "$f" || exit 21;
sync "$d" 2>/dev/null || sync;
printf "%s\n" "$m";
exit 0
`

// The statuses with which editing gives up.
const (
	notWritten = 21
	notPlain   = 22
	cutOff     = 23
	changed    = 24
)

// maxFile is how many bytes of authorized keys are read.
const maxFile = 1 << 20

// script is editing as one line.
var script = strings.ReplaceAll(strings.TrimSpace(editing), "\n", " ")

var errChanged = errors.New("somebody else has changed the file")

// edit replaces the content of the authorized keys by what change makes of it; the same
// content stays untouched. Its owner runs it, or an administrator on behalf of the owner.
func (k *keyring) edit(ctx context.Context, c *client, change func(authorizedKeys) (authorizedKeys, error)) error {
	for range 3 {
		err := k.editOnce(ctx, c, change)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return target.Errorf(target.Unreachable, errChanged, "somebody else goes on changing the authorized keys of %q on %s", k.user, k.server.address)
}

func (k *keyring) editOnce(ctx context.Context, c *client, change func(authorizedKeys) (authorizedKeys, error)) error {
	mark := rand.Text()
	run := "sh -c " + quote(script) + " sh " + quote(k.file) + " " + mark + k.only
	if k.admin == nil {
		err := k.talk(ctx, c, "exec env LC_ALL=C "+run, nil, mark, change)
		if errors.Is(err, errNoScript) {
			return target.Errorf(target.Refused, err, "%s runs no command for %q, which may have no shell, or a command of its own: have an administrator change the keys", k.server.address, k.user)
		}
		return err
	}
	// Without a password sudo does its work, or nothing.
	as := func(sudo string) string {
		return "exec env LC_ALL=C sh -c " + quote(`if [ "$(id -u)" = 0 ]; then exec su -s /bin/sh -c "$0" -- "$1"; else exec sudo `+sudo+` -H -u "$1" -- sh -c "$0"; fi`) + " " + quote("exec "+run) + " " + quote(k.user)
	}
	err := k.talk(ctx, c, as("-n"), nil, mark, change)
	if errors.Is(err, errNoScript) && c.proof.signer == nil {
		err = k.talk(ctx, c, as("-S -k -p \"\""), c.proof.line(), mark, change)
	}
	if errors.Is(err, errNoScript) {
		return target.Errorf(target.Refused, err, "the privilege to act as %q on %s is missing, or there is no such account: log in as root, or allow it in sudoers", k.user, k.server.address)
	}
	return err
}

var errNoScript = errors.New("the script did not begin")

// talk runs the script and speaks with it.
func (k *keyring) talk(ctx context.Context, c *client, command string, first []byte, mark string, change func(authorizedKeys) (authorizedKeys, error)) error {
	session, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return target.Errorf(target.Unreachable, err, "%s: no input", k.server.address)
	}
	output, err := session.StdoutPipe()
	if err != nil {
		return target.Errorf(target.Unreachable, err, "%s: no output", k.server.address)
	}
	if err := c.started(ctx, session.Start(command)); err != nil {
		return err
	}
	if len(first) > 0 {
		if _, err := in.Write(first); err != nil {
			return c.unreachable(ctx, err)
		}
	}
	limited := &io.LimitedReader{R: output, N: maxFile}
	out := bufio.NewReader(limited)
	_, err = until(out, "", mark)
	began := err == nil
	content := ""
	if began {
		content, err = until(out, "\n", mark)
	}
	if err != nil && limited.N <= 0 {
		return target.Errorf(target.Refused, nil, "%s of %q on %s is longer than %d bytes, or something else is said when the account logs in", k.file, k.user, k.server.address, maxFile)
	}
	if err != nil {
		status, err := ended(session.Wait())
		switch {
		case err != nil && !began && ctx.Err() != nil:
			return c.mute(err, k.user)
		case err != nil:
			return c.unreachable(ctx, err)
		case !began:
			return errNoScript
		}
		return k.refusal(status)
	}
	next, err := change(authorizedKeys(content))
	if err != nil || string(next) == content {
		return err
	}
	if _, err = fmt.Fprintf(in, "%d\n%s", len(next), next); err == nil {
		err = in.Close()
	}
	if err == nil {
		_, err = until(out, "", mark)
	}
	status, wait := ended(session.Wait())
	switch {
	case wait != nil:
		return c.lost(ctx, wait)
	case status == 0 && err == nil:
		return nil
	case status == changed:
		return errChanged
	}
	return k.refusal(status)
}

// until reads up to a line that is the mark alone, after what ends the content.
func until(out *bufio.Reader, end, mark string) (string, error) {
	var read bytes.Buffer
	for {
		line, err := out.ReadString('\n')
		read.WriteString(line)
		if content, ok := strings.CutSuffix(read.String(), end+mark+"\n"); ok {
			return content, nil
		}
		if err != nil {
			return "", err
		}
	}
}

// refusal tells why the script gave up.
func (k *keyring) refusal(status int) error {
	switch status {
	case notWritten:
		return target.Errorf(target.Refused, nil, "%s of %q on %s cannot be written: see who owns its directory, and whether the disk is full", k.file, k.user, k.server.address)
	case notPlain:
		return target.Errorf(target.Refused, nil, "%s of %q on %s is not a file that its user can read and write", k.file, k.user, k.server.address)
	case cutOff:
		return target.Errorf(target.Unreachable, nil, "%s: the change was cut off", k.server.address)
	}
	return target.Errorf(target.Uncertain, nil, "%s: the change of the authorized keys of %q ended with status %d", k.server.address, k.user, status)
}
