package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Cores are the processors of a run: the first two that this process may use. On a machine with a single one they are
// the same.
type Cores struct {
	Serve, Load int
	All         []int // that this process may use
}

// beside are all but the servers'; all if there is no other.
func (c Cores) beside() []int {
	others := slices.DeleteFunc(slices.Clone(c.All), func(core int) bool { return core == c.Serve })
	if len(others) == 0 {
		return c.All
	}
	return others
}

func pickCores() (Cores, error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return Cores{}, fmt.Errorf("ask for the usable processors: %w", err)
	}
	var found []int
	for core := range 1024 {
		if may.IsSet(core) {
			found = append(found, core)
		}
	}
	return Cores{Serve: found[0], Load: found[min(1, len(found)-1)], All: found}, nil
}

// pinSelf holds every thread of this process, and so every later one, to some cores.
func pinSelf(cores ...int) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := pinThread(tid, cores); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("hold thread %d to cores %v: %w", tid, cores, err)
		}
	}
	runtime.GOMAXPROCS(len(cores))
	return nil
}

func pinThread(tid int, cores []int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	return unix.SchedSetaffinity(tid, &set)
}

// process is a server in a child process.
type process struct {
	address string
	name    string
	log     string // the file with its output
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the child has ended
	err     error         // how it ended, to be read after ended is closed
}

// startOn starts a command held to some cores. The child inherits the affinity of the thread that makes it, so it has no
// moment on another core.
func startOn(cmd *exec.Cmd, cores []int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := pinThread(0, cores); err != nil {
		return fmt.Errorf("hold %s to cores %v: %w", cmd.Path, cores, err)
	}
	return errors.Join(cmd.Start(), unix.SchedSetaffinity(0, &before))
}

// startServer starts a server held to some cores with one running goroutine at a time, its output going to the file log.
func (e *Env) startServer(cmd *exec.Cmd, address, log string, cores ...int) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")

	if err := startOn(cmd, cores); err != nil {
		return nil, err
	}
	p := &process{address: address, name: cmd.Path, log: log, cmd: cmd, ended: make(chan struct{})}
	e.servers = append(e.servers, p)
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// poll calls ready every two milliseconds until it returns true. It returns an error with the end of the server's
// output when the server ends, or is not ready in time.
func (p *process) poll(ctx context.Context, limit time.Duration, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !ready() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it answered (%v): %s", p.name, p.err, p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer on %s: %w: %s", p.name, p.address, ctx.Err(), p.logTail())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

// listening tells whether the server takes connections.
func (p *process) listening() bool {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// stop asks the server to end (SIGTERM) and waits for it; after the limit it is killed and that is an error.
func (p *process) stop(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(limit):
		err := p.cmd.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("%s did not end within %s of SIGTERM: %s", p.name, limit, p.logTail()), err)
	}
}

// logTail returns the last lines of the server's output.
func (p *process) logTail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// cpu returns the processor time that the server has used so far, of all its threads.
func (p *process) cpu() (time.Duration, error) {
	used, err := cpuOf(p.cmd.Process.Pid)
	if err != nil {
		err = fmt.Errorf("processor time of %s: %w", p.name, err)
	}
	return used, err
}

// cpuOf returns the processor time of a process. The kernel derives its clock from its id: all bits inverted, shifted by
// three, and 2 for "time on the processor".
func cpuOf(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// cpuBetween returns the processor time that the servers, and the database behind them, use between two moments to come.
func (t target) cpuBetween(ctx context.Context, begin, end time.Time) (servers, behind time.Duration, err error) {
	for _, moment := range []time.Time{begin, end} {
		select {
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		case <-time.After(time.Until(moment)):
		}
		servers, behind = -servers, -behind
		for _, server := range t.servers {
			used, err := server.cpu()
			if err != nil {
				return 0, 0, err
			}
			servers += used
		}
		if t.database != nil {
			used, err := t.database.cpu()
			if err != nil {
				return 0, 0, err
			}
			behind += used
		}
	}
	return servers, behind, nil
}

// resident returns the server's resident memory now (VmRSS) and at its highest so far (VmHWM), in bytes.
func (p *process) resident() (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &now
		case "VmHWM":
			into = &peak
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("/proc status line %q: %w", line, err)
		}
		*into = kib << 10
	}
	return now, peak, nil
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
