package ssh

import (
	"context"
	"io"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
)

// What passwd asks, by words that those of the hosts in use have in common. A question
// is what waits behind the last line break.
var (
	question   = regexp.MustCompile(`:\s*$`)
	asksAgain  = regexp.MustCompile(`(?i)\b(re-?type|re-?enter|repeat|again|confirm)`)
	asksOld    = regexp.MustCompile(`(?i)\b(current|old|login)\b`)
	asksNew    = regexp.MustCompile(`(?i)\bnew\b`)
	tooSoon    = regexp.MustCompile(`(?i)wait longer|too soon|minimum.*age`)
	breaksRule = regexp.MustCompile(`(?i)bad( |:)|too (short|long|simple|similar)|longer|weak|already|palindrome|case changes|unchanged|same`)
)

// dialog is a talk with passwd, which changes nothing before the new password was typed.
type dialog struct {
	change       password.Change
	typed        bool   // the new password was sent
	old, again   bool   // so were the old one, and the new one for the second time
	line, before string // what waits for an answer, and what was said since the last one
}

// passwd has the user change the own password. passwd wants a terminal on most hosts,
// and throws away what was typed before it asked.
func (s session) passwd(ctx context.Context, c password.Change) error {
	session, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	in, err := session.StdinPipe()
	if err != nil {
		return target.Errorf(target.Unreachable, err, "%s: no input", s.server.address)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return target.Errorf(target.Unreachable, err, "%s: no output", s.server.address)
	}
	if err := s.started(ctx, session.RequestPty("dumb", 24, 250, ssh.TerminalModes{ssh.ECHO: 0})); err != nil {
		return err
	}
	// Where the password has expired the host runs passwd, whatever is asked for.
	if err := s.started(ctx, session.Start("env LC_ALL=C passwd")); err != nil {
		return err
	}
	d := &dialog{change: c}
	buffer := make([]byte, 4<<10)
	for {
		n, err := out.Read(buffer)
		if err != nil {
			if err != io.EOF {
				return s.broken(ctx, d, err)
			}
			break
		}
		answer, err := d.hear(string(buffer[:n]))
		if err != nil {
			return s.about(c.User, err)
		}
		if answer == nil {
			continue
		}
		if _, err := in.Write(append(append([]byte{}, answer...), '\n')); err != nil {
			return s.broken(ctx, d, err)
		}
	}
	status, err := ended(session.Wait())
	if err != nil {
		return s.broken(ctx, d, err)
	}
	return s.about(c.User, d.end(status))
}

// broken is what a lost connection means.
func (s session) broken(ctx context.Context, d *dialog, err error) error {
	if d.typed {
		return s.lost(ctx, err)
	}
	if ctx.Err() != nil && !d.old {
		return s.mute(ctx.Err(), d.change.User)
	}
	return s.unreachable(ctx, err)
}

// about completes a refusal by whom it is about.
func (s session) about(user string, err error) error {
	if e, ok := err.(*target.Error); ok {
		e.Message = s.server.address.String() + " " + e.Message
	}
	return err
}

// hear takes what was said, and gives the answer if it is a question.
func (d *dialog) hear(text string) ([]byte, error) {
	d.line += text
	if end := strings.LastIndexAny(d.line, "\r\n"); end >= 0 {
		d.before += d.line[:end+1]
		d.line = d.line[end+1:]
	}
	if len(d.line)+len(d.before) > 64<<10 {
		return nil, target.Errorf(target.Refused, nil, "says too much when the account runs passwd: a program of its own may run instead")
	}
	if !question.MatchString(d.line) {
		return nil, nil
	}
	asked, said := d.line, d.before
	d.line, d.before = "", ""
	switch {
	case asksAgain.MatchString(asked) && d.typed && !d.again:
		d.again = true
		return d.change.New.Reveal(), nil
	case asksNew.MatchString(asked) && d.typed:
		return nil, refusal(said, true)
	case asksNew.MatchString(asked):
		d.typed = true
		return d.change.New.Reveal(), nil
	case asksOld.MatchString(asked) && !d.old:
		d.old = true
		return d.change.Old.Reveal(), nil
	}
	return nil, target.Errorf(target.Refused, nil, "asks something that is not understood when the account runs passwd: have an administrator change the password")
}

// end tells how the talk ended.
func (d *dialog) end(status int) error {
	switch {
	case status == 0 && d.typed:
		return nil
	case d.typed || tooSoon.MatchString(d.before):
		return refusal(d.before+d.line, false)
	case d.old:
		return target.Errorf(target.Refused, nil, "does not let the account change its password: have an administrator do it")
	}
	return target.Errorf(target.Refused, nil, "does not run passwd for the account, which may have no shell: have an administrator change the password")
}

// refusal tells a rule about passwords from other reasons; whoever asks for another
// password had one. What was said is left out: nothing is known of what it holds.
func refusal(said string, asksAnother bool) error {
	switch {
	case tooSoon.MatchString(said):
		return target.Errorf(target.Refused, nil, "does not let the account change its password again so soon: see its minimum age (chage -m)")
	case asksAnother || breaksRule.MatchString(said):
		return password.BadValue(nil, "refuses this password: it breaks a rule of the host's")
	}
	return target.Errorf(target.Refused, nil, "does not let the account change its password: have an administrator do it")
}
