package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// Exit is the status with which the command has ended. It is not zero.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("the command ended with status %d", int(e)) }

// Statuses of shells for a command that does not run.
const (
	notRunnable = 126
	notFound    = 127
	bySignal    = 128 // and the signal
)

// ParseChange reads what is done to the command when a secret has changed: restart,
// which is 0, or the name of a signal.
func ParseChange(text string) (syscall.Signal, error) {
	if text == "" || text == "restart" {
		return 0, nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	s := unix.SignalNum(name)
	if s == 0 {
		return 0, mistake("there is no signal '"+text+"'", "write restart, or the name of a signal such as HUP")
	}
	return s, nil
}

// child is the command that runs beside the agent.
type child struct {
	environ []string // of the agent when it began
	log     *slog.Logger
	counts  *counts
	ended   func(Exit) // called once, when it has ended by itself

	mutex   sync.Mutex // held while a process begins or ends
	command *Command
	process *process // nil while there is none
	given   []string // the environment that it has got
	folder  *folder  // has the files of the environment; nil if there are none
}

// process is one run of the command.
type process struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended
	exit   Exit          // valid then
	wanted bool          // its end is; guarded by the mutex of the child
}

func newChild(command *Command, environ []string, log *slog.Logger, counts *counts, ended func(Exit)) *child {
	return &child{command: command, environ: environ, log: log, counts: counts, ended: ended}
}

// follow takes another plan for the command.
func (c *child) follow(command *Command) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.command = command
}

// names are the variables that the environment wants.
func (c *Command) names() []string {
	var names []string
	for _, e := range c.Entries {
		if e.Variable {
			names = append(names, e.Text)
		}
	}
	return names
}

// use starts the command if it does not run. If its environment has changed, or the
// files that it reads have, it signals it or starts it again.
func (c *child) use(ctx context.Context, now values, changed bool) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	environment, rewritten, err := c.environment(now)
	switch {
	case err != nil:
		return err
	case c.process == nil:
		c.start(environment)
		return nil
	case !changed && !rewritten && slices.Equal(environment, c.given):
		return nil
	case c.command.Signal != 0:
		c.log.Info("secrets have changed, and the command is signalled", "signal", c.command.Signal.String())
		c.given = environment
		return c.process.signal(c.command.Signal)
	}
	c.log.Info("secrets have changed, and the command is started again")
	c.stop()
	c.start(environment)
	return nil
}

// own are variables for the agent only.
var own = [...]string{"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="}

func (c *child) start(environment []string) {
	cmd := exec.Command(c.command.Args[0], c.command.Args[1:]...)
	for _, entry := range c.environ {
		mine := false
		for _, prefix := range own {
			mine = mine || strings.HasPrefix(entry, prefix)
		}
		if !mine {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env, environment...)
	c.given = environment
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	p := &process{cmd: cmd, done: make(chan struct{})}
	if err := p.begin(); err != nil {
		c.log.Error("the command cannot be started", "error", err)
		c.process = nil
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			c.ended(notFound)
			return
		}
		c.ended(notRunnable)
		return
	}
	c.counts.starts.Add(1)
	c.process = p
	go func() {
		<-p.done
		c.mutex.Lock()
		defer c.mutex.Unlock()
		if !p.wanted {
			c.ended(p.exit)
		}
	}()
}

// begin starts the process. Where the system can, it stops the process as soon as the
// agent is killed, so that the next agent does not start a second one beside it. That is
// tied to the thread which starts the process, so this one does nothing else.
func (p *process) begin() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.cmd.SysProcAttr = withAgent()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.exit = statusOf(p.cmd.Wait())
			close(p.done)
		}
	}()
	return <-started
}

// statusOf is how a process has ended, in the form of a shell.
func statusOf(err error) Exit {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return notRunnable
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Exit(bySignal + int(status.Signal()))
	}
	return Exit(exit.ExitCode())
}

func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fault.Wrap(err, "signalling the command")
	}
	return nil
}

// stop ends the process, first in peace. The caller holds the mutex.
func (c *child) stop() Exit {
	p := c.process
	if p == nil {
		return 0
	}
	p.wanted = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended this moment
	patience := time.AfterFunc(c.command.StopAfter, func() {
		c.log.Warn("the command does not end, and is killed", "after", c.command.StopAfter)
		_ = p.cmd.Process.Kill() // it may have ended this moment
	})
	<-p.done
	patience.Stop()
	c.process = nil
	return p.exit
}

// end stops the command if it still runs, and returns its status, nil for 0. cause is why
// the agent ends.
func (c *child) end(cause error) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var exit Exit
	if !errors.As(cause, &exit) {
		exit = c.stop()
	}
	var err error
	if c.folder != nil {
		err = c.folder.remove()
	}
	switch {
	case exit != 0:
		return exit
	}
	return err
}

// environment is what the command gets, as NAME=value. Files are replaced whole, if
// they change; their paths stay the same.
func (c *child) environment(now values) (all []string, rewritten bool, err error) {
	for _, e := range c.command.Entries {
		content := []byte(e.Text)
		if e.Variable {
			content = now[e.Text].Reveal()
		}
		if len(content) == 0 {
			content = []byte(e.Default)
		}
		text := string(content)
		switch {
		case e.File:
			var wrote bool
			if text, wrote, err = c.write(e.Name, content); err != nil {
				return nil, false, err
			}
			rewritten = rewritten || wrote
		case bytes.IndexByte(content, 0) >= 0:
			return nil, false, mistake("the value of "+e.Name+" has a NUL byte, which no environment can have", "take it as a file: `"+e.Name+": !var:file ...`")
		}
		all = append(all, e.Name+"="+text)
	}
	return all, rewritten, nil
}

func (c *child) write(name string, content []byte) (path string, wrote bool, err error) {
	if c.folder == nil {
		if c.folder, err = openFolder(); err != nil {
			return "", false, err
		}
	}
	path = filepath.Join(c.folder.path, strings.ReplaceAll(name, string(filepath.Separator), "_"))
	if has, err := os.ReadFile(path); err == nil && bytes.Equal(has, content) {
		return path, false, nil
	}
	return path, true, client.WriteFile(path, content)
}

// passed are signals that mean nothing to the agent.
var passed = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT}

// attend passes signals on and takes care of orphans, until the result is called.
func (c *child) attend() (end func()) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append([]os.Signal{syscall.SIGCHLD}, passed...)...)
	adoptOrphans(c.log)
	go func() {
		for s := range signals {
			c.mutex.Lock()
			if s == syscall.SIGCHLD {
				c.reap()
			} else if c.process != nil {
				_ = c.process.signal(s) // whoever sent it is not here to hear of it
			}
			c.mutex.Unlock()
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// pid is that of the process, 0 for none. The caller holds the mutex.
func (c *child) pid() int {
	if c.process == nil {
		return 0
	}
	return c.process.cmd.Process.Pid
}
