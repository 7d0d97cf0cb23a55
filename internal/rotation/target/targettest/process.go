package targettest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Unprivileged is the user as whom servers run when the tests run as root.
const Unprivileged = "nobody"

// Find is the path of a server's program, also where Debian keeps it out of the way.
func Find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/lib/postgresql/*/bin/"} {
		if found, err := filepath.Glob(pattern + name); err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is not installed: test.sh installs what the tests need", name)
}

// Dir makes a directory for a server's data, which its user owns. The caller removes it.
func Dir() (string, error) {
	dir, err := os.MkdirTemp("", "rekey-target-")
	if err != nil || os.Getuid() != 0 {
		return dir, err
	}
	credential, err := unprivileged()
	if err != nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(credential.Uid), int(credential.Gid))
}

func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup(Unprivileged)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// Command is a program in a directory, as the unprivileged user if we are root.
func Command(dir, name string, arguments ...string) (*exec.Cmd, error) {
	path, err := Find(name)
	if err != nil {
		return nil, err
	}
	c := exec.Command(path, arguments...)
	c.Dir, c.Env = dir, []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + dir, "LC_ALL=C.UTF-8"}
	c.SysProcAttr = &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		c.SysProcAttr.Credential, err = unprivileged()
	}
	return c, err
}

// Run runs a program to its end.
func Run(dir, name string, arguments ...string) error {
	c, err := Command(dir, name, arguments...)
	if err != nil {
		return err
	}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Start starts a server and waits until it is ready. It ends with the tests, however
// they end; stop ends it before. Its standard error may go elsewhere.
func Start(c *exec.Cmd, ready func() error) (stop func(), err error) {
	return StartBy(c, (*exec.Cmd).Start, ready)
}

// StartBy is Start by a function that starts the process somewhere else, such as in
// another network.
func StartBy(c *exec.Cmd, start func(*exec.Cmd) error, ready func() error) (stop func(), err error) {
	var output bytes.Buffer
	c.Stdout = &output
	if c.Stderr == nil {
		c.Stderr = &output
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		// The signal comes when the thread ends that started the process, so this
		// thread has to live as long.
		runtime.LockOSThread()
		err := start(c)
		started <- err
		if err == nil {
			_ = c.Wait() // its end is told by ended, and why by its output
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	stop = func() {
		_ = c.Process.Kill() // it may have ended already
		<-ended
	}
	for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		if err = ready(); err == nil {
			return stop, nil
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("%s ended: %s", c.Path, output.String())
		default:
		}
	}
	stop()
	return nil, errors.Join(fmt.Errorf("%s does not get ready: %s", c.Path, output.String()), err)
}

// Port is a free port on loopback.
func Port() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Listens is a readiness check: something takes connections at the port.
func Listens(port int) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}
