// Package exec rotates values by programs on the server's machine: kind exec.
//
// Annotation rotation/exec/program names one of the programs that the server's
// configuration allows, which has its path and its arguments. A policy can name neither:
// whoever loads one does not decide what runs here.
//
// The program gets a delegate.Question as JSON on standard input and writes a
// delegate.Answer as JSON to standard output. The answer counts if the program ends with
// status 0. It runs in an empty environment, as the server's user, in a process group of
// its own, which is killed when the time is over. What it writes to standard error is
// thrown away, since it may hold secrets: a program that wants a log has to keep one.
//
// It imports target and delegate.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/delegate"
)

// Program is a program that may run.
type Program struct {
	Path string // absolute
	Args []string
}

// program is the annotation that names one.
const program = "program"

// Kind is exec, with the programs that it may run, by name.
func Kind(programs map[string]Program) target.Kind {
	known := strings.Join(slices.Sorted(maps.Keys(programs)), ", ")
	check := func(name string) error {
		if _, ok := programs[name]; ok {
			return nil
		}
		if known == "" {
			return errors.New("the server's setting rotation_programs allows no program")
		}
		return fmt.Errorf("the server's setting rotation_programs has no program %q: there are %s", name, known)
	}
	return delegate.Kind{
		Kind:     "exec",
		Settings: map[string]func(string) error{program: check},
		Required: []string{program},
		Open: func(p delegate.Place) (delegate.Program, error) {
			name := p.Settings[program]
			return command{name, programs[name]}, nil
		},
	}
}

type command struct {
	name string
	Program
}

// Name is part of delegate.Program.
func (c command) Name() string { return "program " + c.name }

// Address is part of delegate.Program. Where the program lies is the business of
// whoever runs the server.
func (c command) Address() string { return c.Name() }

// environment is all that a program finds.
var environment = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/"}

// grace is how long the output of a program that has ended is waited for, which a child
// of its may hold.
const grace = time.Second

// Ask is part of delegate.Program.
func (c command) Ask(ctx context.Context, q delegate.Question) (delegate.Answer, error) {
	question, err := q.JSON()
	if err != nil {
		return delegate.Answer{}, err
	}
	run := exec.CommandContext(ctx, c.Path, c.Args...)
	run.Env, run.Dir, run.WaitDelay = environment, "/", grace
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	run.Cancel = kill
	out := &output{full: kill}
	run.Stdin, run.Stdout = bytes.NewReader(question), out
	if err := ctx.Err(); err != nil {
		return delegate.Answer{}, target.Errorf(target.Unreachable, err, "%s: there was no time left to start it", c.Name())
	}
	if err := run.Start(); err != nil {
		class := target.Refused
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) {
			class = target.Unreachable
		}
		return delegate.Answer{}, target.Errorf(class, err, "%s cannot be started: %s", c.Name(), err)
	}
	err = run.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return delegate.Answer{}, q.Broken(c.Name(), "it gave no answer in time, and was killed")
	case out.tooLong:
		return delegate.Answer{}, q.Broken(c.Name(), errTooLong.Error())
	case errors.Is(err, exec.ErrWaitDelay):
		_ = kill() // there may be nobody left
		return delegate.Answer{}, q.Broken(c.Name(), "it ended, but left a process that holds its output, and that was killed")
	case errors.As(err, &exit):
		return delegate.Answer{}, q.Broken(c.Name(), "it ended with "+exit.String())
	case err != nil:
		return delegate.Answer{}, q.Broken(c.Name(), "its input or output failed")
	}
	answer, err := delegate.ParseAnswer(out.kept.Bytes())
	if err != nil {
		return delegate.Answer{}, q.Broken(c.Name(), err.Error())
	}
	return answer, nil
}

var errTooLong = errors.New("its answer is too long")

// output keeps what can be an answer; whoever writes more is killed. It must not have
// the other methods of a buffer, some of which know no bound.
type output struct {
	kept    bytes.Buffer
	full    func() error
	tooLong bool
}

func (o *output) Write(p []byte) (int, error) {
	if o.kept.Len()+len(p) > delegate.MaxAnswer {
		o.tooLong = true
		return 0, errors.Join(errTooLong, o.full())
	}
	return o.kept.Write(p)
}
